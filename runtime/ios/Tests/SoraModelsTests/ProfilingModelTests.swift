import Testing

@testable import SoraCore
@testable import SoraModels

@Suite("The screen that measures blocks")
@MainActor struct ProfilingModelTests {
    let engine = TestProfiling()
    let turn = Turn()
    let file = CaptureFile(path: "/c.json", numMeasured: 4, numFailures: 0)

    private func model(_ export: TestExport = TestExport()) throws -> ProfilingModel {
        ProfilingModel(try export.entry(), engine: engine, turn: turn, limitBytes: 1000)
    }

    private func started() async throws -> ProfilingModel {
        let model = try model()
        await model.refresh()
        model.start()
        return model
    }

    @Test func beforeItIsKnownHowMuchThereIs() throws {
        let texts = ProfilingTexts(try model())
        #expect(texts.headline == "How much there is to measure is not known yet")
        #expect(texts.startLabel == "Measure")
    }

    @Test func whatIsLeftIsTold() async throws {
        let model = try model()
        await model.refresh()
        #expect(model.numLeft == 3)
        #expect(model.fraction == 0.25)
        let texts = ProfilingTexts(model)
        #expect(texts.headline == "3 of 4 functions left to measure")
        #expect(texts.detail.hasPrefix("Loads and runs each block by itself"))
        #expect(texts.startLabel == "Measure the rest")
        #expect(model.canStart)
    }

    @Test func whenAllIsMeasuredThereIsNothingToStart() async throws {
        engine.planned = ProfilingPlan(numFunctions: 4, numMeasured: 4)
        let model = try model()
        await model.refresh()
        #expect(ProfilingTexts(model).headline == "All 4 functions are measured")
        #expect(!model.canStart)
        model.start()
        #expect(engine.asked == [])
    }

    @Test func eachFunctionIsNamedWhileItIsMeasured() async throws {
        let model = try await started()
        #expect(ProfilingTexts(model).headline == "Beginning")
        model.take(.measuring("denoiser block 'u1'"))
        #expect(ProfilingTexts(model).headline == "Measuring denoiser block 'u1'")
        model.take(.memory(footprintBytes: 600))
        model.take(.memory(footprintBytes: nil))
        model.take(.measured("denoiser block 'u1'"))
        let texts = ProfilingTexts(model)
        #expect(texts.detail == "2 of 4 functions left to measure")
        #expect(texts.memory == "600 B of 1.00 kB")
        #expect(model.fraction == 0.5)
        #expect(model.keepsAwake)
    }

    @Test func whileCoreMLCompilesThatIsSaid() async throws {
        let model = try await started()
        model.take(.preparing(package: "b1.mlpackage"))
        #expect(ProfilingTexts(model).headline == "Compiling b1.mlpackage, once on this phone")
        model.take(.planned(ProfilingPlan(numFunctions: 4, numMeasured: 1)))
        #expect(ProfilingTexts(model).headline == "Beginning")
    }

    @Test func whatCannotBeMeasuredIsListedWithTheReason() async throws {
        let model = try await started()
        model.take(.measuring("b"))
        model.take(.couldNot("b", reason: "loading failed"))
        #expect(ProfilingTexts(model).misses == ["b: loading failed"])
        #expect(model.numLeft == 2)
        #expect(ProfilingTexts(model).accessibilityLabel.hasSuffix("b: loading failed"))
    }

    @Test func whatFailsOnlyBesideAnotherIsCountedOnce() async throws {
        let model = try await started()
        model.take(.couldNot("b", reason: "beside it, c: loading failed"))
        model.take(.measured("b"))
        #expect(model.numLeft == 2)
        #expect((model.numMeasured, model.misses.count) == (1, 1))
    }

    @Test func heatIsWaitedOut() async throws {
        let model = try await started()
        model.take(.cooling(.serious))
        #expect(model.state == .cooling(.serious))
        #expect(ProfilingTexts(model).headline == "Waiting until the phone is cooler; it says that its heat is serious")
        #expect(model.keepsAwake)
        model.take(.measuring("b"))
        #expect(model.state == .running)
    }

    @Test func aCaptureIsThereToBeShared() async throws {
        let model = try await started()
        model.take(.finished(file))
        #expect(model.capture == file)
        let texts = ProfilingTexts(model)
        #expect(texts.headline == "4 functions measured")
        #expect(texts.detail == "On your computer: ondevice-sora profile import CAPTURE -o phone.yaml")
        #expect(!model.isUnderWay)
    }

    @Test func failuresAreCountedAtTheEnd() async throws {
        let model = try await started()
        model.take(.finished(CaptureFile(path: "/c.json", numMeasured: 3, numFailures: 1)))
        #expect(ProfilingTexts(model).headline == "3 functions measured, 1 could not be")
    }

    @Test func theBackgroundPauses() async throws {
        let model = try await started()
        model.enterBackground()
        #expect(model.state == .paused && !model.keepsAwake)
        #expect(ProfilingTexts(model).headline == "Paused while this app is in the background")
        model.take(.cooling(.fair))
        #expect(model.state == .paused)
        model.enterForeground()
        #expect(model.state == .running)
        #expect(engine.asked == ["start", "pause", "resume"])
    }

    @Test func whatWasMeasuredBeforeItWasStoppedIsKept() async throws {
        let model = try await started()
        model.cancel()
        model.cancel()
        #expect(model.state == .cancelling)
        #expect(ProfilingTexts(model).headline == "Stopping when the block under way has ended")
        model.take(.cancelled(CaptureFile(path: "/c.json", numMeasured: 2, numFailures: 0)))
        #expect(model.state == .idle)
        #expect(model.capture?.path == "/c.json")
        #expect(ProfilingTexts(model).detail == "2 functions are measured and kept. The next time goes on from there.")
        #expect(engine.asked == ["start", "cancel"])
    }

    @Test func aFailureSaysWhatAndWhatToDo() async throws {
        let model = try await started()
        model.take(.failed(DocumentError(file: "/c.json", what: "cannot be written", mend: "Free some space")))
        let texts = ProfilingTexts(model)
        #expect(texts.headline == "A file is not as it should be")
        #expect(texts.detail.hasSuffix("Free some space."))
    }

    @Test func whileAVideoIsMadeNothingIsMeasured() async throws {
        let generation = GenerationModel(
            try TestExport().entry(), engine: TestGeneration(), turn: turn, limitBytes: 1000)
        generation.useExample()
        generation.start()
        let model = try model()
        #expect(model.isBusyElsewhere && !model.canStart)
        generation.take(.cancelled)
        #expect(model.canStart)
    }

    @Test func whileItMeasuresNothingIsLookedUpAnew() async throws {
        let model = try await started()
        model.take(.planned(ProfilingPlan(numFunctions: 9, numMeasured: 0)))
        await model.refresh()
        #expect(model.plan?.numFunctions == 9)
    }

    @Test func whatIsToldFromAnotherThreadArrivesInOrder() async throws {
        let model = try await started()
        let tell = try #require(engine.tell)
        let file = file
        await Task.detached {
            tell(.measuring("b"))
            tell(.measured("b"))
            tell(.finished(file))
        }.value
        await model.listening?.value
        #expect(model.state == .finished(file))
        #expect(model.numMeasured == 1)
    }
}
