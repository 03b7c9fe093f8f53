import Foundation

/// A video of uncompressed frames as an AVI, which common players open, at its own rate, and which loses nothing: every
/// byte of a frame is in the file. (YUV4MPEG2 would round colours, a row of PPM files knows no rate.)
///
/// All sizes are known beforehand, so that it is written from front to back.
public final class AVIWriter: FrameWriter {
    private static let maxBytes = 1 << 31  // what older readers take for the limit of a RIFF file

    private let path: String
    private let partial: String
    private let format: VideoFormat
    private let file: FileHandle
    private var numWritten = 0

    /// Begins a video at `path`; it lies beside it, as `.part`, until it is whole. Throws FrameError.
    public init(_ path: String, _ format: VideoFormat) throws {
        self.path = path
        self.format = format
        partial = path + ".part"
        let layout = Layout(format)
        guard layout.fileBytes <= Self.maxBytes else {
            throw FrameError(path: path, what: "\(layout.fileBytes) bytes are more than an AVI holds")
        }
        guard FileManager.default.createFile(atPath: partial, contents: nil),
            let file = FileHandle(forWritingAtPath: partial)
        else { throw FrameError(path: path, what: "cannot be written") }
        self.file = file
        try put(layout.header)
    }

    public func write(_ frame: ArraySlice<UInt8>) throws {
        guard frame.count == format.frameBytes, numWritten < format.numFrames else {
            throw FrameError(path: path, what: "frame \(numWritten) of \(frame.count) bytes is none of this video")
        }
        let layout = Layout(format)
        var chunk = layout.frameHead
        // Rows from the bottom up, each pixel as blue, green, red, each row a multiple of four bytes.
        for row in (0..<format.height).reversed() {
            let start = frame.startIndex + row * format.width * 3
            for pixel in stride(from: start, to: start + format.width * 3, by: 3) {
                chunk.append(frame[pixel + 2])
                chunk.append(frame[pixel + 1])
                chunk.append(frame[pixel])
            }
            chunk.append(contentsOf: repeatElement(0, count: layout.rowBytes - format.width * 3))
        }
        try put(chunk)
        numWritten += 1
    }

    public func finish() throws {
        guard numWritten == format.numFrames else {
            throw FrameError(path: path, what: "\(numWritten) of \(format.numFrames) frames have been written")
        }
        try put(Layout(format).index)
        do {
            try file.close()
        } catch { throw FrameError(path: path, what: "cannot be written: \(error.localizedDescription)") }
        guard rename(partial, path) == 0 else {
            throw FrameError(path: path, what: "cannot be written: \(String(cString: strerror(errno)))")
        }
    }

    public func cancel() {
        try? file.close()
        unlink(partial)
    }

    private func put(_ bytes: [UInt8]) throws {
        do {
            try file.write(contentsOf: bytes)
        } catch { throw FrameError(path: path, what: "cannot be written: \(error.localizedDescription)") }
    }
}

extension AVIWriter {
    /// What stands where in the file.
    struct Layout {
        private static let headBytes = 8  // of a chunk: name and size
        private static let millisPerSecond = 1000

        let format: VideoFormat
        init(_ format: VideoFormat) { self.format = format }

        var rowBytes: Int { (format.width * 3 + 3) / 4 * 4 }
        private var imageBytes: Int { rowBytes * format.height }
        private var moviBytes: Int { 4 + format.numFrames * (Self.headBytes + imageBytes) }
        private var indexBytes: Int { format.numFrames * 16 }
        var fileBytes: Int { header.count + moviBytes - 4 + Self.headBytes + indexBytes }

        var frameHead: [UInt8] { name("00db") + word(imageBytes) }

        /// From the file's first byte up to the first frame.
        var header: [UInt8] {
            let (hasIndex, anyQuality, bitsPerPixel) = (0x10, 0xffff_ffff, 24)
            let rate = Int((format.framesPerSecond * Double(Self.millisPerSecond)).rounded())
            let main = words([
                Int(1e6 / format.framesPerSecond), Int(Double(imageBytes) * format.framesPerSecond), 0, hasIndex,
                format.numFrames, 0, 1, imageBytes, format.width, format.height, 0, 0, 0, 0,
            ])
            let stream =
                name("vids") + name("DIB ")
                + words([0, 0, 0, Self.millisPerSecond, rate, 0, format.numFrames, imageBytes, anyQuality, 0, 0])
                + halves([format.width, format.height])
            let image =
                words([40, format.width, format.height]) + halves([1, bitsPerPixel])
                + words([0, imageBytes, 0, 0, 0, 0])
            let streams = list("strl", chunk("strh", stream) + chunk("strf", image))
            let headers = list("hdrl", chunk("avih", main) + streams)
            let rest = 4 + headers.count + Self.headBytes + moviBytes + Self.headBytes + indexBytes
            let movi = name("LIST") + word(moviBytes) + name("movi")
            return name("RIFF") + word(rest) + name("AVI ") + headers + movi
        }

        /// Behind the last frame: where each lies, from the word `movi` on.
        var index: [UInt8] {
            let isWhole = 0x10
            let entries = (0..<format.numFrames).flatMap { frame in
                name("00db") + words([isWhole, 4 + frame * (Self.headBytes + imageBytes), imageBytes])
            }
            return chunk("idx1", entries)
        }

        private func name(_ text: String) -> [UInt8] { Array(text.utf8) }
        private func chunk(_ title: String, _ bytes: [UInt8]) -> [UInt8] { name(title) + word(bytes.count) + bytes }
        private func list(_ title: String, _ bytes: [UInt8]) -> [UInt8] { chunk("LIST", name(title) + bytes) }
        private func halves(_ numbers: [Int]) -> [UInt8] { numbers.flatMap { word($0).prefix(2) } }
        private func words(_ numbers: [Int]) -> [UInt8] { numbers.flatMap(word) }

        /// Little-endian, 32 bits; what is larger is the largest.
        private func word(_ number: Int) -> [UInt8] {
            let word = UInt32(clamping: number)
            return (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * UInt32($0))) }
        }
    }
}
