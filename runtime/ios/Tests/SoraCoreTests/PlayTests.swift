import Foundation
import Testing

@testable import SoraCore
@testable import sora

@Suite("sora play")
struct PlayTests {
    private let scratch: Folder

    init() throws { scratch = try Folder() }

    /// What it says, line by line.
    private final class Lines: @unchecked Sendable {
        private let lock = NSLock()
        private var lines: [String] = []
        var all: [String] { lock.withLock { lines } }
        func add(_ line: String) { lock.withLock { lines.append(line) } }
    }

    private func tokens(_ folder: String) throws -> String {
        let json =
            #"{"format": "ondevice-sora-tokens-1", "input_ids": [3, 5, 1, 0], "attention_mask": [1, 1, 1, 0]}"#
        try json.write(toFile: "\(folder)/tokens.json", atomically: true, encoding: .utf8)
        return "\(folder)/tokens.json"
    }

    private func options(_ more: [String] = []) throws -> PlayOptions {
        let folder = "\(scratch.path)/out"
        return try PlayOptions(["export", "--tokens", try tokens(scratch.path), "--seed", "7", "-o", folder] + more)
    }

    @Test func videoTraceAndSidecarAreWritten() throws {
        let export = try ToyVideo().export(scratch.path)
        let lines = Lines()
        let backend = ToyBackend(compute: ToyVideo.compute)
        try play(try options(), export, meter: ToyMeter(), makeBackend: { _ in backend }, say: lines.add)
        let files = try FileManager.default.contentsOfDirectory(atPath: "\(scratch.path)/out")
        #expect(files.sorted() == ["played.json", "trace.json", "video.\(VideoFile.suffix)"])
        #expect(
            lines.all.filter { !$0.hasPrefix("Wrote") }.map { String($0.prefix { $0 != "," }) } == [
                "text_encoder", "denoiser", "step 1 of 3", "step 2 of 3", "step 3 of 3", "decoder.temporal",
                "decoder.spatial", "frame 5 of 5",
            ])
        #expect(lines.all.count { $0.hasPrefix("Wrote \(scratch.path)/out/") } == 3)
        let trace = try JSONReader.read(try Files.read("\(scratch.path)/out/trace.json", maxBytes: 1 << 20), file: "")
        #expect(trace["kind"] == .text("measured"))
        let played = try JSONReader.read(try Files.read("\(scratch.path)/out/played.json", maxBytes: 1 << 20), file: "")
        #expect(played["seed"] == .integer(7))
    }

    @Test func whatWillNotFitIsRefusedBeforeAnythingIsLoaded() throws {
        let export = try ToyVideo().export(scratch.path)
        let meter = ToyMeter(footprint: 100, available: 100)
        let error = #expect(throws: NoRoom.self) {
            try play(
                try options(), export, meter: meter, makeBackend: { _ in fatalError("nothing may be loaded") },
                say: { _ in })
        }
        #expect(
            error?.description.contains("needs up to 215 B; the system leaves this app 200 B, 15 B too few") == true)
        #expect(!FileManager.default.fileExists(atPath: "\(scratch.path)/out"))
    }

    @Test func nothingIsReplacedUnlessForced() throws {
        let export = try ToyVideo().export(scratch.path)
        let folder = "\(scratch.path)/out"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try "mine".write(toFile: "\(folder)/trace.json", atomically: true, encoding: .utf8)
        let backend = ToyBackend(compute: ToyVideo.compute)
        let error = #expect(throws: DocumentError.self) {
            try play(try options(), export, meter: ToyMeter(), makeBackend: { _ in backend }, say: { _ in })
        }
        #expect(error?.description.contains("trace.json: is there already") == true)
        #expect(backend.calls.isEmpty)
        try play(try options(["--force"]), export, meter: ToyMeter(), makeBackend: { _ in backend }, say: { _ in })
        let text = try String(contentsOfFile: "\(folder)/trace.json", encoding: .utf8)
        #expect(text.hasPrefix("{"))
    }

    @Test func aPackageOfAnotherSizeIsNamed() throws {
        let export = try ToyVideo().export(scratch.path)
        try Data(count: 2).write(to: URL(fileURLWithPath: "\(scratch.path)/denoiser.1.mlpackage/program"))
        let error = #expect(throws: DocumentError.self) {
            try play(
                try options(), export, meter: ToyMeter(), makeBackend: { _ in fatalError("nothing may be loaded") },
                say: { _ in })
        }
        #expect(error?.description.contains("denoiser.1.mlpackage: is not as it was exported (size)") == true)
    }

    @Test func whenABlockFailsTheTraceUntilThenIsLeftAndNothingElse() throws {
        let export = try ToyVideo().export(scratch.path)
        let backend = ToyBackend { function, inputs in
            if function.package.hasPrefix("decoder.spatial") { throw ToyBackend.Failure(description: "no GPU") }
            return try ToyVideo.compute(function, inputs)
        }
        #expect(throws: PlayerError.self) {
            try play(try options(), export, meter: ToyMeter(), makeBackend: { _ in backend }, say: { _ in })
        }
        let out = "\(scratch.path)/out"
        #expect(try FileManager.default.contentsOfDirectory(atPath: out) == ["broken-off.trace.json"])
        let text = try Files.read("\(out)/broken-off.trace.json", maxBytes: 1 << 20)
        let trace = try JSONReader.read(text, file: "")
        guard case .list(let spans)? = trace["spans"], case .text(let reason)? = trace["conditions"]?["broke off"]
        else {
            throw ToyBackend.Failure(description: "\(trace)")
        }
        #expect(!spans.isEmpty)
        #expect(reason.contains("of decoder.spatial, step 0 failed: no GPU"))
        // The same command again: nothing lies there that is not to be replaced.
        let whole = ToyBackend(compute: ToyVideo.compute)
        try play(try options(), export, meter: ToyMeter(), makeBackend: { _ in whole }, say: { _ in })
        #expect(!Files.exists("\(out)/broken-off.trace.json"))
    }

    @Test func progressIsToldInLines() {
        let lines = Lines()
        let progress = ProgressLines(numSteps: 30, say: lines.add)
        let span = Playback.Span(action: .run, visit: 0, startS: 1, endS: 65.2, bytes: 0, isFirst: false)
        let step = Sampler.Step(number: 17, time: 500, leapt: true, cosine: nil, error: nil)
        let told: [SoraCore.Progress] = [
            .began(component: "denoiser", step: 0), .began(component: "denoiser", step: 1), .acted(span),
            .stepped(step),
            .decoded(numFrames: 16, of: 20), .decoded(numFrames: 17, of: 20), .paused, .resumed,
            .waits(block: "block 'a' of denoiser", seconds: 60.4),
        ]
        told.forEach(progress.tell)
        #expect(
            lines.all == [
                "denoiser", "step 18 of 30, 65.2 s, leaps to the end", "frame 17 of 20, 65.2 s",
                "block 'a' of denoiser has been loading for 60 s. A first load may take minutes: Core ML specialises the "
                    + "block, and does not say how far it is.",
            ])
    }

    @Test(arguments: [
        [], ["export"], ["export", "a boat"], ["export", "a boat", "-o"], ["export", "-o", "out"],
        ["export", "a boat", "more", "-o", "out"], ["export", "a boat", "--tokens", "t", "-o", "out"],
        ["export", "a boat", "-o", "out", "--seed", "-1"], ["export", "a boat", "-o", "out", "--seed", "x"],
        ["export", "a boat", "-o", "out", "--steps", "3"],
    ])
    func argumentsThatAreNotUnderstood(arguments: [String]) {
        #expect(throws: Usage.self) { try PlayOptions(arguments) }
    }

    @Test func whatIsAskedForIsUnderstood() throws {
        let options = try PlayOptions(["--seed", "18446744073709551615", "export", "a boat", "-o", "out"])
        #expect((options.export, options.prompt, options.folder) == ("export", "a boat", "out"))
        #expect(options.seed == UInt64.max && options.tokens == nil && !options.overwrites)
    }
}
