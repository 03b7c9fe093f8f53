import Foundation

/// One video out of an export: text encoder, denoising steps, decoder, by manifest and schedule alone.
///
/// `run` waits until the end, on the thread that calls it; `pause`, `resume`, `memoryWarning` and `stop` may be called
/// from any other meanwhile. A generation runs once.
public final class Generation: Sendable {
    public let export: Export
    private let edges: Edges
    private let driver: Driver
    private let noCaption: [Float]
    private let meter: any Meter
    private let clock: Driver.Clock

    /// `tell` is called on a thread of its own, in the order in which things happen. With `savesMemory` nothing is loaded
    /// beside a run: a little less memory, and more time.
    ///
    /// Throws DocumentError if the export's parts do not fit together, or its caption for none is not as it was written.
    public init(
        _ export: Export, backend: any BlockBackend, meter: any Meter, clock: @escaping Driver.Clock = Driver.uptime,
        slowLoadS: Double = Driver.slowLoadS, savesMemory: Bool = false,
        tell: @escaping @Sendable (Progress) -> Void = { _ in }
    ) throws {
        self.export = export
        self.meter = meter
        self.clock = clock
        edges = try Edges(export)
        noCaption = try export.constant(export.manifest.noCaption)
        driver = try Driver(
            export, backend: backend, meter: meter, clock: clock, slowLoadS: slowLoadS, savesMemory: savesMemory,
            tell: tell)
    }

    /// Generates, and hands the frames over as they are decoded. What was played; the writer has finished.
    ///
    /// Throws PlayerError, which names the block, CancellationError after `stop`, or what the writer throws; the writer
    /// is cancelled then. Everything is given back in any case.
    public func run(_ request: Request, to writer: any FrameWriter) throws -> Played {
        let (began, thermal) = (clock(), meter.thermalState())
        do {
            var watch = Stopwatch(clock)
            try driver.start()
            watch.lap()
            let captions = try captions(of: request)
            watch.lap()
            let (latent, steps) = try denoise(captions, request, &watch)
            try decode(latent, to: writer)
            watch.lap()
            let playback = driver.close()
            if let failure = driver.failure { throw failure }
            try writer.finish()
            return Played(
                request: request, playback: playback, steps: steps, lapsS: watch.lapsS, totalS: clock() - began,
                thermal: (thermal, meter.thermalState()), isLowPowerMode: meter.isLowPowerMode())
        } catch {
            driver.close()
            writer.cancel()
            throw error
        }
    }

    /// What has happened until now: after `run` has thrown, all that happened.
    public var playback: Playback { driver.playbackSoFar }

    /// Starts nothing more, until `resume`: iOS allows no GPU work in the background.
    public func pause() { driver.pause() }
    public func resume() { driver.resume() }
    /// In the background it is paused, until `resume`, and what runs there is done again.
    public func note(isInBackground: Bool) { driver.note(isInBackground: isInBackground) }
    public func memoryWarning() { driver.memoryWarning() }
    /// Ends it as soon as what is under way has ended.
    public func stop() { driver.stop() }

    /// The prompt's caption, and behind it the one that stands for none where guidance needs it: in one batch, or each in
    /// its own.
    private func captions(of request: Request) throws -> [Tensor] {
        let shape = [1, request.ids.count]
        let caption = try driver.play(
            Edges.textEncoder,
            inputs(
                Edges.textEncoder,
                [
                    "input_ids": Tensor(integers: request.ids, shape: shape),
                    "attention_mask": Tensor(integers: request.mask, shape: shape),
                ]))
        let told = try floats("caption", of: caption)
        let none = Array(noCaption.prefix(edges.caption[1] * edges.caption[2]))
        let (batch, branches) = (export.manifest.sampling.batch, export.manifest.sampling.branches)
        let samples = branches == 1 ? [told] : [told, none]
        return stride(from: 0, to: branches, by: batch).map { first in
            Tensor(
                floats: Array(samples[first..<(first + batch)].joined()), shape: [batch] + edges.caption[1...])
        }
    }

    private func denoise(_ captions: [Tensor], _ request: Request, _ watch: inout Stopwatch) throws
        -> (latent: [Float], steps: [Sampler.Step])
    {
        let sampling = export.manifest.sampling
        let batch = sampling.batch
        var sampler = Sampler(sampling, leap: export.schedule.leap, seed: request.seed)
        let masks = Tensor(integers: Self.repeated(request.mask, batch), shape: [batch, request.mask.count])
        let rate = Tensor(floats: [Float(sampling.fps)], shape: [1])
        var steps: [Sampler.Step] = []
        while let time = sampler.time {
            let given = ["fps": rate, "text_mask": masks]
            let written = try driver.play(Edges.denoiser, states(sampler.latent, time, captions, given))
            let velocity = try written.flatMap { try floats("velocity", of: $0) }
            guard let step = sampler.take(velocity: velocity) else {
                throw TensorError(what: "the denoiser's velocity has another size than its latent")
            }
            watch.lap()
            steps.append(step)
            driver.tell(.stepped(step))
        }
        driver.endEarly(Edges.denoiser)
        return (sampler.latent, steps)
    }

    /// What the denoiser is given, for every caption: one latent at one time, and what is `given` always.
    private func states(_ values: [Float], _ time: Double, _ captions: [Tensor], _ given: [String: Tensor])
        -> [[String: Tensor]]
    {
        let (batch, shape) = (export.manifest.sampling.batch, export.manifest.sampling.latentShape)
        let latent = Tensor(floats: Self.repeated(values, batch), shape: [batch] + shape)
        let times = Tensor(floats: [Float](repeating: Float(time), count: batch), shape: [batch])
        return captions.map { caption in
            let own = ["latent": latent, "timestep": times, "caption": caption]
            return inputs(Edges.denoiser, given.merging(own) { $1 })
        }
    }

    private func decode(_ latent: [Float], to writer: any FrameWriter) throws {
        let (sampling, decoding) = (export.manifest.sampling, export.manifest.decoding)
        var frames: [Float] = []
        for chunk in edges.walk.chunks {
            let values = Self.chunk(chunk.latentFrames, of: latent, sampling.latentShape)
            let shape = [1, sampling.latentChannels, chunk.latentFrames.count] + sampling.latentShape[2...]
            let written = try driver.play(
                Edges.temporal, inputs(Edges.temporal, ["latent_chunk": Tensor(floats: values, shape: shape)]))
            frames += Self.frameByFrame(
                try floats("latent_frames", of: written), numFrames: chunk.numFrames, edges.latentFrame)
        }
        let size = edges.latentFrame.reduce(1, *)
        for batch in edges.walk.batches {
            let values = Array(frames[(batch.lowerBound * size)..<(batch.upperBound * size)])
            let written = try driver.play(
                Edges.spatial,
                inputs(
                    Edges.spatial, ["latent_frames": Tensor(floats: values, shape: [batch.count] + edges.latentFrame)]))
            let images = try floats("images", of: written)
            for number in 0..<batch.count {
                try writer.write(
                    Levels.rgb(images[...], image: number, height: decoding.height, width: decoding.width)[...])
                driver.tell(.decoded(numFrames: batch.lowerBound + number + 1, of: decoding.numFrames))
            }
        }
    }

    /// Of these tensors those that the component reads.
    private func inputs(_ component: String, _ tensors: [String: Tensor]) -> [String: Tensor] {
        let reads = export.manifest.components.first { $0.name == component }?.reads ?? []
        return tensors.filter { reads.contains($0.key) }
    }

    private func floats(_ name: String, of tensors: [String: Tensor]) throws -> [Float] {
        guard let tensor = tensors[name] else { throw TensorError(what: "there is no '\(name)'") }
        let values = tensor.floats()
        guard values.allSatisfy(\.isFinite) else {
            throw TensorError(
                what: "'\(name)' is not finite: its component's arithmetic overflows. Export it in float32")
        }
        return values
    }

    private static func repeated<Value>(_ values: [Value], _ count: Int) -> [Value] {
        Array(repeatElement(values, count: count).joined())
    }

    /// Some frames of [channels, frames, rest], in the same order of dimensions.
    static func chunk(_ frames: Range<Int>, of latent: [Float], _ shape: [Int]) -> [Float] {
        let rest = shape[2...].reduce(1, *)
        return (0..<shape[0]).flatMap { channel in
            let start = channel * shape[1] * rest
            return latent[(start + frames.lowerBound * rest)..<(start + frames.upperBound * rest)]
        }
    }

    /// [channels, frames, rest] as [frames, channels, rest]; `frame` is [channels, …].
    static func frameByFrame(_ values: [Float], numFrames: Int, _ frame: [Int]) -> [Float] {
        let rest = frame[1...].reduce(1, *)
        return (0..<numFrames).flatMap { number in
            (0..<frame[0]).flatMap { channel in
                let start = (channel * numFrames + number) * rest
                return values[start..<(start + rest)]
            }
        }
    }
}

/// Seconds between moments.
struct Stopwatch {
    private let clock: Driver.Clock
    private var last: Double
    private(set) var lapsS: [Double] = []

    init(_ clock: @escaping Driver.Clock) {
        self.clock = clock
        last = clock()
    }

    mutating func lap() {
        let now = clock()
        lapsS.append(now - last)
        last = now
    }
}
