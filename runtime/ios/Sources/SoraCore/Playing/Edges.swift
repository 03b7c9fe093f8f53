/// What goes into the components of a generation and comes out of them: tensors of Float32 and Int32, by the names and
/// shapes of the manifest (docs/coreml.md).
struct Edges: Sendable {
    static let textEncoder = "text_encoder"
    static let denoiser = "denoiser"
    static let temporal = "decoder.temporal"
    static let spatial = "decoder.spatial"

    /// [1, tokens, channels].
    let caption: [Int]
    /// [batch, channels, frames, rows, columns], of which the first `latentChannels` channels count.
    let velocity: [Int]
    /// Of one frame between the decoder's halves: [channels, rows, columns].
    let latentFrame: [Int]
    let walk: DecodingWalk

    private let export: Export
    private var manifest: Manifest { export.manifest }

    /// Throws DocumentError unless the manifest's components are those of a generation, and their shapes agree.
    init(_ export: Export) throws {
        self.export = export
        let manifest = export.manifest
        let (sampling, decoding) = (manifest.sampling, manifest.decoding)
        let names = [Self.textEncoder, Self.denoiser, Self.temporal, Self.spatial]
        guard manifest.components.map(\.name) == names else {
            throw export.error("its components are not \(names.joined(separator: ", ")), in this order")
        }
        guard sampling.batch <= sampling.branches else {
            throw export.error("a guidance of \(sampling.guidance) does not have a batch of \(sampling.batch)")
        }
        guard sampling.latentShape[0] == sampling.latentChannels else {
            throw export.error("\(sampling.latentChannels) latent channels, but a latent of \(sampling.latentShape)")
        }
        guard sampling.latentShape.reduce(1, *) >= Noise.group else {
            throw export.error("a latent of \(sampling.latentShape) is too small for noise")
        }
        walk = DecodingWalk(decoding, numLatentFrames: sampling.latentShape[1])
        func only(_ component: String, _ tensor: String, rank: Int) throws -> [Int] {
            let shapes = Self.shapes(manifest, component, tensor, \.outputs)
            guard let shape = shapes.first, shape.count == rank else {
                throw export.error("\(component) has no '\(tensor)' of \(rank) dimensions")
            }
            return shape
        }
        caption = try only(Self.textEncoder, "caption", rank: 3)
        velocity = try only(Self.denoiser, "velocity", rank: 5)
        let frames = try only(Self.temporal, "latent_frames", rank: 5)
        latentFrame = [frames[1], frames[3], frames[4]]
        try check()
    }

    private func check() throws {
        let (sampling, decoding) = (manifest.sampling, manifest.decoding)
        let (tokens, batch) = (manifest.encoderTokens, sampling.batch)
        try expect(Self.textEncoder, "input_ids", [1, tokens], \.inputs)
        try expect(Self.textEncoder, "attention_mask", [1, tokens], \.inputs)
        try expect(Self.textEncoder, "caption", [1] + caption[1...], \.outputs)
        try expect(Self.denoiser, "latent", [batch] + sampling.latentShape, \.inputs)
        try expect(Self.denoiser, "timestep", [batch], \.inputs)
        try expect(Self.denoiser, "fps", [1], \.inputs)
        try expect(Self.denoiser, "caption", [batch] + caption[1...], \.inputs)
        try expect(Self.denoiser, "text_mask", [batch, tokens], \.inputs)
        guard velocity[0] == batch, velocity[1] >= sampling.latentChannels,
            velocity[2...].elementsEqual(sampling.latentShape[1...])
        else { throw export.error("a velocity of \(velocity) for a latent of \(sampling.latentShape)") }
        let none = manifest.noCaption.shape
        guard none.count == 2, none[0] >= caption[1], none[1] == caption[2] else {
            throw export.error("a caption that stands for none of \(none), beside captions of \(caption)")
        }
        let passes = Dictionary(uniqueKeysWithValues: manifest.components.map { ($0.name, $0.passes) })
        guard passes[Self.textEncoder] == .count(1), passes[Self.denoiser] == .steps,
            passes[Self.temporal] == .count(walk.chunks.count), passes[Self.spatial] == .count(walk.batches.count),
            walk.chunks.map(\.numFrames).reduce(0, +) == decoding.numFrames,
            walk.chunks.last?.latentFrames.upperBound == sampling.latentShape[1]
        else { throw export.error("its components are not walked as its video is cut") }
        for chunk in walk.chunks {
            let latents = [1, sampling.latentChannels, chunk.latentFrames.count] + sampling.latentShape[2...]
            try expect(Self.temporal, "latent_chunk", latents, \.inputs)
            let frames = [1, latentFrame[0], chunk.numFrames, latentFrame[1], latentFrame[2]]
            try expect(Self.temporal, "latent_frames", frames, \.outputs)
        }
        for batch in walk.batches {
            try expect(Self.spatial, "latent_frames", [batch.count] + latentFrame, \.inputs)
            try expect(Self.spatial, "images", [batch.count, 3, decoding.height, decoding.width], \.outputs)
        }
    }

    /// Some function of the component reads, or writes, the tensor in this shape. What it does not read may be missing.
    private func expect(
        _ component: String, _ tensor: String, _ shape: [Int],
        _ features: KeyPath<Manifest.Function, [Manifest.Feature]>
    ) throws {
        let shapes = Self.shapes(manifest, component, tensor, features)
        guard shapes.isEmpty && features == \.inputs || shapes.contains(shape) else {
            throw export.error("\(component) has no '\(tensor)' of \(shape)")
        }
    }

    private static func shapes(
        _ manifest: Manifest, _ component: String, _ tensor: String,
        _ features: KeyPath<Manifest.Function, [Manifest.Feature]>
    ) -> [[Int]] {
        manifest.blocks.filter { $0.component == component }.flatMap(\.functions)
            .flatMap { $0[keyPath: features] }.filter { $0.tensor == tensor }.map(\.shape)
    }
}
