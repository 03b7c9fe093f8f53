import Foundation
import Testing
import ToyBlocks

@testable import SoraCore

/// A program that captures, in a process of its own that is ended without a word.
private struct Child {
    let folder: Folder
    var arguments: [String] = []

    /// Beside the tests: on Linux a program, on macOS a bundle that another program has loaded.
    static var program: String {
        get throws {
            let beside =
                [URL(fileURLWithPath: CommandLine.arguments[0])] + Bundle.allBundles.map(\.bundleURL)
            let found = beside.map { $0.deletingLastPathComponent().appendingPathComponent("toy-harness").path }
            return try #require(found.first(where: FileManager.default.isExecutableFile), "none of \(found)")
        }
    }

    func start() throws -> (Process, Pipe) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try Self.program)
        process.arguments = [folder.file("capture.json"), folder.file("state")] + arguments
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        return (process, output)
    }

    /// Ends it without a word once its journal has grown by so many bytes, if it has not come to its end before.
    func killed(afterBytes growth: Int) throws {
        let journal = folder.file("state/journal.jsonl")
        let before = Files.numBytes(journal) ?? 0
        let (process, output) = try start()
        while process.isRunning, Files.numBytes(journal) ?? 0 < before + growth { usleep(200) }
        kill(process.processIdentifier, SIGKILL)
        _ = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
    }

    /// Runs to its end. Its status, -9 for a kill, and what it said.
    func run() throws -> (status: Int32, text: String) {
        let (process, output) = try start()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        let isKilled = process.terminationReason == .uncaughtSignal
        return (isKilled ? -process.terminationStatus : process.terminationStatus, text)
    }
}

@Suite("Ended at any moment, journal and capture are whole")
struct KillTests {
    /// As iOS does it: over the limit, in the middle of a load. Toys hold 100 bytes, and 30 more while they are loaded.
    @Test func theLimitEndsItAndTheNextStartSaysWhere() throws {
        let folder = try Folder()
        let child = Child(folder: folder, arguments: ["--limit", "1120"])
        #expect(try child.run().status == -9)
        let second = try child.run()
        #expect(second.status == -9)
        #expect(
            second.text
                == "The app was ended at 1.00 kB of 1.12 kB while loading block 'spatial_0..temporal_0' of denoiser, "
                + "on cpu_and_gpu\n")
        let capture = try #require(try Capture.read(path: folder.file("capture.json")))
        #expect(capture.blocks == [])
        #expect(capture.failures.map(\.block.package) == ["b0.mlpackage"])
        #expect((capture.failures[0].footprintBytes, capture.failures[0].limitBytes) == (1_000, 1_120))
    }

    @Test func blocksThatEndItAreLeftOutAtLast() throws {
        let folder = try Folder()
        let child = Child(folder: folder, arguments: ["--limit", "1120"])
        var last = try child.run()
        for _ in 0..<12 where last.status == -9 { last = try child.run() }
        #expect(last.status == 0, "two ends for each of three packages' two functions, and none after that")
        let capture = try #require(try Capture.read(path: folder.file("capture.json")))
        #expect(capture.failures.count == 12)
        #expect(last.text.components(separatedBy: "left out: ").count == 7)
    }

    /// A hundred times, after anything from nothing to most of a capture.
    @Test func aHundredTimes() throws {
        var random = SplitMix(state: 21)
        let manifest = try ToyExport(hasMerging: true).manifest()
        let names = Set(manifest.blocks.flatMap { block in block.functions.map { BlockFunction(block, $0) } })
        var (numEndings, numCaptures, numWhole) = (0, 0, 0)
        var folder = try Folder()
        for round in 0..<100 {
            if round % 10 == 0 { folder = try Folder() }
            let child = Child(folder: folder, arguments: ["--slow", "0.002"])
            try child.killed(afterBytes: Int.random(in: 0...20_000, using: &random))
            let journal = folder.file("state/journal.jsonl")
            if Files.numBytes(journal) != nil {
                let read = try Journal.read(try Files.read(journal, maxBytes: 1 << 20), file: journal).journal
                for ending in read.endings {
                    numEndings += 1
                    #expect(ending.begun.allSatisfy { names.contains($0.block) })
                    #expect(ending.footprintBytes != nil)
                }
            }
            if let capture = try Capture.read(path: folder.file("capture.json")) {
                numCaptures += 1
                #expect(capture.blocks.allSatisfy { names.contains($0.block) && $0.laterLoadS.count == 3 })
                #expect(capture.failures.allSatisfy { names.contains($0.block) })
                numWhole += capture.blocks.count == names.count ? 1 : 0
            }
        }
        #expect(numEndings > 20, "most ends came in the middle of something: \(numEndings)")
        #expect(numCaptures > 20, "\(numCaptures) captures, \(numWhole) of them whole")
    }

    @Test func afterAllThatItIsFinished() throws {
        let folder = try Folder()
        let slow = Child(folder: folder, arguments: ["--slow", "0.002"])
        for growth in [5_000, 12_000, 1] { try slow.killed(afterBytes: growth) }
        let last = try Child(folder: folder).run()
        #expect(last.status == 0, "\(last.text)")
        let capture = try #require(try Capture.read(path: folder.file("capture.json")))
        let left = last.text.components(separatedBy: "left out: ").count - 1
        #expect(capture.blocks.count + left == 6)
        #expect(try JournalKeeper(folder: folder.file("state"), meter: SystemMeter()).lastEnding == nil)
    }

    /// As on a full disk: no file may grow any more.
    @Test(arguments: [0, 1, 2, 8])
    func aDiskThatIsFullIsOneMessage(kilobytes: Int) throws {
        let folder = try Folder()
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments = [
            "-c", "trap '' XFSZ; ulimit -f \(kilobytes); exec \"$0\" \"$@\"",
            try Child.program, folder.file("capture.json"), folder.file("state"),
        ]
        let (output, errors) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        let text = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 2)
        #expect(text.hasPrefix("error: ") && text.components(separatedBy: "\n").count == 2, "\(text)")
        #expect(text.contains("cannot be written: there is no space left on the disk. Make room, then start again"))
        _ = try Capture.read(path: folder.file("capture.json"))
        #expect(try JournalKeeper(folder: folder.file("state"), meter: SystemMeter()).damages == [])
    }
}
