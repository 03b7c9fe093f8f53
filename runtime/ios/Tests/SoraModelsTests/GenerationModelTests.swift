import Testing

@testable import SoraCore
@testable import SoraModels

@Suite("The screen that makes a video")
@MainActor struct GenerationModelTests {
    let engine = TestGeneration()
    let turn = Turn()
    let video = FinishedVideo(video: "/v.mp4", trace: "/v.json", numFrames: 20, totalS: 40)

    private func ready() throws -> GenerationModel {
        let model = GenerationModel(try TestExport().entry(), engine: engine, turn: turn, limitBytes: 1000)
        model.useExample()
        model.seedText = "7"
        return model
    }

    private func started() throws -> GenerationModel {
        let model = try ready()
        model.start()
        return model
    }

    @Test func itStartsWithPromptAndSeed() throws {
        let model = try started()
        #expect(model.state == .running)
        #expect(engine.asked == ["start"])
        #expect(engine.request?.prompt == "a red circle")
        #expect(engine.request?.seed == 7)
        #expect(engine.request?.export.folder == "/toy")
        #expect(model.progress?.fraction == 0)
        #expect(model.keepsAwake && model.isUnderWay && !model.canStart)
    }

    @Test func asLongAsItGoesOnASecondStartDoesNothing() throws {
        let model = try started()
        model.start()
        #expect(engine.asked == ["start"])
    }

    @Test func progressIsShown() throws {
        let model = try started()
        model.take(.progress(.began(component: "denoiser", step: 1)))
        #expect(model.runTexts?.headline == "Step 2 of 3")
        #expect(model.progress?.memory.limitBytes == 1000)
    }

    @Test func whileCoreMLCompilesThatIsSaid() throws {
        let model = try started()
        model.take(.preparing(package: "b1.mlpackage"))
        #expect(model.runTexts?.headline == "Compiling b1.mlpackage, once on this phone")
        model.take(.progress(.began(component: "text_encoder", step: 0)))
        #expect(model.runTexts?.headline == "Reading the prompt")
    }

    @Test func aVideoIsShownWithWhatItTook() throws {
        let model = try started()
        model.take(.progress(.memory(timeS: 1, charges: Charges(baseline: 500), footprintBytes: 700)))
        model.take(.finished(video))
        #expect(model.state == .finished(video))
        #expect(model.finishedSummary == "20 frames in 40.0 s, predicted 42.0 s, peak 700 B of 1.00 kB")
        #expect(model.aspectRatio == 2)
        #expect(!model.keepsAwake && !model.isUnderWay)
        model.writeAgain()
        #expect(model.state == .writing)
        #expect(model.prompt == "a red circle")
        #expect(model.finishedSummary == "")
    }

    @Test func aFailureIsToldInPlainWords() throws {
        let model = try started()
        model.take(.failed(PlayerError.loadFailed(block: "block 'u1' of denoiser, step 0", reason: "no space")))
        guard case .failed(let failure) = model.state else { throw SomeError(description: "\(model.state)") }
        #expect(failure.title == "A block could not be loaded")
        #expect(failure.message == "loading block 'u1' of denoiser, step 0 failed: no space")
        #expect(failure.advice.contains("checksums"))
        #expect(!model.keepsAwake)
        model.writeAgain()
        #expect(model.canStart)
    }

    @Test func nothingIsTakenAfterTheEnd() throws {
        let model = try started()
        model.take(.finished(video))
        model.take(.failed(SomeError(description: "late")))
        model.take(.progress(.began(component: "denoiser", step: 1)))
        #expect(model.state == .finished(video))
        #expect(model.progress?.current == nil)
    }

    @Test func thePromptIsOneLine() throws {
        let model = try ready()
        model.prompt = "a red circle\n"
        #expect(model.prompt == "a red circle")
        model.prompt = "a red\r\ncircle\u{2028}"
        #expect(model.prompt == "a red circle")
        #expect(model.promptState?.isGood == true)
    }

    @Test func pauseAndResume() throws {
        let model = try started()
        model.pause()
        #expect(model.state == .paused(.byUser))
        #expect(!model.keepsAwake && model.isUnderWay)
        model.pause()
        model.resume()
        #expect(model.state == .running)
        #expect(engine.asked == ["start", "pause", "resume"])
    }

    @Test func theBackgroundPausesAndTheForegroundGoesOn() throws {
        let model = try started()
        model.enterBackground()
        #expect(model.state == .paused(.inBackground))
        model.enterForeground()
        #expect(model.state == .running)
        #expect(engine.asked == ["start", "background", "pause", "foreground", "resume"])
    }

    @Test func whatTheUserHasPausedStaysPausedInTheForeground() throws {
        let model = try started()
        model.pause()
        model.enterBackground()
        #expect(model.state == .paused(.byUser))
        model.enterForeground()
        #expect(model.state == .paused(.byUser))
        #expect(engine.asked == ["start", "pause", "background", "foreground"])
        model.resume()
        #expect(model.state == .running)
    }

    @Test func inTheBackgroundNothingIsResumed() throws {
        let model = try started()
        model.enterBackground()
        model.resume()
        #expect(model.state == .paused(.inBackground))
        #expect(engine.asked == ["start", "background", "pause"])
    }

    @Test func startedInTheBackgroundItWaits() throws {
        let model = try ready()
        model.enterBackground()
        #expect(model.state == .writing)
        model.start()
        #expect(model.state == .paused(.inBackground))
        #expect(engine.asked == ["start", "background", "pause"])
    }

    @Test func cancelWaitsForWhatIsUnderWayThenThePromptIsBack() throws {
        let model = try started()
        model.cancel()
        #expect(model.state == .cancelling)
        #expect(model.isUnderWay && !model.canStart)
        model.cancel()
        model.pause()
        model.enterBackground()
        #expect(engine.asked == ["start", "cancel", "background"])
        model.take(.cancelled)
        #expect(model.state == .writing)
        #expect(model.prompt == "a red circle")
    }

    @Test func whatIsPausedCanBeCancelled() throws {
        let model = try started()
        model.pause()
        model.cancel()
        #expect(model.state == .cancelling)
        #expect(engine.asked == ["start", "pause", "cancel"])
    }

    @Test func aVideoThatIsDoneWhileItIsCancelledIsKept() throws {
        let model = try started()
        model.cancel()
        model.take(.finished(video))
        #expect(model.state == .finished(video))
    }

    @Test func aMemoryWarningIsHandedOnAndShown() throws {
        let model = try started()
        model.memoryWarning()
        #expect(engine.asked == ["start", "memoryWarning"])
        #expect(model.runTexts?.notes == ["iOS is short of memory: for now nothing is loaded while a block runs."])
        model.take(.cancelled)
        model.memoryWarning()
        model.start()
        #expect(engine.asked == ["start", "memoryWarning", "start"])
        #expect(model.runTexts?.notes == [])
    }

    @Test func oneThingAtATime() throws {
        let first = try started()
        let second = GenerationModel(
            try TestExport().entry(name: "other"), engine: engine, turn: turn, limitBytes: 1000)
        second.useExample()
        #expect(second.refusal == .busy)
        #expect(second.refusal.map(Texts.Prompt.refusal)?.hasPrefix("Something else is being made") == true)
        second.start()
        #expect(second.state == .writing)
        first.take(.cancelled)
        #expect(second.canStart)
    }

    @Test func aChangedEntryIsTakenOnlyWhenNothingGoesOn() throws {
        let model = try started()
        let damaged = try TestExport().entry(problems: ["b0: is missing"])
        model.update(damaged)
        #expect(model.entry.state == .ready)
        model.take(.cancelled)
        model.update(damaged)
        #expect(model.refusal == .unusable)
    }

    @Test func whatIsToldFromAnotherThreadArrivesInOrder() async throws {
        let model = try started()
        let tell = try #require(engine.tell)
        let video = video
        await Task.detached {
            tell(.progress(.began(component: "denoiser", step: 0)))
            tell(.progress(.began(component: "denoiser", step: 2)))
            tell(.finished(video))
        }.value
        await model.listening?.value
        #expect(model.progress?.currentPass?.step == 2)
        #expect(model.state == .finished(video))
    }
}
