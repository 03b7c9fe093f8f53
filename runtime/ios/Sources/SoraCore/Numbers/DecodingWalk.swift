/// How a video is decoded: latent frames chunk by chunk, then frames batch by batch.
public struct DecodingWalk: Equatable, Sendable {
    /// Latent frames that are decoded together, and how many frames they become.
    public struct Chunk: Equatable, Sendable {
        public let latentFrames: Range<Int>
        public let numFrames: Int
    }

    public let chunks: [Chunk]
    /// Frames of the whole video that are decoded together.
    public let batches: [Range<Int>]

    /// Of a latent of so many frames.
    public init(_ decoding: Manifest.Decoding, numLatentFrames: Int) {
        let starts = stride(from: 0, to: numLatentFrames, by: decoding.chunkLatentFrames)
        chunks = zip(starts, decoding.chunkFrames).map { start, count in
            Chunk(
                latentFrames: start..<min(start + decoding.chunkLatentFrames, numLatentFrames), numFrames: count)
        }
        batches = stride(from: 0, to: decoding.numFrames, by: decoding.batchFrames).map {
            $0..<min($0 + decoding.batchFrames, decoding.numFrames)
        }
    }
}

/// Values of images as bytes.
public enum Levels {
    /// -1 to 1 become 0 to 255, in Float, halves to even; what lies outside is clipped.
    public static func byte(_ value: Float) -> UInt8 {
        let level = (min(max(value, -1), 1) + 1) * 127.5
        return UInt8(level.isNaN ? 0 : level.rounded(.toNearestOrEven))
    }

    /// Of images [images, 3, height, width] one as RGB, pixel by pixel, row by row from the top.
    public static func rgb(_ images: ArraySlice<Float>, image: Int, height: Int, width: Int) -> [UInt8] {
        let size = height * width
        let start = images.startIndex + image * 3 * size
        return [UInt8](unsafeUninitializedCapacity: 3 * size) { bytes, initialized in
            for channel in 0..<3 {
                for pixel in 0..<size { bytes[pixel * 3 + channel] = byte(images[start + channel * size + pixel]) }
            }
            initialized = 3 * size
        }
    }
}
