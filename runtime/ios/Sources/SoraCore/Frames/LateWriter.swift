import Foundation

/// Encodes a video once all of its frames are there, in one go.
///
/// iOS takes the encoder from an app that is not in front, and a video that was begun by then is lost. One that is begun
/// with the generation would not survive a single pause in the background; in the end encoding takes about a second. If
/// it is interrupted then, it is done again, for as long as an app that is no longer in front goes on.
final class LateWriter: FrameWriter {
    /// Makes the whole video of the frames, where nothing lies. Throws EncodingInterrupted, or what cannot be mended.
    typealias Encode = (FrameSpool) throws -> Void
    static let mostInterruptions = 20
    private static let pauseS = 1.0

    private let path: String
    private let encode: Encode
    private let pause: () -> Void
    private var frames: FrameSpool?
    private let format: VideoFormat

    /// `pause` waits before it is tried again. Throws FrameError.
    init(
        _ path: String, _ format: VideoFormat, pause: @escaping () -> Void = { Thread.sleep(forTimeInterval: pauseS) },
        encode: @escaping Encode
    ) throws {
        self.path = path
        self.format = format
        self.pause = pause
        self.encode = encode
        guard !Files.exists(path) else { throw FrameError(path: path, what: "is there already") }
        frames = try FrameSpool(path, format)
    }

    func write(_ frame: ArraySlice<UInt8>) throws {
        guard let frames else { throw FrameError(path: path, what: "the video is over") }
        try frames.append(frame)
    }

    func finish() throws {
        guard let frames else { throw FrameError(path: path, what: "the video is over") }
        guard frames.numFrames == format.numFrames else {
            throw FrameError(
                path: path, what: "\(frames.numFrames) of \(format.numFrames) frames have been written")
        }
        var numInterruptions = 0
        while true {
            do {
                try encode(frames)
                return self.frames = nil
            } catch let error as EncodingInterrupted {
                unlink(path)
                numInterruptions += 1
                if numInterruptions > Self.mostInterruptions { throw FrameError(path: path, what: error.what) }
                pause()
            } catch {
                unlink(path)
                throw error
            }
        }
    }

    func cancel() {
        frames = nil
        unlink(path)
    }
}

/// The system has taken the encoder away: the same may go well later.
struct EncodingInterrupted: Error {
    let what: String
}
