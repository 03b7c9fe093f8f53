import Testing

@testable import SoraCore
@testable import SoraModels

@Suite("How far a generation is")
struct RunProgressTests {
    private func progress() throws -> RunProgress { RunProgress(try TestExport().playable(), limitBytes: 1000) }

    private func texts(_ progress: RunProgress, _ state: GenerationModel.State = .running) -> RunTexts {
        RunTexts(progress, state: state, wasShortOfMemory: false)
    }

    private let charges = Charges(baseline: 500)

    @Test func thePredictionIsTheSchedulesStretchedToItsTotal() throws {
        let prediction = try TestExport().playable().prediction
        #expect(prediction.passEndS == [6, 14, 22, 30, 34, 38, 42])
        #expect(prediction.totalS == 42)
        #expect((0..<7).map(prediction.seconds(ofPass:)) == [6, 8, 8, 8, 4, 4, 4])
    }

    @Test func beforeAnythingHasHappened() throws {
        let progress = try progress()
        #expect(progress.fraction == 0)
        #expect(progress.remainingS == 42)
        #expect(progress.numSteps == 3)
        let texts = texts(progress)
        #expect(texts.headline == "Beginning")
        #expect(texts.times == "0.00 s so far, about 42.0 s left")
        #expect(texts.rows == [] && texts.notes == [])
    }

    @Test func eachPassIsNamedByWhatItDoes() throws {
        var progress = try progress()
        var headlines: [String] = []
        for (component, step) in [
            ("text_encoder", 0), ("denoiser", 0), ("denoiser", 2), ("decoder.temporal", 0),
            ("decoder.spatial", 1),
        ] {
            progress.take(.began(component: component, step: step))
            headlines.append(texts(progress).headline)
        }
        #expect(
            headlines == [
                "Reading the prompt", "Step 1 of 3", "Step 3 of 3", "Making the pictures, 1 of 3",
                "Making the pictures, 3 of 3",
            ])
    }

    @Test func aPassIsMeasuredFromTheEndOfTheOneBefore() throws {
        var progress = try progress()
        progress.take(.began(component: "text_encoder", step: 0))
        progress.take(.acted(.test(.load, 0, endS: 5)))
        progress.take(.acted(.test(.run, 0, endS: 9)))
        progress.take(.began(component: "denoiser", step: 0))
        progress.take(.acted(.test(.run, 1, endS: 12)))
        #expect(progress.passes[0].measuredS == 9)
        #expect(progress.passes[1].measuredS == nil)
        progress.take(.acted(.test(.run, 2, endS: 16)))
        #expect(progress.passes[1].measuredS == 7)
        #expect(texts(progress).rows.map(\.label) == ["Step 1 of 3", "Reading the prompt"])
        #expect(texts(progress).rows.map(\.text) == ["7.00 s, predicted 8.00 s", "9.00 s, predicted 6.00 s"])
        #expect(
            texts(progress).rows[0].accessibilityLabel
                == "Step 1 of 3. 7.00 seconds, predicted 8.00 seconds")
    }

    @Test func theFractionIsByPredictedTimeAndGoesOnWithinAPass() throws {
        var progress = try progress()
        progress.take(.began(component: "text_encoder", step: 0))
        progress.take(.acted(.test(.run, 0, endS: 3)))
        #expect(progress.fraction == 6.0 / 42)
        progress.take(.began(component: "denoiser", step: 0))
        #expect(progress.fraction == 6.0 / 42)
        progress.take(.acted(.test(.run, 1, endS: 5)))
        #expect(progress.fraction == 10.0 / 42)
        progress.take(.acted(.test(.run, 2, endS: 7)))
        #expect(progress.fraction == 14.0 / 42)
    }

    @Test func whatRemainsFollowsThePaceSoFar() throws {
        var progress = try progress()
        progress.take(.began(component: "text_encoder", step: 0))
        progress.take(.acted(.test(.run, 0, endS: 12)))
        #expect(progress.remainingS == 72)
        progress.take(.memory(timeS: 20, charges: charges, footprintBytes: nil))
        #expect(progress.remainingS == 64)
        #expect(texts(progress).times == "20.0 s so far, about 64.0 s left")
    }

    @Test func whatRemainsIsNeverNegative() throws {
        var progress = try progress()
        progress.take(.memory(timeS: 500, charges: charges, footprintBytes: nil))
        #expect(progress.remainingS == 0)
    }

    @Test func timeDoesNotRunBackwards() throws {
        var progress = try progress()
        progress.take(.acted(.test(.run, 0, endS: 12)))
        progress.take(.memory(timeS: 11, charges: charges, footprintBytes: nil))
        #expect(progress.elapsedS == 12)
    }

    @Test func aLeapLeavesTheLaterStepsOut() throws {
        var progress = try progress()
        progress.take(.began(component: "denoiser", step: 1))
        progress.take(.acted(.test(.run, 4, endS: 20)))
        progress.take(.stepped(Sampler.Step(number: 1, time: 600, leapt: true, cosine: nil, error: nil)))
        #expect(progress.leaptAfter == 1)
        #expect(progress.passes.map(\.isLeftOut) == [false, false, false, true, false, false, false])
        #expect(progress.predictedTotalS == 34)
        #expect(texts(progress).notes == ["Leapt to the end after step 2 of 3."])
    }

    @Test func aStepThatDoesNotLeapLeavesNothingOut() throws {
        var progress = try progress()
        progress.take(.began(component: "denoiser", step: 1))
        progress.take(.stepped(Sampler.Step(number: 1, time: 600, leapt: false, cosine: 0.9, error: nil)))
        #expect(progress.leaptAfter == nil && !progress.passes.contains { $0.isLeftOut })
    }

    @Test func aLongLoadIsToldUntilItEnds() throws {
        var progress = try progress()
        progress.take(.waits(block: "block 'u1' of denoiser", seconds: 60))
        #expect(
            texts(progress).notes == [
                "Loading block 'u1' of denoiser has taken 60.0 s and goes on. A first load can take minutes."
            ])
        progress.take(.acted(.test(.run, 0, endS: 61)))
        #expect(progress.wait != nil)
        progress.take(.acted(.test(.load, 1, endS: 97)))
        #expect(progress.wait == nil)
    }

    @Test func framesAreCounted() throws {
        var progress = try progress()
        progress.take(.decoded(numFrames: 10, of: 20))
        #expect(texts(progress).notes == ["10 of 20 frames are written."])
    }

    @Test func whatIsSaidOfAPauseDependsOnWhoPaused() throws {
        var progress = try progress()
        progress.take(.began(component: "denoiser", step: 0))
        progress.take(.paused)
        #expect(progress.isPaused)
        #expect(texts(progress, .paused(.byUser)).headline == "Paused")
        #expect(texts(progress, .paused(.byUser)).notes == ["Nothing new is started until you go on."])
        #expect(texts(progress, .paused(.inBackground)).notes[0].hasPrefix("iOS allows no work on the GPU"))
        progress.take(.resumed)
        #expect(!progress.isPaused)
        #expect(texts(progress).headline == "Step 1 of 3")
    }

    @Test func whileItStopsThatIsSaid() throws {
        #expect(texts(try progress(), .cancelling).headline == "Stopping when the block under way has ended")
    }

    @Test func theWholeInWords() throws {
        var progress = try progress()
        progress.take(.began(component: "denoiser", step: 0))
        progress.take(.memory(timeS: 130, charges: charges, footprintBytes: nil))
        #expect(
            RunTexts(progress, state: .running, wasShortOfMemory: true).accessibilityLabel
                == "Step 1 of 3. 0.0 percent. 2 minutes 10 seconds so far, about 0.00 seconds left. "
                + "iOS is short of memory: for now nothing is loaded while a block runs.")
    }
}

@Suite("Memory while something runs")
struct MemoryReadingTests {
    private func reading(_ footprint: Int?, ledger: Int = 400) -> MemoryReading {
        var reading = MemoryReading(limitBytes: 1000, neededBytes: 900, ledgerBytes: 5)
        reading.take(ledgerBytes: ledger, footprintBytes: footprint)
        return reading
    }

    @Test(arguments: [(900, MemoryReading.Level.calm), (901, .close), (1000, .close), (1001, .over)])
    func theLevelIsByTheLimit(footprint: Int, level: MemoryReading.Level) {
        #expect(reading(footprint).level == level)
    }

    @Test func theFootprintCountsWhereItIsKnown() {
        #expect(reading(600).text == "600 B of 1.00 kB")
        #expect(reading(600).ledgerText == "Ledger 400 B, at most 900 B")
        #expect(reading(600).share == 0.6 && reading(600).ledgerShare == 0.4)
        #expect(reading(2000).share == 1)
        #expect(
            reading(600).accessibilityLabel
                == "Memory. 600 bytes of 1.00 kilobytes. Ledger 400 bytes, at most 900 bytes")
    }

    @Test func elseTheLedgerDoes() {
        #expect(reading(nil).text == "400 B of 1.00 kB")
        #expect(reading(nil).peakFootprintBytes == nil)
    }

    @Test func peaksStay() {
        var reading = reading(700, ledger: 650)
        reading.take(ledgerBytes: 10, footprintBytes: 20)
        reading.take(ledgerBytes: 10, footprintBytes: nil)
        #expect((reading.peakFootprintBytes, reading.peakLedgerBytes) == (700, 650))
        #expect((reading.footprintBytes, reading.ledgerBytes) == (20, 10))
    }
}
