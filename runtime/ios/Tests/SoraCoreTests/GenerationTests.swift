import Foundation
import Testing

@testable import SoraCore

@Suite("A generation is what its manifest and schedule say")
struct GenerationTests {
    private let scratch: Folder

    init() throws { scratch = try Folder() }

    private func request(_ export: Export, seed: UInt64 = 7) throws -> Request {
        try Request(ids: [3, 5, 1, 0], mask: [1, 1, 1, 0], seed: seed, for: export)
    }

    private func farthest(_ one: [Float], _ other: [Float]) -> Float {
        one.count == other.count ? zip(one, other).map { abs($0 - $1) }.max() ?? 0 : .infinity
    }

    /// Generates, and keeps the latent that the decoder was given.
    private func generated(_ video: ToyVideo, told: Told = Told()) throws
        -> (latent: [Float], writer: ToyWriter, backend: ToyBackend, played: Played)
    {
        let export = try video.export(scratch.path)
        let latents = Latents()
        let backend = ToyBackend { function, inputs in
            if let chunk = inputs["latent_chunk"] { latents.add(chunk) }
            return try ToyVideo.compute(function, inputs)
        }
        let writer = ToyWriter()
        let generation = try Generation(export, backend: backend, meter: ToyMeter(), tell: told.hear)
        let played = try generation.run(try request(export), to: writer)
        #expect(backend.violations == [] && backend.inMemory == [])
        #expect(backend.mostInMemory <= 2)
        return (latents.whole, writer, backend, played)
    }

    /// What the decoder was given, chunk by chunk.
    private final class Latents: @unchecked Sendable {
        private let lock = NSLock()
        private var chunks: [Tensor] = []
        func add(_ chunk: Tensor) { lock.withLock { chunks.append(chunk) } }

        /// [4, 3, 2, 2]
        var whole: [Float] {
            let values = lock.withLock { chunks.map { ($0.shape[2], $0.floats()) } }
            return (0..<4).flatMap { channel in
                values.flatMap { count, floats in floats[(channel * count * 4)..<((channel + 1) * count * 4)] }
            }
        }
    }

    static var videos: [(String, ToyVideo)] {
        [
            ("guidance", ToyVideo()), ("a guidance of 1 has one branch", ToyVideo(guidance: 1)),
            ("one step", ToyVideo(timesteps: [1000])), ("two drifts a step", ToyVideo(solver: .ab2)),
            ("TDTM on two steps", ToyVideo(merging: [0, 2])),
            ("a fixed leap", ToyVideo(leap: .fixed(step: 1))),
            (
                "a rule that leaps",
                ToyVideo(timesteps: [1000, 800, 600, 400, 200], leap: .curvature(acceptedError: 10, bend: true))
            ),
            ("a rule that does not", ToyVideo(leap: .curvature(acceptedError: 1e-9, bend: false))),
            (
                "a plateau",
                ToyVideo(
                    timesteps: [1000, 800, 600, 400, 200],
                    leap: .plateau(tolerance: 1, patience: 2, firstStep: 1, over: .slice))
            ),
            ("branches in turn", ToyVideo(merging: [1], takesTurns: true)),
        ]
    }

    @Test(arguments: 0..<10)
    func latentAndFramesAreThoseByHand(index: Int) throws {
        let video = Self.videos[index].1
        let (latent, writer, _, played) = try generated(video)
        let expected = try video.latentByHand(played.request)
        #expect(farthest(latent, expected) <= 1e-4)
        #expect(writer.frames == ToyVideo.framesByHand(latent))
        #expect(writer.isFinished && !writer.isCancelled)
    }

    @Test func halvesBetweenBlocksAreAsGoodAsHalvesAre() throws {
        let video = ToyVideo(inner: .float16)
        let (latent, _, _, played) = try generated(video)
        let expected = try video.latentByHand(played.request)
        let off = farthest(latent, expected)
        #expect(off > 0 && off <= 0.05)
    }

    @Test func aLeapLeavesTheOtherStepsOut() throws {
        let video = Self.videos[6].1
        let told = Told()
        let (_, _, backend, played) = try generated(video, told: told)
        #expect(played.steps.map(\.step.leapt) == [false, false, true])
        let outputs = backend.calls.filter { $0.action == .run && $0.package == "denoiser.2.mlpackage" }
        #expect(outputs.count == 3)
        #expect(played.playback.spans.count { $0.action == .run } == 1 + 3 * 3 + 2 + 3)
    }

    @Test func theScheduleNamesTheFunction() throws {
        let (_, _, backend, _) = try generated(ToyVideo(merging: [0, 2]))
        let middle = backend.calls.filter { $0.action == .run && $0.package == "denoiser.1.mlpackage" }
        #expect(middle.map(\.function) == ["tdtm", "plain", "tdtm"])
        let loads = backend.calls.filter { $0.action == .load && $0.package == "denoiser.1.mlpackage" }
        #expect(loads.map(\.function) == ["tdtm", "plain", "tdtm"])
    }

    @Test func aBlockIsLoadedOnceForBranchesThatTakeTurns() throws {
        let (_, _, backend, played) = try generated(ToyVideo(takesTurns: true))
        let calls = backend.calls.filter { $0.package == "denoiser.1.mlpackage" }.map(\.action)
        #expect(calls == Array(repeatElement([.load, .run, .run, .evict], count: 3).joined()))
        let spans = played.playback.spans.filter { $0.action == .run }
        #expect(spans.count == 1 + 3 * 3 + 2 + 3)  // one of a visit
    }

    /// As when iOS refuses the GPU in the background: the first branch's result is not computed with again.
    @Test func aRunThatIsDoneAgainGoesOnWithTheBranchItFailedAt() throws {
        let video = ToyVideo(takesTurns: true)
        let expected = try generated(video).writer.frames
        let export = try video.export(scratch.path)
        let gate = Gate()
        let backend = ToyBackend(
            before: { action, number, _ in
                guard action == .run, number == 4 else { return }  // the middle block, for the second branch
                gate.pass()
                throw ToyBackend.Failure(description: "not in the background")
            }, compute: ToyVideo.compute)
        let writer = ToyWriter()
        let generation = try Generation(export, backend: backend, meter: ToyMeter())
        let asked = try request(export)
        let isOver = onThread { _ = try generation.run(asked, to: writer) }
        gate.waitUntilReached()
        generation.pause()
        gate.open()
        generation.resume()
        #expect(isOver() == nil)
        #expect(writer.frames == expected)
        let calls = backend.calls.filter { $0.package == "denoiser.1.mlpackage" && $0.action == .run }
        #expect(calls.map(\.failed) == [false, true] + [Bool](repeating: false, count: 5))
    }

    @Test func tailsAreChosenByShape() throws {
        let (_, _, backend, _) = try generated(ToyVideo())
        let decoding = backend.calls.filter { $0.action == .run && $0.package.hasPrefix("decoder") }
        #expect(decoding.map(\.function) == ["plain", "tail", "plain", "plain", "tail"])
    }

    @Test func anotherSeedIsAnotherVideo() throws {
        let export = try ToyVideo().export(scratch.path)
        var frames: [[[UInt8]]] = []
        for seed: UInt64 in [7, 7, 8] {
            let writer = ToyWriter()
            let backend = ToyBackend(compute: ToyVideo.compute)
            _ = try Generation(export, backend: backend, meter: ToyMeter()).run(
                try request(export, seed: seed), to: writer)
            frames.append(writer.frames)
        }
        #expect(frames[0] == frames[1] && frames[0] != frames[2])
    }

    /// The very arrays that a block returned are what the next is given; component edges are dense.
    @Test(arguments: [Manifest.ElementType.float32, .float16])
    func betweenBlocksNothingIsCopied(type: Manifest.ElementType) throws {
        let export = try ToyVideo(inner: type).export(scratch.path)
        let book = Storages()
        let backend = ToyBackend { function, inputs in
            book.given(inputs)
            let outputs = try ToyVideo.compute(function, inputs)
            book.returned(outputs)
            return outputs
        }
        let writer = ToyWriter()
        _ = try Generation(export, backend: backend, meter: ToyMeter()).run(try request(export), to: writer)
        // Per step: hidden and scale into the middle, hidden into the last. Each went on as it was.
        #expect(book.handedOn == 3 * 3)
        #expect(
            book.madeHere.allSatisfy { (tensor: Tensor) in
                tensor.strides == Tensor.denseStrides(tensor.shape) && tensor.type != .float16
            })
        // Two for the text encoder, five a step, one for each chunk and batch.
        #expect(book.madeHere.count == 2 + 3 * 5 + 2 + 3)
    }

    private final class Storages: @unchecked Sendable {
        private let lock = NSLock()
        private var known: [ObjectIdentifier: Tensor] = [:]  // kept, so that no address comes twice
        private(set) var handedOn = 0
        private(set) var madeHere: [Tensor] = []

        func given(_ tensors: [String: Tensor]) {
            lock.withLock {
                for tensor in tensors.values {
                    guard let before = known[ObjectIdentifier(tensor.storage)] else {
                        madeHere.append(tensor)
                        continue
                    }
                    if before.strides == tensor.strides && before.type == tensor.type { handedOn += 1 }
                }
            }
        }

        func returned(_ tensors: [String: Tensor]) {
            lock.withLock { for tensor in tensors.values { known[ObjectIdentifier(tensor.storage)] = tensor } }
        }
    }

    /// Of what a block has read, only that is there at the next block which is read again.
    @Test func aTensorIsDroppedAfterItsLastReader() throws {
        let export = try ToyVideo(timesteps: [1000]).export(scratch.path)
        let alive = Alive()
        let backend = ToyBackend { function, inputs in
            alive.note(function.package)
            for (name, tensor) in inputs { alive.watch(name, tensor.storage) }
            return try ToyVideo.compute(function, inputs)
        }
        let writer = ToyWriter()
        _ = try Generation(export, backend: backend, meter: ToyMeter()).run(try request(export), to: writer)
        #expect(alive.seen["denoiser.0.mlpackage"] == [])
        // The caption, the mask and the rate are kept for the next step; the latent and the times are not.
        #expect(alive.seen["denoiser.1.mlpackage"] == ["caption", "fps", "text_mask"])
        #expect(alive.seen["denoiser.2.mlpackage"] == ["caption", "fps", "text_mask"])
    }

    private final class Alive: @unchecked Sendable {
        private struct Weak { weak var storage: TensorStorage? }
        private let lock = NSLock()
        private var watched: [(name: String, storage: Weak)] = []
        private(set) var seen: [String: Set<String>] = [:]

        func watch(_ name: String, _ storage: TensorStorage) {
            lock.withLock { watched.append((name, Weak(storage: storage))) }
        }

        func note(_ package: String) {
            lock.withLock { seen[package] = Set(watched.filter { $0.storage.storage != nil }.map(\.name)) }
        }
    }

    @Test func itTellsStepsAndFramesInOrder() throws {
        let told = Told()
        let (_, _, _, played) = try generated(ToyVideo(), told: told)
        let steps = told.all.compactMap { if case .stepped(let step) = $0 { step } else { nil } }
        #expect(steps == played.steps.map(\.step) && steps.map(\.time) == [1000, 600, 300])
        let frames = told.all.compactMap { if case .decoded(let count, 5) = $0 { count } else { nil } }
        #expect(frames == [1, 2, 3, 4, 5])
        let begun = told.all.compactMap { progress in
            if case .began(let component, let step) = progress { "\(component) \(step)" } else { nil }
        }
        #expect(
            begun == [
                "text_encoder 0", "denoiser 0", "denoiser 1", "denoiser 2", "decoder.temporal 0", "decoder.temporal 1",
                "decoder.spatial 0", "decoder.spatial 1", "decoder.spatial 2",
            ])
        #expect(played.steps.count == 3 && played.totalS >= played.denoiserS)
    }

    @Test func aBlockThatFailsEndsItWithoutAVideo() throws {
        let export = try ToyVideo().export(scratch.path)
        let backend = ToyBackend { function, inputs in
            if function.package == "decoder.spatial.0.mlpackage", function.kind == .tail {
                throw ToyBackend.Failure(description: "out of memory")
            }
            return try ToyVideo.compute(function, inputs)
        }
        let writer = ToyWriter()
        let generation = try Generation(export, backend: backend, meter: ToyMeter())
        #expect(throws: PlayerError.runFailed(block: "block 'u0' of decoder.spatial, step 2", reason: "out of memory"))
        {
            try generation.run(try request(export), to: writer)
        }
        #expect(writer.isCancelled && !writer.isFinished && writer.frames.count == 4)
        #expect(backend.inMemory == [])
        #expect(generation.playback.spans.last?.action == .evict || generation.playback.spans.count > 10)
    }

    /// T5 is known to overflow in float16: better no video than a black one after minutes.
    @Test(arguments: [("text_encoder.0", "caption"), ("denoiser.2", "velocity"), ("decoder.spatial.0", "images")])
    func whatOverflowsEndsIt(block: String, tensor: String) throws {
        let export = try ToyVideo().export(scratch.path)
        let backend = ToyBackend { function, inputs in
            var outputs = try ToyVideo.compute(function, inputs)
            if function.package.hasPrefix(block), let output = outputs["\(tensor)_out"] {
                let values = output.floats().map { $0 * .infinity }
                outputs["\(tensor)_out"] = Tensor(floats: values, shape: output.shape)
            }
            return outputs
        }
        let writer = ToyWriter()
        let generation = try Generation(export, backend: backend, meter: ToyMeter())
        let error = #expect(throws: TensorError.self) { try generation.run(try request(export), to: writer) }
        #expect(error?.description.contains("'\(tensor)' is not finite") == true)
        #expect(writer.isCancelled && backend.inMemory == [])
    }

    @Test func aFullDiskEndsIt() throws {
        let export = try ToyVideo().export(scratch.path)
        let backend = ToyBackend(compute: ToyVideo.compute)
        let writer = ToyWriter(failsAt: 2)
        let generation = try Generation(export, backend: backend, meter: ToyMeter())
        #expect(throws: FrameError.self) { try generation.run(try request(export), to: writer) }
        #expect(writer.isCancelled && backend.inMemory == [] && backend.violations == [])
    }

    @Test func stoppedItCancelsTheVideo() throws {
        let export = try ToyVideo().export(scratch.path)
        let gate = Gate()
        let backend = ToyBackend(
            before: { action, number, _ in if action == .run, number == 4 { gate.pass() } }, compute: ToyVideo.compute)
        let writer = ToyWriter()
        let generation = try Generation(export, backend: backend, meter: ToyMeter())
        let asked = try request(export)
        let isOver = onThread { _ = try generation.run(asked, to: writer) }
        gate.waitUntilReached()
        generation.stop()
        gate.open()
        #expect(isOver() is CancellationError)
        #expect(writer.isCancelled && backend.inMemory == [])
    }

    @Test func aGenerationRunsOnce() throws {
        let export = try ToyVideo().export(scratch.path)
        let backend = ToyBackend(compute: ToyVideo.compute)
        let generation = try Generation(export, backend: backend, meter: ToyMeter())
        _ = try generation.run(try request(export), to: ToyWriter())
        #expect(throws: CancellationError.self) { try generation.run(try request(export), to: ToyWriter()) }
    }

    @Test func theCaptionForNoneMustBeAsItWasWritten() throws {
        let export = try ToyVideo().export(scratch.path)
        try Data(count: 32).write(to: URL(fileURLWithPath: "\(scratch.path)/no_caption.bin"))
        let backend = ToyBackend(compute: ToyVideo.compute)
        let error = #expect(throws: DocumentError.self) { try Generation(export, backend: backend, meter: ToyMeter()) }
        #expect(error?.what == "is not as it was exported (checksum)")
    }

    static let spoilt: [(String, @Sendable (inout [Manifest.Component], inout [Manifest.Block]) -> Void)] = [
        ("its components are not text_encoder", { components, _ in components.swapAt(0, 1) }),
        ("walked as its video is cut", { components, _ in components[2] = with(components[2], passes: .count(3)) }),
        (
            "no block of denoiser writes 'drift'",
            { components, _ in components[1] = with(components[1], writes: ["drift"]) }
        ),
        (
            "reads 'fps', which nothing before it writes",
            { components, _ in
                components[1] = with(components[1], reads: ["latent", "timestep", "caption", "text_mask"])
            }
        ),
        (
            "decoder.spatial has no 'latent_frames' of [1, 4, 2, 2]",
            { _, blocks in
                blocks[5] = without(.tail, blocks[5])
            }
        ),
        (
            "decoder.temporal has no 'latent_chunk' of [1, 4, 1, 2, 2]",
            { _, blocks in
                blocks[4] = without(.tail, blocks[4])
            }
        ),
    ]

    private static func with(
        _ component: Manifest.Component, passes: Manifest.Passes? = nil, reads: [String]? = nil, writes: [String]? = nil
    ) -> Manifest.Component {
        Manifest.Component(
            name: component.name, passes: passes ?? component.passes, reads: reads ?? component.reads,
            writes: writes ?? component.writes)
    }

    private static func without(_ kind: Manifest.FunctionKind, _ block: Manifest.Block) -> Manifest.Block {
        Manifest.Block(
            component: block.component, number: block.number, firstUnit: block.firstUnit, lastUnit: block.lastUnit,
            precision: block.precision, computeUnits: block.computeUnits, packages: block.packages,
            functions: block.functions.filter { $0.kind != kind })
    }

    @Test(arguments: spoilt.indices)
    func anExportWhosePartsDoNotFitIsRefusedBeforehand(index: Int) throws {
        let (words, change) = Self.spoilt[index]
        let export = try ToyVideo(change: change).export(scratch.path)
        let backend = ToyBackend(compute: ToyVideo.compute)
        let error = #expect(throws: DocumentError.self) { try Generation(export, backend: backend, meter: ToyMeter()) }
        #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }

    @Test func promptsNeedATokenizer() throws {
        let export = try ToyVideo().export(scratch.path)
        let error = #expect(throws: DocumentError.self) { try Request(prompt: "a boat", seed: 0, for: export) }
        #expect(error?.description.contains("it plays tokens, not prompts") == true)
    }

    @Test(
        arguments: [
            ("[3, 5, 1, 0]", "[1, 1, 1, 0]", nil),
            ("[3, 5, 1]", "[1, 1, 1, 0]", "input_ids: expected a list of 4 to 4"),
            ("[3, 5, 1, 0]", "[1, 1, 1, 1]", "the prompt has 4 tokens, its end counted; the model reads 3"),
            ("[3, 5, -1, 0]", "[1, 1, 1, 0]", "input_ids[2]: expected a whole number from 0"),
            ("[3, 5, 1, 0]", "[1, 2, 1, 0]", "attention_mask[1]: expected a whole number from 0 to 1"),
        ] as [(String, String, String?)])
    func tokensFromAFile(ids: String, mask: String, words: String?) throws {
        let export = try ToyVideo().export(scratch.path)
        let path = "\(scratch.path)/tokens.json"
        let json = "{\"format\": \"ondevice-sora-tokens-1\", \"input_ids\": \(ids), \"attention_mask\": \(mask)}"
        try json.write(toFile: path, atomically: true, encoding: .utf8)
        if let words {
            let error = #expect(throws: (any Error).self) { try Request.tokens(path: path, seed: 1, for: export) }
            #expect("\(error.map { "\($0)" } ?? "")".contains(words))
        } else {
            let request = try Request.tokens(path: path, seed: 1, for: export)
            #expect(request.ids == [3, 5, 1, 0] && request.mask == [1, 1, 1, 0] && request.seed == 1)
        }
    }

    @Test func roomIsWhatTheAppTakesAndMayTake() throws {
        let schedule = try ToyVideo().export(scratch.path).schedule
        #expect(Room(schedule, ToyMeter(footprint: 100, available: 115)).missingBytes == 0)
        #expect(Room(schedule, ToyMeter(footprint: 100, available: 100)).missingBytes == 15)
        #expect(Room(schedule, ToyMeter(footprint: 100)).missingBytes == 0)
        #expect(Room(schedule, ToyMeter()).limitBytes == nil)
    }
}
