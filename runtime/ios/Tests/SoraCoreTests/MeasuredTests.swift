import Foundation
import Testing

@testable import SoraCore

@Suite("What was played is written down")
struct MeasuredTests {
    private let scratch: Folder

    init() throws { scratch = try Folder() }

    private func played(_ video: ToyVideo = ToyVideo(), meter: ToyMeter = ToyMeter(footprint: 50)) throws -> (
        Played, Export
    ) {
        let export = try video.export(scratch.path)
        let backend = ToyBackend(compute: ToyVideo.compute)
        let request = try Request(ids: [3, 5, 1, 0], mask: [1, 1, 1, 0], seed: UInt64.max, for: export)
        return (try Generation(export, backend: backend, meter: meter).run(request, to: ToyWriter()), export)
    }

    private func document(_ text: String) throws -> JSON { try JSONReader.read(Array(text.utf8), file: "written") }

    @Test func theTraceHasTheSpansTheLedgerAndTheFootprint() throws {
        let (played, export) = try played()
        let conditions = Trace.Conditions(device: "a desk", lane: .cpu, facts: ["os": "Linux \"6\"\n"])
        let trace = try document(Trace(played, of: export, conditions).json)
        #expect(trace["kind"] == .text("measured") && trace["device"] == .text("a desk"))
        #expect(trace["model"] == .text("Toy") && trace["plan"] == .text("toy"))
        #expect(trace["limit_bytes"] == .integer(10_000))
        let spans = try trace.at("spans").list()
        #expect(spans.count == played.playback.spans.count)
        #expect(Set(try spans.map { try $0.at("lane").text() }) == ["load", "cpu"])
        #expect(try trace.at("memory").list().count == played.playback.samples.count)
        let footprint = try trace.at("footprint").list()
        #expect(footprint.count == played.playback.footprint.count && !footprint.isEmpty)
        #expect(try footprint[0].list()[1] == .integer(50))
        let facts = try trace.at("conditions")
        #expect(facts["os"] == .text("Linux \"6\"\n"))
        #expect(facts["schedule"] == .text("for a toy, priced by made up"))
        #expect(facts["measured peak bytes"] == .text("50"))
        #expect(facts["peak bytes"] == .text("\(played.playback.peakBytes)"))
        #expect(facts["lanes"] == nil)
        #expect(facts["thermal state"] == .text("nominal before, nominal after"))
        #expect(facts["low power mode"] == .text("off") && facts["memory warnings"] == .text("0"))
        #expect(facts["pauses"] == .text("0, 0.0 s"))
    }

    @Test func aSystemIsCalledAfterItsMachine() {
        let phone = Trace.Conditions(SystemNames(machine: "iPhone16,1", os: "iOS 18.1", osBuild: "22B83"))
        #expect(phone.device == "iPhone16,1" && phone.lane == nil)
        #expect(phone.facts == ["machine": "iPhone16,1", "os": "iOS 18.1", "os build": "22B83"])
        let other = Trace.Conditions(
            SystemNames(machine: "x86_64", os: "Linux 6", osBuild: ""), device: "here", lane: .cpu)
        #expect(other.device == "here" && other.lane == .cpu && other.facts["os build"] == nil)
    }

    @Test func whereNothingIsMeasuredNothingIsTold() throws {
        let (played, export) = try played(meter: ToyMeter())
        let trace = try document(Trace(measured: played.playback, of: export, Trace.Conditions(device: "a desk")).json)
        #expect(trace["footprint"] == nil)
        #expect(try trace.at("conditions")["measured peak bytes"] == nil)
        #expect(try trace.at("conditions").at("lanes").text().hasPrefix("as the schedule has them"))
        #expect(try trace.at("spans").list().contains { try $0.at("lane") == .text("gpu") })
    }

    @Test func theSidecarSaysHowToMakeItAgain() throws {
        let (played, export) = try played(ToyVideo(leap: .fixed(step: 1)))
        let sidecar = try document(Sidecar(played, of: export, video: "video.avi", how: "By hand.").json)
        #expect(sidecar["format"] == .text("ondevice-sora-played-1"))
        #expect(sidecar["prompt"] == .null && sidecar["how"] == .text("By hand."))
        #expect(sidecar["seed"] == .tooLarge("18446744073709551615"))
        #expect(try sidecar.at("input_ids").integers() == [3, 5, 1, 0])
        #expect(sidecar["solver"] == .text("euler"))
        #expect(sidecar["leap_step"] == .integer(1) && sidecar["num_evaluations"] == .integer(2))
        let steps = try sidecar.at("steps").list()
        #expect(steps.count == 2 && steps[1]["leapt"] == .flag(true))
        #expect(try sidecar.at("video").at("frames") == .integer(5))
        let parts = try ["set_up_s", "text_encoder_s", "denoiser_s", "decoder_s"].map { try sidecar.at($0).number() }
        #expect(parts.reduce(0, +) <= (try sidecar.at("total_s").number()))
    }

    @Test func ofManySamplesTheLargestStay() {
        let meter = ToyMeter()
        let counter = Counter()
        let sampler = FootprintSampler(meter, most: 8) { Double(counter.next()) }
        for bytes in [0, 5, 1, 2, 9, 3, 4, 6, 8, 7, 1] {
            meter.set(footprint: bytes)
            sampler.sampleNow()
        }
        let samples = sampler.stop()
        // Two by two up to the eighth, two by two what came after it; the last two are the same.
        #expect(samples.map(\.bytes) == [5, 2, 9, 6, 8, 1])
        #expect(samples.map(\.timeS) == [1, 3, 4, 7, 8, 11])
        #expect(sampler.stop() == samples)
    }

    @Test func aSamplerOfAMeterThatSaysNothingHasNothing() {
        let sampler = FootprintSampler(ToyMeter()) { 0 }
        sampler.start()
        #expect(sampler.stop() == [])
    }
}
