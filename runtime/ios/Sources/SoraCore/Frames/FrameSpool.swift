import Foundation

/// Frames on the disk, in their order, until a video is made of them. The file has no name: whatever ends the app, it is
/// gone with it.
final class FrameSpool {
    let format: VideoFormat
    private(set) var numFrames = 0
    /// Of the video that they are for.
    private let path: String
    private let file: FileHandle

    /// Of the video at `path`. Throws FrameError.
    init(_ path: String, _ format: VideoFormat) throws {
        self.path = path
        self.format = format
        let name = "\(NSTemporaryDirectory())/frames-\(UUID().uuidString)"
        guard FileManager.default.createFile(atPath: name, contents: nil),
            let file = FileHandle(forUpdatingAtPath: name)
        else { throw FrameError(path: path, what: "its frames cannot be kept in \(NSTemporaryDirectory())") }
        unlink(name)
        self.file = file
    }

    /// Throws FrameError if it is not a frame of this video, or cannot be kept.
    func append(_ frame: ArraySlice<UInt8>) throws {
        guard frame.count == format.frameBytes, numFrames < format.numFrames else {
            throw FrameError(path: path, what: "frame \(numFrames) of \(frame.count) bytes is none of this video")
        }
        do {
            try file.seekToEnd()
            try file.write(contentsOf: frame)
        } catch { throw FrameError(path: path, what: "frame \(numFrames): \(error.localizedDescription)") }
        numFrames += 1
    }

    /// As it was appended. Throws FrameError.
    func frame(_ number: Int) throws -> [UInt8] {
        do {
            try file.seek(toOffset: UInt64(number * format.frameBytes))
            let bytes = try file.read(upToCount: format.frameBytes) ?? Data()
            if bytes.count == format.frameBytes { return [UInt8](bytes) }
        } catch { throw FrameError(path: path, what: "frame \(number): \(error.localizedDescription)") }
        throw FrameError(path: path, what: "frame \(number) has been lost")
    }
}
