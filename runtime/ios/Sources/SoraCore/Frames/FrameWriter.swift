/// Takes the frames of a video in their order, as they are decoded. Called from one thread.
public protocol FrameWriter: AnyObject {
    /// A frame as RGB, three bytes for each pixel, row by row from the top. May wait until there is room for it.
    func write(_ frame: ArraySlice<UInt8>) throws
    /// All frames have been written: the video is whole when this returns.
    func finish() throws
    /// There will be no video: whatever lies on the disk of it is removed.
    func cancel()
}

/// What a video file must know beforehand.
public struct VideoFormat: Equatable, Sendable {
    public let width: Int
    public let height: Int
    public let numFrames: Int
    public let framesPerSecond: Double

    var frameBytes: Int { width * height * 3 }
}

extension VideoFormat {
    /// That of an export.
    public init(_ manifest: Manifest) {
        self.init(
            width: manifest.decoding.width, height: manifest.decoding.height, numFrames: manifest.decoding.numFrames,
            framesPerSecond: manifest.sampling.fps)
    }
}

/// Why a video cannot be written.
public struct FrameError: Error, CustomStringConvertible {
    public let path: String
    public let what: String
    public var description: String { "\(path): \(what)".printable }
}

/// Files of videos on this system: an MP4 where there is AVFoundation, else an AVI.
public enum VideoFile {
    #if canImport(AVFoundation)
        public static let suffix = "mp4"
    #else
        public static let suffix = "avi"
    #endif

    /// Begins a video at `path`, where nothing must lie. Throws FrameError.
    public static func writer(_ path: String, _ format: VideoFormat) throws -> any FrameWriter {
        #if canImport(AVFoundation)
            return try LateWriter(path, format) { try MovieEncoder(path, format).encode($0) }
        #else
            return try AVIWriter(path, format)
        #endif
    }
}
