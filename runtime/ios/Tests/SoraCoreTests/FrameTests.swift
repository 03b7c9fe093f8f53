import Foundation
import Testing

@testable import SoraCore

@Suite("Frames become a video file")
struct FrameTests {
    private let scratch: Folder
    private let export: Export
    private let format: VideoFormat

    init() throws {
        scratch = try Folder()
        export = try ToyVideo().export(scratch.path)
        format = VideoFormat(export.manifest)
    }

    private func word(_ bytes: [UInt8], _ at: Int) -> Int {
        (0..<4).reduce(0) { $0 | Int(bytes[at + $1]) << (8 * $1) }
    }

    private func name(_ bytes: [UInt8], _ at: Int) -> String { String(decoding: bytes[at..<(at + 4)], as: UTF8.self) }

    /// Everything that is in the file by its own sizes: chunks, with the way to each.
    private func chunks(_ bytes: [UInt8], _ range: Range<Int>, _ way: String = "") -> [(String, Range<Int>)] {
        var found: [(String, Range<Int>)] = []
        var at = range.lowerBound
        while at + 8 <= range.upperBound {
            let inside = (at + 8)..<(at + 8 + word(bytes, at + 4))
            guard inside.upperBound <= range.upperBound else { break }
            let title = name(bytes, at)
            if title == "RIFF" || title == "LIST" {
                let list = "\(way)/\(name(bytes, inside.lowerBound))"
                found.append((list, inside))
                found += chunks(bytes, (inside.lowerBound + 4)..<inside.upperBound, list)
            } else {
                found.append(("\(way)/\(title)", inside))
            }
            at = inside.upperBound
        }
        #expect(at == range.upperBound, "sizes add up")
        return found
    }

    @Test func anAVIHoldsEveryByteAndSaysWhereTheFramesLie() throws {
        let path = "\(scratch.path)/video.avi"
        let frames = (0..<5).map { frame in (0..<48).map { UInt8(frame * 48 + $0) } }
        let writer = try AVIWriter(path, format)
        for frame in frames { try writer.write(frame[...]) }
        #expect(!FileManager.default.fileExists(atPath: path))
        try writer.finish()
        let bytes = try Files.read(path, maxBytes: 100_000)
        let found = chunks(bytes, 0..<bytes.count)
        #expect(
            found.map(\.0) == [
                "/AVI ", "/AVI /hdrl", "/AVI /hdrl/avih", "/AVI /hdrl/strl", "/AVI /hdrl/strl/strh",
                "/AVI /hdrl/strl/strf", "/AVI /movi", "/AVI /movi/00db", "/AVI /movi/00db", "/AVI /movi/00db",
                "/AVI /movi/00db", "/AVI /movi/00db", "/AVI /idx1",
            ])
        let images = found.filter { $0.0.hasSuffix("00db") }.map(\.1)
        for (image, frame) in zip(images, frames) {
            // From the bottom row up, blue first.
            let rows = stride(from: image.lowerBound, to: image.upperBound, by: 12).reversed()
            let pixels = rows.flatMap { row in stride(from: row, to: row + 12, by: 3) }
            #expect(pixels.flatMap { [bytes[$0 + 2], bytes[$0 + 1], bytes[$0]] } == frame)
        }
        let movi = try #require(found.first { $0.0 == "/AVI /movi" }?.1)
        let index = try #require(found.last?.1)
        let places = stride(from: index.lowerBound, to: index.upperBound, by: 16).map { word(bytes, $0 + 8) }
        #expect(places.map { $0 + movi.lowerBound + 8 } == images.map(\.lowerBound))
        let (main, stream) = (found[2].1.lowerBound, found[4].1.lowerBound)
        #expect((word(bytes, main), word(bytes, main + 16), word(bytes, main + 32)) == (41_666, 5, 4))
        #expect(Double(word(bytes, stream + 24)) / Double(word(bytes, stream + 20)) == 24)
    }

    /// By whatever this system has for it: an AVI on Linux, AVFoundation's MP4 elsewhere.
    @Test func theSystemsOwnVideoIsWrittenOrLeavesNothing() throws {
        let format = VideoFormat(width: 64, height: 64, numFrames: 12, framesPerSecond: 24)
        for (name, isCancelled) in [("whole", false), ("cancelled", true)] {
            let path = "\(scratch.path)/\(name).\(VideoFile.suffix)"
            let writer = try VideoFile.writer(path, format)
            for frame in 0..<(isCancelled ? 7 : 12) {
                try writer.write([UInt8](repeating: UInt8(20 * frame), count: 64 * 64 * 3)[...])
            }
            if isCancelled { writer.cancel() } else { try writer.finish() }
            #expect(isCancelled ? Files.numBytes(path) == nil : (Files.numBytes(path) ?? 0) > 100)
        }
    }

    private func late(_ encode: @escaping LateWriter.Encode) throws -> LateWriter {
        try LateWriter("\(scratch.path)/video.mp4", format, pause: {}, encode: encode)
    }

    private func frame(_ number: Int) -> [UInt8] { (0..<48).map { UInt8(number * 48 + $0) } }

    @Test func aVideoIsEncodedOnceAllFramesAreThere() throws {
        var encoded: [[UInt8]] = []
        let writer = try late { frames in encoded = try (0..<frames.numFrames).map(frames.frame) }
        for number in 0..<5 {
            #expect(encoded.isEmpty)
            try writer.write(frame(number)[...])
        }
        try writer.finish()
        #expect(encoded == (0..<5).map(frame))
    }

    /// iOS takes the encoder from an app in the background; the frames are kept, and what was begun is not.
    @Test func anInterruptedVideoIsEncodedAgainFromItsFirstFrame() throws {
        let path = "\(scratch.path)/video.mp4"
        var numTried = 0
        let writer = try late { frames in
            #expect(!Files.exists(path))
            try Data(try frames.frame(4)).write(to: URL(fileURLWithPath: path))
            numTried += 1
            if numTried < 4 { throw EncodingInterrupted(what: "the app is not in front") }
        }
        for number in 0..<5 { try writer.write(frame(number)[...]) }
        try writer.finish()
        #expect(numTried == 4)
        #expect(try Files.read(path, maxBytes: 100) == frame(4))
    }

    @Test func whatIsInterruptedAgainAndAgainIsGivenUp() throws {
        var numTried = 0
        let writer = try late { _ in
            numTried += 1
            throw EncodingInterrupted(what: "the app is not in front")
        }
        for number in 0..<5 { try writer.write(frame(number)[...]) }
        let error = #expect(throws: FrameError.self) { try writer.finish() }
        #expect(error?.what == "the app is not in front")
        #expect(numTried == LateWriter.mostInterruptions + 1)
    }

    @Test func whatCannotBeEncodedLeavesNothing() throws {
        let path = "\(scratch.path)/video.mp4"
        let writer = try late { _ in
            try Data([1]).write(to: URL(fileURLWithPath: path))
            throw FrameError(path: path, what: "the disk is full")
        }
        #expect(throws: FrameError.self) { try writer.finish() }
        for number in 0..<5 { try writer.write(frame(number)[...]) }
        #expect(throws: FrameError.self) { try writer.write(frame(0)[...]) }
        let error = #expect(throws: FrameError.self) { try writer.finish() }
        #expect(error?.what == "the disk is full")
        #expect(!Files.exists(path))
        writer.cancel()
        #expect(throws: FrameError.self) { try writer.write(frame(0)[...]) }
    }

    @Test func whatLiesThereIsNotReplaced() throws {
        try Data([1]).write(to: URL(fileURLWithPath: "\(scratch.path)/video.mp4"))
        #expect(throws: FrameError.self) { try late { _ in } }
    }

    @Test func rowsAreFilledUpToFourBytes() {
        var manifest = AVIWriter.Layout(format)
        #expect(manifest.rowBytes == 12)
        manifest = AVIWriter.Layout(VideoFormat(width: 5, height: 2, numFrames: 1, framesPerSecond: 30))
        #expect(manifest.rowBytes == 16)
    }

    @Test func aCancelledVideoLeavesNothing() throws {
        let path = "\(scratch.path)/video.avi"
        let writer = try AVIWriter(path, format)
        try writer.write([UInt8](repeating: 0, count: 48)[...])
        writer.cancel()
        let left = try FileManager.default.contentsOfDirectory(atPath: scratch.path)
        #expect(left.filter { $0.contains("video") } == [])
    }

    @Test func tooFewFramesAreNoVideo() throws {
        let writer = try AVIWriter("\(scratch.path)/video.avi", format)
        try writer.write([UInt8](repeating: 0, count: 48)[...])
        let error = #expect(throws: FrameError.self) { try writer.finish() }
        #expect(error?.description.hasSuffix("1 of 5 frames have been written") == true)
        writer.cancel()
    }

    @Test(arguments: [0, 47, 49])
    func aFrameOfAnotherSizeIsRefused(count: Int) throws {
        let writer = try AVIWriter("\(scratch.path)/video.avi", format)
        #expect(throws: FrameError.self) { try writer.write([UInt8](repeating: 0, count: count)[...]) }
        writer.cancel()
    }

    @Test func moreThanAnAVIHoldsIsRefusedBeforehand() {
        let large = VideoFormat(width: 4000, height: 4000, numFrames: 100, framesPerSecond: 24)
        let error = #expect(throws: FrameError.self) { try AVIWriter("\(scratch.path)/video.avi", large) }
        #expect(error?.what.contains("more than an AVI holds") == true)
    }

    @Test func whereNothingCanBeWrittenThatIsSaid() {
        let error = #expect(throws: FrameError.self) { try AVIWriter("\(scratch.path)/not/there/video.avi", format) }
        #expect(error?.description.hasSuffix("not/there/video.avi: cannot be written") == true)
    }

    @Test func anImageIsTakenOutOfABatch() {
        let images: [Float] = [0, 0, 0, 0, 0, 0] + [-1, 1, 0, 0.5, -2, 2]
        #expect(Levels.rgb(images[...], image: 1, height: 1, width: 2) == [0, 128, 0, 255, 191, 255])
    }
}
