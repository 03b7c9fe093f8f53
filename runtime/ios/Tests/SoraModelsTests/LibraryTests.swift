import Foundation
import Testing

@testable import SoraCore
@testable import SoraModels

@Suite("The list of models")
@MainActor struct LibraryTests {
    @Test func itSaysThatNothingWasFoundAndWhatToDo() async {
        let library = LibraryModel(shelf: TestShelf(), limitBytes: nil)
        #expect(library.state == .unknown)
        #expect(library.footnote == "")
        await library.refresh()
        #expect(library.state == .empty)
        #expect(library.footnote.contains("ondevice-sora export"))
    }

    @Test func whatIsFoundIsListedWithTheLimit() async throws {
        let shelf = TestShelf([try TestExport().found()])
        let library = LibraryModel(shelf: shelf, limitBytes: 3_300_000_000)
        await library.refresh()
        #expect(library.state == .found)
        #expect(library.entries.map(\.state) == [.ready])
        #expect(library.footnote == "iOS lets this app use 3.30 GB of memory.")
        #expect(library.entry("/toy")?.name == "toy")
        #expect(library.entry("/other") == nil)
        #expect(!library.isLooking)
    }

    @Test func whereTheSystemSaysNothingTheListSaysSo() async throws {
        let library = LibraryModel(shelf: TestShelf([try TestExport().found()]), limitBytes: nil)
        await library.refresh()
        #expect(library.footnote == "The system does not say how much memory this app may use.")
    }

    @Test func checksumsAreComparedOnlyWhenAskedFor() async {
        let shelf = TestShelf()
        let library = LibraryModel(shelf: shelf, limitBytes: nil)
        await library.refresh()
        await library.refresh(readingAll: true)
        #expect(shelf.askedToReadAll == [false, true])
    }

    @Test func whatNeedsMoreThanIOSAllowsIsNotPlayedButCanBeMeasured() throws {
        let entry = try TestExport(neededBytes: 901).entry(limitBytes: 900)
        #expect(entry.state == .tooLarge(neededBytes: 901, limitBytes: 900))
        #expect(!entry.canBePlayed)
        #expect(entry.canBeProfiled)
    }

    @Test func toTheByteItFits() throws {
        #expect(try TestExport(neededBytes: 900).entry(limitBytes: 900).state == .ready)
    }

    @Test func whereTheSystemSaysNothingTheSchedulesLimitCounts() throws {
        #expect(
            try TestExport(neededBytes: 900, limitBytes: 899).entry(limitBytes: nil).state
                == .tooLarge(neededBytes: 900, limitBytes: 899))
        #expect(try TestExport(neededBytes: 900, limitBytes: 899).entry(limitBytes: 1000).state == .ready)
    }

    @Test func whatIsDamagedIsNeitherPlayedNorMeasured() throws {
        let entry = try TestExport(neededBytes: 901).entry(problems: ["b1: is missing"], limitBytes: 900)
        #expect(entry.state == .damaged(["b1: is missing"]))
        #expect(!entry.canBePlayed && !entry.canBeProfiled)
    }

    @Test func withoutATokenizerItsBlocksCanBeMeasured() throws {
        let entry = try TestExport(tokenizer: "").entry()
        #expect(entry.state == .withoutTokenizer)
        #expect(!entry.canBePlayed && entry.canBeProfiled)
    }

    // Rows

    @Test func aRowOfAModelThatIsReady() throws {
        let row = LibraryRow(try TestExport().entry())
        #expect(row.title == "toy")
        #expect(row.subtitle == "64 x 32, 20 frames · 45 B")
        #expect(row.status == "Needs 900 B, about 42.0 s")
        #expect(row.tone == .good)
        #expect(row.problems == [])
        #expect(
            row.accessibilityLabel
                == "toy. 64 by 32, 20 frames, 45 bytes. Needs 900 bytes, about 42.0 seconds")
    }

    @Test func aRowOfOneThatIsTooLarge() throws {
        let row = LibraryRow(try TestExport(neededBytes: 2_500_000_000).entry(limitBytes: 1_400_000_000))
        #expect(row.status == "Needs 2.50 GB; iOS lets this app use 1.40 GB")
        #expect(row.tone == .caution)
    }

    @Test func aRowOfOneThatIsNotWholeListsWhatIsWrong() throws {
        let row = LibraryRow(try TestExport().entry(problems: ["b0: is missing", "b1: is missing"]))
        #expect(row.status == "Not whole: 2 things")
        #expect(row.problems == ["b0: is missing", "b1: is missing"])
        #expect(row.tone == .bad)
        #expect(row.accessibilityLabel.hasSuffix("b0: is missing. b1: is missing"))
    }

    @Test func detailsHaveAllFigures() throws {
        let export = try #require(try TestExport().entry().playable).export
        let rows = ExportDetails.rows(export, limitBytes: 3_300_000_000)
        #expect(rows.map(\.label) == ["Model", "Video", "Blocks", "Stored", "Memory", "Predicted", "Predicted for"])
        #expect(rows[0].text.hasPrefix("Small, "))
        #expect(rows[1].text == "64 x 32, 20 frames, 2.00 s")
        #expect(rows[2].text == "5 in 5 packages")
        #expect(rows[4].text == "at most 900 B of 3.30 GB")
        #expect(rows[5].text == "42.0 s, peak 515 B")
        #expect(rows[6].text == "toy phone, by made up")
        #expect(rows[4].accessibilityLabel == "Memory. at most 900 bytes of 3.30 gigabytes")
    }
}

@Suite("Folders of exports")
struct FolderShelfTests {
    let folder: TestFolder
    let shelf: FolderShelf

    init() throws {
        folder = try TestFolder()
        shelf = FolderShelf(bundle: folder("app").path, documents: folder("docs").path)
    }

    private func isPlayable(_ found: FoundExport) -> Bool {
        if case .success = found.content { return true }
        return false
    }

    @Test func exportsAreFoundByTheirManifestTheBundlesFirst() async throws {
        for path in ["app/Exports/small", "docs/b", "docs/a"] { try TestExport().write(to: folder(path)) }
        try FileManager.default.createDirectory(at: folder("docs/Videos"), withIntermediateDirectories: true)
        let found = await shelf.exports(readingAll: false)
        #expect(found.map(\.name) == ["small", "a", "b"])
        #expect(found.map(\.place) == [.bundle, .documents, .documents])
        #expect(found.allSatisfy { isPlayable($0) && $0.problems == [] && !$0.isReadWhole })
    }

    @Test func whatIsMissingIsNamedWithoutItsPath() async throws {
        try TestExport().write(to: folder("docs/toy"))
        try FileManager.default.removeItem(at: folder("docs/toy/b2.mlpackage"))
        try FileManager.default.removeItem(at: folder("docs/toy/no_caption.bin"))
        let found = await shelf.exports(readingAll: false)
        #expect(found.map(\.problems) == [["b2.mlpackage: is missing", "no_caption.bin: is missing"]])
    }

    @Test func aChangedFileIsSeenWhenAllIsRead() async throws {
        try TestExport().write(to: folder("docs/toy"))
        let bySize = await shelf.exports(readingAll: false)
        #expect(bySize.map(\.problems) == [[]])
        let found = await shelf.exports(readingAll: true)
        #expect(found.map(\.problems.count) == [5])
        #expect(found[0].problems[0] == "b0.mlpackage: is not as it was exported (checksum)")
        #expect(found[0].isReadWhole)
    }

    @Test func anExportThatCannotBeReadSaysWhyInALine() async throws {
        try TestExport().write(to: folder("docs/toy"))
        try folder.write("{", to: "docs/toy/schedule.json")
        let found = await shelf.exports(readingAll: false)
        let entry = LibraryEntry(try #require(found.first), limitBytes: nil)
        guard case .unreadable(let line) = entry.state else { throw SomeError(description: "\(entry.state)") }
        #expect(line.hasPrefix("schedule.json:") && line.hasSuffix("ondevice-sora schedule`"))
        #expect(LibraryRow(entry).status == "Cannot be read")
        #expect(LibraryRow(entry).subtitle == "")
        #expect(LibraryRow(entry).problems == [line])
        #expect(!entry.canBePlayed && !entry.canBeProfiled)
    }

    @Test func aFolderThatIsMissingHasNoExports() async {
        let found = await shelf.exports(readingAll: false)
        #expect(found.isEmpty)
    }
}
