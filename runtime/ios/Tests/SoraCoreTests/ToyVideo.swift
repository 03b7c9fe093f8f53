import Foundation

@testable import SoraCore

/// An export that makes a video of five frames, with blocks whose results can be worked out by hand.
///
///     text_encoder      caption[t, c] = id[t] (c + 1) mask[t]
///     denoiser          input: hidden = latent, scale = time / 1000 + the caption's sum / 100;
///                       middle: hidden = hidden + scale (with TDTM: + 2 scale); output: velocity = [hidden, garbage]
///     decoder.temporal  frame f of a chunk is its latent frame f, the last one repeated
///     decoder.spatial   each value of channel c < 3 becomes a square of 2 by 2 pixels
struct ToyVideo {
    static let tokens = 4
    static let latentShape = [4, 3, 2, 2]
    static let numFrames = 5

    var timesteps = [1000.0, 600, 300]
    var guidance = 3.0
    var leap = Schedule.Leap.none
    var solver = Manifest.Solver.euler
    var steps: Int { if case .fixed(let step) = leap { step + 1 } else { timesteps.count } }
    /// The steps that merge tokens.
    var merging: Set<Int> = []
    /// What the middle block's tensors are between blocks.
    var inner = Manifest.ElementType.float32
    /// Added to the names of components that the manifest tells, and so on: what a test spoils.
    var change: (inout [Manifest.Component], inout [Manifest.Block]) -> Void = { _, _ in }

    /// Each block takes one branch of guidance, and runs for both.
    var takesTurns = false

    var branches: Int { guidance == 1 ? 1 : 2 }
    var batch: Int { takesTurns ? 1 : branches }
    private var latents: [Int] { [batch] + Self.latentShape }

    private func feature(_ name: String, _ shape: [Int], _ type: Manifest.ElementType = .float32, out: Bool = false)
        -> Manifest.Feature
    {
        Manifest.Feature(feature: out ? "\(name)_out" : name, tensor: name, type: type, shape: shape)
    }

    private func block(
        _ component: String, _ number: Int,
        _ functions: [(Manifest.FunctionKind, String, [Manifest.Feature], [Manifest.Feature])]
    ) -> Manifest.Block {
        let package = "\(component).\(number).mlpackage"
        return Manifest.Block(
            component: component, number: number, firstUnit: "u\(number)", lastUnit: "u\(number)", precision: "float32",
            computeUnits: .all,
            packages: [Manifest.Package(file: package, numBytes: 1, checksum: SHA256.of(Array(package.utf8)))],
            functions: functions.map {
                Manifest.Function(kind: $0.0, package: package, function: $0.1, inputs: $0.2, outputs: $0.3)
            })
    }

    private var blocks: [Manifest.Block] {
        let captions = [batch, Self.tokens, 2]
        let ids = [
            feature("input_ids", [1, Self.tokens], .int32), feature("attention_mask", [1, Self.tokens], .int32),
        ]
        let conditions = [
            feature("latent", latents), feature("timestep", [batch]), feature("fps", [1]), feature("caption", captions),
            feature("text_mask", [batch, Self.tokens], .int32),
        ]
        let middle = (
            [feature("hidden", latents, inner), feature("scale", [batch])],
            [feature("hidden", latents, inner, out: true)]
        )
        return [
            block("text_encoder", 0, [(.plain, "main", ids, [feature("caption", [1] + captions[1...], out: true)])]),
            block(
                "denoiser", 0,
                [
                    (
                        .plain, "main", conditions,
                        [feature("hidden", latents, inner, out: true), feature("scale", [batch], out: true)]
                    )
                ]),
            block("denoiser", 1, [(.plain, "plain", middle.0, middle.1), (.tdtm, "tdtm", middle.0, middle.1)]),
            block(
                "denoiser", 2,
                [
                    (
                        .plain, "main", [feature("hidden", latents, inner)],
                        [feature("velocity", [batch, 8] + Self.latentShape[1...], out: true)]
                    )
                ]),
            block(
                "decoder.temporal", 0,
                [(.plain, "plain", 2, 3), (.tail, "tail", 1, 2)].map { kind, name, latentFrames, frames in
                    (
                        kind, name, [feature("latent_chunk", [1, 4, latentFrames, 2, 2])],
                        [feature("latent_frames", [1, 4, frames, 2, 2], out: true)]
                    )
                }),
            block(
                "decoder.spatial", 0,
                [(.plain, "plain", 2), (.tail, "tail", 1)].map { kind, name, count in
                    (
                        kind, name, [feature("latent_frames", [count, 4, 2, 2])],
                        [feature("images", [count, 3, 4, 4], out: true)]
                    )
                }),
        ]
    }

    /// Everything streamed, the loader one visit ahead.
    private func schedule(_ blocks: [Manifest.Block]) -> Schedule {
        var planned: [Schedule.Block] = []
        for block in blocks {
            for (variant, kind) in [(Schedule.Variant.plain, Manifest.FunctionKind.plain), (.tdtm, .tdtm)] {
                guard let function = block.function(kind) else { continue }
                planned.append(
                    Schedule.Block(
                        component: block.component, number: block.number, name: block.name, variant: variant,
                        package: function.package, function: function.function, lane: .gpu, residentBytes: 100,
                        workingBytes: 10, storedBytes: 100, loadS: 1, firstLoadS: 1, runS: 1, firstRunS: 1, unloadS: 0))
            }
        }
        var (passes, visits): ([Schedule.Pass], [Schedule.Visit]) = ([], [])
        for (component, count) in [
            ("text_encoder", 1), ("denoiser", steps), ("decoder.temporal", 2), ("decoder.spatial", 3),
        ] {
            for step in 0..<count {
                let first = visits.count
                for block in blocks where block.component == component {
                    let variant: Schedule.Variant =
                        merging.contains(step) && block.function(.tdtm) != nil ? .tdtm : .plain
                    let number = planned.firstIndex {
                        $0.component == component && $0.number == block.number && $0.variant == variant
                    }
                    let before = visits.lastIndex { planned[$0.block].package == block.packages[0].file } ?? -1
                    visits.append(
                        Schedule.Visit(
                            block: number ?? 0, step: step, loads: true, isCold: false, isFirstRun: true,
                            gate: max(before, visits.count - 2), evicts: true, leaves: false))
                }
                passes.append(Schedule.Pass(component: component, step: step, visits: first..<visits.count))
            }
        }
        var packages: [String] = []
        for block in planned where !packages.contains(block.package) { packages.append(block.package) }
        return Schedule(
            plan: "toy", planSHA256: "", manifestSHA256: "", device: "a toy", profile: "made up", profileSHA256: "",
            limitBytes: 10_000, limitSource: "made up", budgetBytes: nil, baselineBytes: 5, neededBytes: 215,
            transientShare: 0, residualShare: 0, predictedTotalS: 10, predictedPeakBytes: 215, leap: leap,
            blocks: planned, held: [], left: [], passes: passes, visits: visits, packages: packages,
            packageOfBlock: planned.map { block in packages.firstIndex(of: block.package) ?? 0 })
    }

    /// In a folder that holds packages of a byte, and the caption that stands for none: 0.25 everywhere.
    func export(_ folder: String) throws -> Export {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let none = [Float](repeating: 0.25, count: Self.tokens * 2)
        let bytes = none.flatMap { value in
            (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * UInt32($0))) }
        }
        try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/no_caption.bin"))
        for package in blocks.flatMap(\.packages) {
            let path = "\(folder)/\(package.file)"
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            try Data(count: 1).write(to: URL(fileURLWithPath: "\(path)/program"))
        }
        var blocks = blocks
        var components = [
            Manifest.Component(
                name: "text_encoder", passes: .count(1), reads: ["input_ids", "attention_mask"], writes: ["caption"]),
            Manifest.Component(
                name: "denoiser", passes: .steps, reads: ["latent", "timestep", "fps", "caption", "text_mask"],
                writes: ["velocity"]),
            Manifest.Component(
                name: "decoder.temporal", passes: .count(2), reads: ["latent_chunk"], writes: ["latent_frames"]),
            Manifest.Component(
                name: "decoder.spatial", passes: .count(3), reads: ["latent_frames"], writes: ["images"]),
        ]
        let schedule = schedule(blocks)
        change(&components, &blocks)
        let manifest = Manifest(
            isComplete: true, model: "toy", modelName: "Toy", planSHA256: "", weights: "none", madeWith: "a test",
            textTokens: 3, encoderTokens: Self.tokens,
            sampling: Manifest.Sampling(
                timesteps: timesteps, timeScale: 1000, guidance: guidance, fps: 24, batch: batch, latentChannels: 4,
                latentShape: Self.latentShape, solver: solver),
            decoding: Manifest.Decoding(
                numFrames: Self.numFrames, height: 4, width: 4, chunkLatentFrames: 2, chunkFrames: [3, 2],
                batchFrames: 2),
            noCaption: Manifest.Constant(file: "no_caption.bin", shape: [Self.tokens, 2], checksum: SHA256.of(bytes)),
            tokenizer: nil, components: components, blocks: blocks)
        return Export(folder: folder, manifest: manifest, schedule: schedule, tokenizer: nil)
    }

    /// The blocks' functions. Outputs have gaps between their rows; `inner` ones are of that type.
    static let compute: ToyBackend.Compute = { function, inputs in
        func read(_ name: String) throws -> [Float] {
            guard let tensor = inputs[name] else { throw ToyBackend.Failure(description: "no \(name)") }
            return tensor.floats()
        }
        func write(_ name: String, _ values: [Float]) -> [String: Tensor] {
            guard let told = function.outputs.first(where: { $0.tensor == name }) else { return [:] }
            return ["\(name)_out": gapped(values, told.shape, told.type)]
        }
        switch (function.package.dropLast(".mlpackage".count), function.function) {
        case ("text_encoder.0", _):
            let (ids, mask) = (try read("input_ids"), try read("attention_mask"))
            return write("caption", zip(ids, mask).flatMap { [$0 * $1, 2 * $0 * $1] })
        case ("denoiser.0", _):
            let (times, captions) = (try read("timestep"), try read("caption"))
            let size = captions.count / times.count
            let scales = times.indices.map { sample in
                scale(time: times[sample], caption: Array(captions[(sample * size)..<((sample + 1) * size)]))
            }
            guard try read("fps") == [24] else { throw ToyBackend.Failure(description: "another rate") }
            return write("hidden", try read("latent")).merging(write("scale", scales)) { $1 }
        case ("denoiser.1", let name):
            let (hidden, scales) = (try read("hidden"), try read("scale"))
            let size = hidden.count / scales.count
            let times: Float = name == "tdtm" ? 2 : 1
            return write("hidden", hidden.indices.map { hidden[$0] + times * scales[$0 / size] })
        case ("denoiser.2", _):
            let hidden = try read("hidden")
            let size = latentShape.reduce(1, *)
            let samples = hidden.count / size
            let garbage = [Float](repeating: 1e6, count: size)
            let velocity: [[Float]] = (0..<samples).map { sample in
                Array(hidden[(sample * size)..<((sample + 1) * size)]) + garbage
            }
            return write("velocity", velocity.flatMap { $0 })
        case ("decoder.temporal.0", _):
            let latents = try read("latent_chunk")
            let count = latents.count / 16
            var frames: [Float] = []
            for channel in 0..<4 {
                for frame in 0...count {
                    let start = (channel * count + min(frame, count - 1)) * 4
                    frames += latents[start..<(start + 4)]
                }
            }
            return write("latent_frames", frames)
        case ("decoder.spatial.0", _):
            let frames = try read("latent_frames")
            var images: [Float] = []
            for image in 0..<(frames.count / 16) {
                for channel in 0..<3 {
                    for pixel in 0..<16 { images.append(frames[image * 16 + channel * 4 + place(of: pixel)]) }
                }
            }
            return write("images", images)
        default: throw ToyBackend.Failure(description: "\(function.package) is not known")
        }
    }

    /// Of a pixel of 4 by 4, in a frame of 2 by 2.
    private static func place(of pixel: Int) -> Int { pixel / 4 / 2 * 2 + pixel % 4 / 2 }

    static func scale(time: Float, caption: [Float]) -> Float { time / 1000 + caption.reduce(0, +) / 100 }

    /// Rows four values longer than they need be, filled with NaN.
    static func gapped(_ values: [Float], _ shape: [Int], _ type: Manifest.ElementType) -> Tensor {
        var strides = Tensor.denseStrides(shape)
        if shape.count > 1 {
            let (length, padded) = (shape[shape.count - 1], shape[shape.count - 1] + 4)
            strides = strides.dropLast().map { $0 / length * padded } + [1]
        }
        let tensor = strided(values, shape: shape, strides: strides)
        guard type == .float16 else { return tensor }
        let storage = TensorStorage(numBytes: tensor.storage.bytes.count / 2)
        let (from, to) = (tensor.storage.bytes.bindMemory(to: Float.self), storage.bytes.bindMemory(to: UInt16.self))
        for place in 0..<min(from.count, to.count) { to[place] = half(from[place]) }
        return Tensor(shape: shape, strides: strides, type: .float16, storage: storage)
    }

    /// The nearest of the 65,536, of numbers that lie within their range; for tests alone.
    static func half(_ value: Float) -> UInt16 {
        guard !value.isNaN else { return 0x7e00 }
        let size = min(abs(value), 65504)
        let exponent = max(-14, size == 0 ? -14 : Int(size.exponent))
        var step: Float = 1
        for _ in 0..<abs(exponent - 10) { step *= exponent > 10 ? 2 : 0.5 }
        let steps = UInt16((size / step).rounded(.toNearestOrEven))  // 1024 and more of them if it is a normal number
        return (value < 0 ? 0x8000 : 0) + UInt16(exponent + 14) * 1024 + steps
    }

    /// The latent at the end, by the sampler and these formulas alone.
    func latentByHand(_ request: Request) throws -> [Float] {
        let captions = zip(request.ids, request.mask).flatMap { (id: Int32, mask: Int32) -> [Float] in
            [Float(id * mask), Float(2 * id * mask)]
        }
        let none = [Float](repeating: 0.25, count: Self.tokens * 2)
        var sampler = Sampler(
            Manifest.Sampling(
                timesteps: timesteps, timeScale: 1000, guidance: guidance, fps: 24, batch: batch, latentChannels: 4,
                latentShape: Self.latentShape, solver: solver), leap: leap, seed: request.seed)
        while let time = sampler.time, let step = sampler.nextStep {
            var velocity: [Float] = []
            for caption in [captions, none].prefix(branches) {
                let scale: Float = Self.scale(time: Float(time), caption: caption) * (merging.contains(step) ? 2 : 1)
                velocity += sampler.latent.map { $0 + scale }
                velocity += [Float](repeating: 1e6, count: sampler.latent.count)
            }
            guard sampler.take(velocity: velocity) != nil else { throw NotThere() }
        }
        return sampler.latent
    }

    /// The video's frames out of a latent, RGB.
    static func framesByHand(_ latent: [Float]) -> [[UInt8]] {
        [0, 1, 1, 2, 2].map { (latentFrame: Int) -> [UInt8] in
            var bytes: [UInt8] = []
            for pixel in 0..<16 {
                for channel in 0..<3 {
                    bytes.append(Levels.byte(latent[(channel * 3 + latentFrame) * 4 + place(of: pixel)]))
                }
            }
            return bytes
        }
    }
}

/// Keeps the frames, or fails at one.
final class ToyWriter: FrameWriter, @unchecked Sendable {
    var frames: [[UInt8]] = []
    var isFinished = false
    var isCancelled = false
    let failsAt: Int?

    init(failsAt: Int? = nil) { self.failsAt = failsAt }

    func write(_ frame: ArraySlice<UInt8>) throws {
        if frames.count == failsAt { throw FrameError(path: "video", what: "the disk is full") }
        frames.append(Array(frame))
    }

    func finish() throws { isFinished = true }
    func cancel() { isCancelled = true }
}
