import Foundation
import Testing
import ToyBlocks

@testable import SoraCore

/// A function of a toy export.
func toyBlock(_ number: Int = 0, kind: Manifest.FunctionKind = .plain, merging: Bool = false) throws -> BlockFunction {
    let block = try ToyExport(numBlocks: number + 1, hasMerging: merging).manifest().blocks[number]
    return BlockFunction(block, try #require(block.function(kind)))
}

private func keeper(_ folder: Folder, _ toy: ToyBlocks = ToyBlocks()) throws -> JournalKeeper {
    try JournalKeeper(folder: folder.path, meter: toy)
}

private struct Mistake: Error {}

@Suite("The journal tells how the app was ended")
struct JournalTests {
    private let folder: Folder

    init() throws { folder = try Folder() }

    @Test func whatHadBegunWasBeingDone() throws {
        let toy = ToyBlocks()
        toy.limitBytes = 1_400
        do {
            let session = try keeper(folder, toy).begin(.generation)
            try session.end(try session.begin(.load, toyBlock(0)))
            _ = try session.begin(.run, toyBlock(1))
        }
        let ending = try #require(try keeper(folder).lastEnding)
        #expect(ending.purpose == .generation)
        #expect(ending.begun == [Ending.Begun(action: .run, block: try toyBlock(1))])
        #expect(ending.footprintBytes == 1_000)
        #expect(ending.limitBytes == 1_400)
        #expect(
            ending.description
                == "The app was ended at 1.00 kB of 1.40 kB while running block 'spatial_1..temporal_1' of denoiser, "
                + "on cpu_and_gpu")
    }

    @Test func whatHasEndedWasNot() throws {
        do {
            let session = try keeper(folder).begin(.profile)
            try session.end(try session.begin(.load, toyBlock()))
        }
        #expect(try keeper(folder).lastEnding == nil)
    }

    @Test func aSessionThatWasClosedHasNoEnding() throws {
        do {
            let session = try keeper(folder).begin(.profile)
            _ = try session.begin(.load, toyBlock())
            session.close()
        }
        #expect(try keeper(folder).endings == [])
    }

    @Test func ofTwoThingsThatWentOnTheLastIsNamedFirst() throws {
        do {
            let session = try keeper(folder).begin(.generation)
            _ = try session.begin(.run, toyBlock(0))
            _ = try session.begin(.load, toyBlock(1))
        }
        let ending = try #require(try keeper(folder).lastEnding)
        #expect(ending.begun.map(\.action) == [.run, .load])
        #expect(ending.last.block.package == "b1.mlpackage")
    }

    @Test func anEndingIsKeptWhileSessionsFollow() throws {
        do { _ = try keeper(folder).begin(.profile).begin(.load, toyBlock(0)) }
        do { try keeper(folder).begin(.profile).close() }
        do { _ = try keeper(folder).begin(.generation).begin(.run, toyBlock(1)) }
        let found = try keeper(folder)
        #expect(found.endings.map(\.last.block.package) == ["b0.mlpackage", "b1.mlpackage"])
        #expect(found.lastEnding == found.endings.last)
    }

    @Test func theLastEndingIsTheLastSessions() throws {
        do { _ = try keeper(folder).begin(.profile).begin(.load, toyBlock(0)) }
        do { try keeper(folder).begin(.profile).close() }
        #expect(try keeper(folder).lastEnding == nil)
    }

    @Test func aFootprintThatGrowsIsKept() throws {
        do {
            let session = try keeper(folder).begin(.profile)
            _ = try session.begin(.load, toyBlock())
            session.note(footprintBytes: 50_000_000)
            session.note(footprintBytes: 50_000_001)
            session.note(footprintBytes: 20_000_000)
        }
        #expect(try keeper(folder).lastEnding?.footprintBytes == 50_000_000)
        #expect(try folder.text("journal.jsonl").components(separatedBy: "\n").count == 5)
    }

    @Test func aFootprintCountsOnlyWhileSomethingGoesOn() throws {
        let session = try keeper(folder).begin(.profile)
        session.note(footprintBytes: 50_000_000)
        #expect(try !folder.text("journal.jsonl").contains("50000000"))
    }

    @Test func inTheBackgroundAppsAreEndedForLess() throws {
        do {
            let session = try keeper(folder).begin(.generation)
            _ = try session.begin(.load, toyBlock())
            session.note(isInBackground: true)
        }
        let ending = try #require(try keeper(folder).lastEnding)
        #expect(ending.isInBackground)
        #expect(ending.description.contains("in the background while loading"))
    }

    @Test func backFromTheBackgroundItIsAsBefore() throws {
        do {
            let session = try keeper(folder).begin(.generation)
            _ = try session.begin(.load, toyBlock())
            session.note(isInBackground: true)
            session.note(isInBackground: false)
        }
        #expect(try keeper(folder).lastEnding?.isInBackground == false)
    }

    @Test func anEndBetweenTwoBlocksIsKnown() throws {
        do {
            let session = try keeper(folder).begin(.generation)
            _ = try session.record(.load, toyBlock()) { 7 }
            session.note(isInBackground: true)
        }
        do {
            let keeper = try keeper(folder)
            #expect(keeper.lastEnding == nil && keeper.endings == [])
            #expect(keeper.lastCutShort == CutShort(purpose: .generation, isInBackground: true))
            try keeper.begin(.profile).close()
        }
        #expect(try keeper(folder).lastCutShort == nil)
    }

    @Test func whatFailsHasEndedToo() throws {
        do {
            let session = try keeper(folder).begin(.profile)
            #expect(throws: Mistake.self) { try session.record(.load, toyBlock()) { throw Mistake() } }
            #expect(try session.record(.run, toyBlock()) { 7 } == 7)
        }
        #expect(try keeper(folder).lastEnding == nil)
    }

    @Test func nothingIsToldOfWhatTheSystemDoesNotSay() throws {
        let toy = ToyBlocks()
        toy.tellsFootprint = false
        do { _ = try keeper(folder, toy).begin(.profile).begin(.load, toyBlock()) }
        let ending = try #require(try keeper(folder).lastEnding)
        #expect(ending.footprintBytes == nil && ending.limitBytes == nil)
        #expect(ending.description.hasPrefix("The app was ended while loading block"))
    }

    @Test func namesOfFunctionsAndUnitsAreKept() throws {
        let block = try toyBlock(1, kind: .tdtm, merging: true)
        do { _ = try keeper(folder).begin(.profile).begin(.load, block) }
        let ending = try #require(try keeper(folder).lastEnding)
        #expect(ending.last.block == block)
        #expect(ending.last.doing == "loading block 'spatial_1..temporal_1' of denoiser, tdtm, on cpu_and_gpu")
    }

    @Test func twoAtATimeAreRefused() throws {
        let first = try keeper(folder)
        let error = #expect(throws: DocumentError.self) { try keeper(folder) }
        #expect(error?.description.contains("journal.jsonl: another run writes it") == true)
        withExtendedLifetime(first) {}
    }

    @Test func itsFolderIsMade() throws {
        let path = folder.file("a/b")
        _ = try JournalKeeper(folder: path, meter: ToyBlocks()).begin(.profile)
        #expect(FileManager.default.fileExists(atPath: "\(path)/journal.jsonl"))
    }

    @Test func aFolderThatCannotBeMadeIsOneMessage() throws {
        try folder.write("file", "")
        let error = #expect(throws: DocumentError.self) {
            try JournalKeeper(folder: folder.file("file/state"), meter: ToyBlocks())
        }
        #expect(error?.description.hasSuffix("file/state: the folder cannot be made. Choose another folder") == true)
    }

    @Test func aJournalThatIsNoFileIsOneMessage() throws {
        try FileManager.default.createDirectory(atPath: folder.file("journal.jsonl"), withIntermediateDirectories: true)
        #expect(throws: DocumentError.self) { try keeper(folder) }
    }

    @Test func aLongJournalKeepsItsEndingsAndNothingElse() throws {
        do {
            let session = try keeper(folder).begin(.profile)
            _ = try session.begin(.load, toyBlock(0))
        }
        let begun = Ending.Begun(action: .run, block: try toyBlock(1))
        let lines = (1...3_000).map { JournalText.begin($0, begun, footprint: 7, limit: nil) + JournalText.end($0) }
        let session = JournalText.session(.generation, date: Date()) + lines.joined() + JournalText.closed
        try folder.write("journal.jsonl", (try folder.text("journal.jsonl")) + session)
        #expect(session.utf8.count > 1_000_000)
        let endings = try keeper(folder).endings
        #expect(endings.count == 1)
        #expect(try folder.text("journal.jsonl").utf8.count < 2_000)
        #expect(try keeper(folder).endings == endings)
        do { try keeper(folder).begin(.profile).close() }
        #expect(try keeper(folder).endings == endings)
    }
}

@Suite("A journal is read strictly")
struct JournalReadingTests {
    private static func text() throws -> String {
        let folder = try Folder()
        do {
            let session = try JournalKeeper(folder: folder.path, meter: ToyBlocks()).begin(.profile)
            try session.end(try session.begin(.load, toyBlock(0)))
            _ = try session.begin(.run, toyBlock(0))
            session.note(footprintBytes: 90_000_000)
        }
        return try folder.text("journal.jsonl")
    }

    /// Cut off anywhere, the whole lines count; none is made up.
    @Test func cutOffAnywhereTheWholeLinesCount() throws {
        let bytes = Array(try Self.text().utf8)
        for end in 0...bytes.count {
            let (journal, numBytes) = try Journal.read(Array(bytes[..<end]), file: "j")
            let numLines = bytes[..<end].count { $0 == 0x0a }
            #expect(numBytes <= end && (numBytes == 0 || bytes[numBytes - 1] == 0x0a))
            let expected: [Ending.Action?] = [nil, nil, nil, .load, nil, .run, .run]
            #expect(journal.sessions.last?.ending?.last.action == expected[numLines], "\(numLines) lines")
        }
    }

    @Test func whatFollowsABrokenLineIsWhole() throws {
        let folder = try Folder()
        let text = try Self.text()
        try folder.write("journal.jsonl", String(text.dropLast(10)))
        do { try JournalKeeper(folder: folder.path, meter: ToyBlocks()).begin(.profile).close() }
        let keeper = try JournalKeeper(folder: folder.path, meter: ToyBlocks())
        #expect(keeper.damages == [])
        #expect(keeper.endings.map(\.last.action) == [.run])
    }

    @Test(arguments: [
        ("{\"end\": 1}", "{\"end\": 3}", "j:4: 3 has not begun"),
        ("\"session\": \"profile\"", "\"session\": \"party\"", "j:2: session: expected one of generation, profile"),
        ("\"begin\": 2", "\"begin\": 0", "j:5: begin: expected a whole number"),
        ("\"action\": \"run\"", "\"action\": \"sing\"", "j:5: action: expected one of load, run"),
        ("\"kind\": \"plain\", ", "", "j:3: the key 'kind' is missing"),
        ("\"kind\": \"plain\"", "\"kind\": \"plain\", \"mood\": 1", "j:3: mood: this key is not known"),
        ("b0.mlpackage", "../b0.mlpackage", "j:3: package: expected the name of a .mlpackage"),
        ("{\"end\": 1}", "{\"end\": 1", "j:4: not valid JSON"), ("{\"end\": 1}", "[1]", "j:4: expected an object"),
        ("{\"end\": 1}", "{\"sum\": 1}", "j:4: 'sum' is nothing that a journal tells"),
        ("{\"end\": 1}", "", "j:4: not valid JSON"), ("journal-1", "journal-2", "j:1: format: not a journal"),
        ("{\"end\": 1}", "{\"closed\": true}\n{\"end\": 1}", "j:5: the session is closed"),
        ("\"footprint_bytes\": 90000000", "\"footprint_bytes\": -1", "j:6: footprint_bytes: expected a whole number"),
    ])
    func oneThingWrong(before: String, after: String, words: String) throws {
        let text = try Self.text()
        #expect(text.contains(before))
        let error = #expect(throws: DocumentError.self) {
            try Journal.read(Array(text.replacingFirst(before, with: after).utf8), file: "j")
        }
        #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }

    @Test func aDamagedJournalIsSetAsideAndANewOneBegun() throws {
        let folder = try Folder()
        try folder.write("journal.jsonl", "\u{1b}[31m\n" + (try Self.text()))
        let damaged = try JournalKeeper(folder: folder.path, meter: ToyBlocks())
        #expect(damaged.endings == [])
        #expect(damaged.damages.count == 1)
        #expect(damaged.damages[0].description.contains("journal.jsonl:1"))
        #expect(try folder.names() == ["journal.jsonl", "journal.jsonl.damaged", "loads.jsonl"])
        try damaged.begin(.profile).close()
    }

    @Test func noJournalEndsTheProgram() throws {
        var random = SplitMix(state: 19)
        let document = Array(try Self.text().utf8)
        var numTaken = 0
        for _ in 0..<2_000 {
            var bytes = document
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let at = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.removeSubrange(at..<min(bytes.count, at + 5))
                default: bytes.insert(contentsOf: bytes[..<min(bytes.count, 40)], at: at)
                }
            }
            do {
                _ = try Journal.read(bytes, file: "j").journal.endings.map(\.description)
                numTaken += 1
            } catch { #expect(error is DocumentError) }
        }
        #expect((1...1_500).contains(numTaken), "some still are journals, most are not: \(numTaken)")
    }
}

@Suite("Which load of a package is the first")
struct LoadRecordTests {
    private let folder: Folder

    init() throws { folder = try Folder() }

    private func record(_ system: String = "22B83", place: String = "/app") throws -> LoadRecord {
        try LoadRecord(path: folder.file("loads.jsonl"), system: system, place: place)
    }

    @Test func theFirstIsTheFirstOfTheInstall() throws {
        let block = try toyBlock()
        do {
            let record = try record()
            #expect(record.novelty(of: block) == .first)
            try record.note(block)
            #expect(record.novelty(of: block) == .later)
        }
        #expect(try record().novelty(of: block) == .later)
    }

    /// Core ML compiles anew what another version of the system had compiled.
    @Test func afterAnUpdateOfTheSystemALoadIsTheFirstAgain() throws {
        let block = try toyBlock()
        do { try record("22B83").note(block) }
        do {
            let record = try record("22C152")
            #expect(record.novelty(of: block) == .first)
            try record.note(block)
            #expect(record.novelty(of: block) == .later)
        }
        #expect(try record("22B83").novelty(of: block) == .later)
    }

    /// Whether Core ML still finds what it has compiled when the app's folder has moved, no document says.
    @Test func whereTheAppHasMovedALoadIsNeitherOnce() throws {
        let block = try toyBlock()
        do { try record(place: "/containers/1").note(block) }
        do {
            let record = try record(place: "/containers/2")
            #expect(record.novelty(of: block) == .unclear)
            try record.note(block)
        }
        #expect(try record(place: "/containers/2").novelty(of: block) == .later)
    }

    @Test func anotherFunctionOfAPackageIsNeither() throws {
        let record = try record()
        try record.note(toyBlock(merging: true))
        #expect(record.novelty(of: try toyBlock(kind: .tdtm, merging: true)) == .unclear)
        #expect(record.novelty(of: try toyBlock(1, merging: true)) == .first)
    }

    @Test func otherComputeUnitsAreNeither() throws {
        let manifest = try ToyExport().manifest()
        let function = try #require(manifest.blocks[0].function(.plain))
        let record = try record()
        try record.note(BlockFunction(manifest.blocks[0], function))
        #expect(record.novelty(of: BlockFunction(manifest.blocks[0], function, on: .all)) == .unclear)
    }

    @Test func nothingIsWrittenTwice() throws {
        let record = try record()
        try record.note(toyBlock())
        try record.note(toyBlock())
        #expect(try folder.text("loads.jsonl").split(separator: "\n").count == 2)
    }

    @Test func aJournaledLoadIsNoted() throws {
        let keeper = try JournalKeeper(folder: folder.path, meter: ToyBlocks())
        let session = try keeper.begin(.generation)
        #expect(keeper.novelty(of: try toyBlock()) == .first)
        _ = try session.begin(.run, toyBlock())
        #expect(keeper.novelty(of: try toyBlock()) == .first)
        _ = try session.begin(.load, toyBlock())
        #expect(keeper.novelty(of: try toyBlock()) == .later)
    }

    /// A load that the app was ended in has compiled something; what, nobody knows.
    @Test func aLoadThatWasNotEndedCounts() throws {
        do {
            let keeper = try JournalKeeper(folder: folder.path, meter: ToyBlocks(), system: "22B83")
            _ = try keeper.begin(.profile).begin(.load, toyBlock())
        }
        #expect(try record(place: folder.path).novelty(of: toyBlock()) == .later)
    }

    @Test(arguments: ["{\"sha256\": 1}\n", "x\n", "{\"format\": \"other\"}\n", "\n"])
    func ofADamagedRecordNoLoadIsTheFirst(line: String) throws {
        do { try record().note(toyBlock(0)) }
        try folder.write("loads.jsonl", (try folder.text("loads.jsonl")) + line)
        let record = try record()
        #expect(record.damage != nil)
        #expect(record.novelty(of: try toyBlock(0)) == .later)
        #expect(record.novelty(of: try toyBlock(1)) == .unclear)
        #expect(try JournalKeeper(folder: folder.path, meter: ToyBlocks()).damages.count == 1)
    }

    @Test func aLineThatBreaksOffIsCutOff() throws {
        do { try record().note(toyBlock(0)) }
        try folder.write("loads.jsonl", (try folder.text("loads.jsonl")) + "{\"sha2")
        do {
            let record = try record()
            #expect(record.damage == nil)
            try record.note(toyBlock(1))
        }
        let record = try record()
        #expect(record.damage == nil)
        #expect(record.novelty(of: try toyBlock(1)) == .later)
    }
}

@Suite("Files are whole or not there")
struct FilesWritingTests {
    private let folder: Folder

    init() throws { folder = try Folder() }

    @Test func aFileIsReplacedWhole() throws {
        try Files.replace(folder.file("a"), with: "one")
        try Files.replace(folder.file("a"), with: "two\n")
        #expect(try folder.text("a") == "two\n")
        #expect(try folder.names() == ["a"])
    }

    @Test func whatAnEarlierEndHasLeftIsNoHindrance() throws {
        try folder.write("a.new", "a longer text that is left over")
        try Files.replace(folder.file("a"), with: "one")
        #expect(try folder.text("a") == "one")
        #expect(try folder.names() == ["a"])
    }

    @Test func aFolderThatIsMissingIsOneMessage() {
        let error = #expect(throws: DocumentError.self) { try Files.replace(folder.file("b/a"), with: "") }
        #expect(
            error?.description
                == "\(folder.file("b/a")): cannot be written: there is no such folder. Make the folder first")
    }

    @Test func aFolderInItsPlaceIsOneMessage() throws {
        try Files.makeFolder(folder.file("a"))
        let error = #expect(throws: DocumentError.self) { try Files.replace(folder.file("a"), with: "") }
        #expect(error?.description.contains("/a: cannot be written: ") == true)
        #expect(try folder.names() == ["a"])
    }

    @Test func appendedBytesFollowEachOther() throws {
        let file = try AppendedFile(path: folder.file("a"))
        try file.append(Array("one\n".utf8), isSynced: false)
        try file.append(Array("two\n".utf8), isSynced: true)
        #expect(try file.contents(maxBytes: 100) == Array("one\ntwo\n".utf8))
        try file.shorten(to: 4)
        try file.append(Array("three".utf8), isSynced: false)
        #expect(try folder.text("a") == "one\nthree")
        #expect(throws: DocumentError.self) { try file.contents(maxBytes: 8) }
    }

    @Test func aLinkIsNotWrittenThrough() throws {
        try folder.write("target", "kept")
        try FileManager.default.createSymbolicLink(atPath: folder.file("a"), withDestinationPath: folder.file("target"))
        let error = #expect(throws: DocumentError.self) { try AppendedFile(path: folder.file("a")) }
        #expect(error?.description.contains("this is a link, not a file") == true)
        #expect(try folder.text("target") == "kept")
    }
}
