import Foundation
import Testing

@testable import SoraCore
@testable import SoraModels

@Suite("The app as a whole")
@MainActor struct AppModelTests {
    let shelf = TestShelf()
    let generation = TestGeneration()
    let profiling = TestProfiling()

    private func model(meter: TestMeter = TestMeter(), ended: EndNotice? = nil) -> AppModel {
        AppModel(
            AppModel.World(
                shelf: shelf, generation: generation, profiling: profiling, meter: meter, ended: { ended }))
    }

    private func started() async throws -> (AppModel, GenerationModel) {
        shelf.found = [try TestExport().found(name: "a"), try TestExport().found(name: "b")]
        let model = model()
        await model.refresh()
        let screen = try #require(model.screen("/a")).generation
        screen.useExample()
        screen.start()
        return (model, screen)
    }

    @Test func theLimitIsWhatIsUsedAndWhatIsLeft() {
        #expect(model().library.limitBytes == 1000)
        #expect(model(meter: TestMeter(footprint: nil)).library.limitBytes == nil)
        #expect(model(meter: TestMeter(available: nil)).library.limitBytes == nil)
    }

    @Test func screensStayWithWhatWasWritten() async throws {
        shelf.found = [try TestExport().found(name: "a")]
        let model = model()
        await model.refresh()
        let screen = try #require(model.screen("/a"))
        screen.generation.prompt = "a blue"
        shelf.found = [try TestExport().found(problems: ["b0: is missing"], name: "a")]
        await model.refresh()
        #expect(model.screen("/a")?.generation === screen.generation)
        #expect(screen.generation.prompt == "a blue")
        #expect(screen.generation.entry.state == .damaged(["b0: is missing"]))
        #expect(screen.profiling.entry.state == .damaged(["b0: is missing"]))
    }

    @Test func whatIsUnderWayKeepsItsScreenThoughItsExportIsGone() async throws {
        let (model, screen) = try await started()
        shelf.found = []
        await model.refresh()
        #expect(model.library.state == .empty)
        #expect(model.screens.map(\.id) == ["/a"])
        screen.take(.cancelled)
        await model.refresh()
        #expect(model.screens.isEmpty)
    }

    @Test func theScreenStaysOnOnlyWhileSomethingRuns() async throws {
        let (model, screen) = try await started()
        #expect(model.keepsAwake)
        screen.pause()
        #expect(!model.keepsAwake)
        screen.resume()
        screen.take(.cancelled)
        #expect(!model.keepsAwake)
        let profiling = try #require(model.screen("/b")).profiling
        profiling.start()
        #expect(model.keepsAwake)
    }

    @Test func theBackgroundIsHandedOnOnce() async throws {
        let (model, screen) = try await started()
        model.enterForeground()
        model.enterBackground()
        model.enterBackground()
        #expect(screen.state == .paused(.inBackground))
        model.enterForeground()
        #expect(screen.state == .running)
        #expect(generation.asked == ["start", "background", "pause", "foreground", "resume"])
    }

    @Test func memoryWarningsReachWhatRuns() async throws {
        let (model, _) = try await started()
        model.memoryWarning()
        #expect(generation.asked == ["start", "memoryWarning"])
    }

    @Test func theOtherExportsAreBusyMeanwhile() async throws {
        let (model, _) = try await started()
        let other = try #require(model.screen("/b"))
        other.generation.useExample()
        #expect(other.generation.refusal == .busy)
        #expect(other.profiling.isBusyElsewhere)
        #expect(model.screen("/a")?.profiling.isBusyElsewhere == true)
    }

    // After a kill

    private func notice(
        _ action: Ending.Action = .load, footprint: Int? = nil, limit: Int? = nil, isInBackground: Bool = false
    ) throws -> EndNotice {
        let block = try TestExport().playable().export.manifest.blocks[1]
        let function = try #require(block.function(.plain))
        return EndNotice(
            Ending(
                purpose: .generation, date: "", begun: [.init(action: action, block: BlockFunction(block, function))],
                footprintBytes: footprint, limitBytes: limit, isInBackground: isInBackground))
    }

    @Test func aKillIsToldUntilItIsPutAway() throws {
        let ended = try notice(footprint: 3_100_000_000, limit: 3_300_000_000)
        let model = model(ended: ended)
        #expect(model.notice == ended)
        #expect(
            model.notice?.message
                == "iOS ended the app while loading block 'u1' of denoiser, on cpu_and_gpu at 3.10 GB of 3.30 GB.")
        model.putNoticeAway()
        #expect(model.notice == nil)
    }

    @Test func whatIsNotKnownOfAKillIsNotTold() throws {
        let block = "block 'u1' of denoiser, on cpu_and_gpu"
        #expect(try notice(.run, limit: 5).message == "iOS ended the app while running \(block).")
        #expect(try notice(footprint: 20_000).message == "iOS ended the app while loading \(block) at 20.0 kB.")
    }

    /// As when it is paused in the background, where iOS ends the largest apps first.
    @Test func anEndBetweenTwoBlocksIsToldToo() {
        let there = EndNotice(CutShort(purpose: .generation, isInBackground: true))
        #expect(there.message == "iOS ended the app in the background while making a video, between two blocks.")
        #expect(there.advice.hasSuffix("Keep the app in front while it works."))
        let here = EndNotice(CutShort(purpose: .profile, isInBackground: false))
        #expect(here.message == "iOS ended the app while measuring a model, between two blocks.")
        #expect(!here.advice.contains("budget"))
    }

    @Test func aKillDoesNotAccuseWhoeverClosedTheApp() throws {
        let ended = try notice(footprint: 3_100_000_000, limit: 3_300_000_000)
        #expect(ended.advice.contains("“\(Texts.Prompt.saveMemory)”"))
        #expect(ended.title == "The last run did not come to its end")
        #expect(ended.advice.hasPrefix("If you closed the app yourself, this says nothing."))
        #expect(ended.accessibilityLabel.contains("at 3.10 gigabytes of 3.30 gigabytes"))
    }

    @Test func inTheBackgroundABlockIsNotBlamed() throws {
        let notice = try notice(isInBackground: true)
        #expect(notice.message.hasPrefix("iOS ended the app in the background while loading block 'u1' of denoiser"))
        #expect(notice.advice.hasSuffix("Keep the app in front while it works."))
    }

    @Test func withoutAKillThereIsNothingToTell() {
        #expect(model().notice == nil)
    }
}

@Suite("Errors in plain words, and words for the ear")
struct WordsTests {
    @Test(arguments: [
        (PlayerError.runFailed(block: "b", reason: "r"), "A block could not be run"),
        (.loadFailed(block: "b", reason: "r"), "A block could not be loaded"),
        (.evictFailed(block: "b", reason: "r"), "A block could not be given back"),
        (.overNeeded(block: "b", bytes: 10), "The schedule does not belong to these blocks"),
        (.unexpected("x"), "The app has made a mistake"),
    ])
    func whatThePlayerGivesUpFor(error: PlayerError, title: String) {
        let failure = Failure(error)
        #expect(failure.title == title)
        #expect(failure.message == error.description)
        #expect(!failure.advice.isEmpty)
    }

    @Test func aDocumentsOwnAdviceIsTaken() {
        let failure = Failure(DocumentError(file: "m", pointer: "$.a", what: "is missing", mend: "Export it again"))
        #expect(failure.message == "m: a: is missing")
        #expect(failure.advice == "Export it again.")
        #expect(Failure(DocumentError(file: "m", what: "x")).advice == "Copy the model's folder again.")
    }

    @Test func aPromptsErrorIsTheUsersToMend() {
        let failure = Failure(TokenizerError.unknown([.init(word: "cta", nearest: "cat")], known: ["a", "cat"]))
        #expect(failure.title == "The prompt cannot be read")
        #expect(failure.message == "the model does not know 'cta'. Did you mean 'cat'? It knows: a, cat.")
    }

    @Test func tooLittleRoomIsToldInFigures() throws {
        let meter = TestMeter(footprint: 100_000_000, available: 1_300_000_000)
        let schedule = try TestExport(neededBytes: 2_520_000_000).playable().export.schedule
        let failure = Failure(NoRoom(room: Room(schedule, meter)))
        #expect(failure.title == "This will not fit")
        #expect(failure.message == "it needs up to 2.52 GB of memory, and iOS ends this app at 1.40 GB")
    }

    @Test func aFullDiskIsCalledThat() {
        let failure = Failure(CocoaError(.fileWriteOutOfSpace))
        #expect(failure.title == "The phone's storage is full")
        #expect(failure.advice.contains("as large as the model itself"))
    }

    @Test func whatNobodyKnowsIsShownAsItIs() {
        let failure = Failure(SomeError(description: "strange"))
        #expect(failure.title == "It did not work")
        #expect(failure.message == "strange")
        #expect(failure.accessibilityLabel.hasPrefix("It did not work. strange. Try again."))
    }

    @Test(arguments: [
        ("2.52 GB of 3.30 GB", "2.52 gigabytes of 3.30 gigabytes"),
        ("about 6 min 52 s left", "about 6 minutes 52 seconds left"),
        ("64 x 32, 20 frames · 15.5 MB", "64 by 32, 20 frames, 15.5 megabytes"),
        ("87 %", "87 percent"), ("plan B", "plan B"), ("12.3 ms.", "12.3 milliseconds."), ("", ""),
    ])
    func unitsAreSaidInFull(text: String, said: String) { #expect(Spoken.units(text) == said) }
}
