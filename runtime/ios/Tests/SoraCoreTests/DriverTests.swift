import Foundation
import Testing

@testable import SoraCore

/// Plays all passes, and returns what the last wrote.
@discardableResult
private func playAll(_ driver: Driver, _ schedule: Schedule) throws -> [Float] {
    var last: [Float] = []
    for pass in schedule.passes {
        let written = try driver.play(pass.component, ["x": Tensor(floats: [1, 2, 3, 4], shape: [4])])
        last = written["x"]?.floats() ?? []
    }
    return last
}

/// Holds back whoever comes, until it is opened.
final class Gate: @unchecked Sendable {
    private let lock = NSCondition()
    private var isOpen = false
    private var isReached = false

    func pass() {
        lock.lock()
        isReached = true
        lock.broadcast()
        while !isOpen { lock.wait() }
        lock.unlock()
    }

    func open() {
        lock.lock()
        isOpen = true
        lock.broadcast()
        lock.unlock()
    }

    func waitUntilReached() {
        lock.lock()
        while !isReached { lock.wait() }
        lock.unlock()
    }
}

/// What was done with the blocks, held against the schedule by a reading of its own.
private func check(_ backend: ToyBackend, _ schedule: Schedule, isWhole: Bool = true) {
    #expect(backend.violations == [])
    #expect(backend.inMemory == [])
    let calls = backend.calls
    func order(_ action: ToyBackend.Action) -> [String] { calls.filter { $0.action == action }.map(\.package) }
    let visits = schedule.visits.indices
    let loads = visits.filter { schedule.visits[$0].loads }
    let loaded = schedule.held.map { schedule.blocks[$0].package } + loads.map { schedule.block(of: $0).package }
    let run = visits.map { schedule.block(of: $0).package }
    let evicted = visits.filter { schedule.visits[$0].evicts }.map { schedule.block(of: $0).package }
    #expect(loaded.starts(with: order(.load)))
    #expect(run.starts(with: order(.run)))
    guard isWhole else { return }
    #expect(order(.load) == loaded && order(.run) == run && order(.evict).starts(with: evicted))
    // Every load waits for its gate: the run of that visit, and its eviction if it has one.
    let runs = calls.filter { $0.action == .run }
    let evictions = calls.filter { $0.action == .evict }
    for (number, visit) in loads.enumerated() where schedule.visits[visit].gate >= 0 {
        let gate = schedule.visits[visit].gate
        let load = calls.filter { $0.action == .load }[schedule.held.count + number]
        let earlier = schedule.visits[0..<gate].count(where: \.evicts)
        let last = schedule.visits[gate].evicts ? evictions[earlier] : runs[gate]
        #expect(load.began > (last.ended ?? .max), "visit \(visit) is loaded before \(gate) has finished")
    }
}

/// The ledger of the same events in the same order, by a player of its own.
private func charges(_ told: [SoraCore.Progress], _ schedule: Schedule) -> [Charges] {
    var player = Player(schedule)
    var found = [player.ledger.now]
    func tell(_ event: Event) {
        _ = player.handle(event)
        if found.last != player.ledger.now { found.append(player.ledger.now) }
    }
    tell(.started)
    for progress in told {
        switch progress {
        case .began(let component, _): tell(.begin(component: component))
        case .acted(let span):
            switch span.action {
            case .load: tell(.loaded(visit: span.visit))
            case .run: tell(.ran(visit: span.visit))
            case .evict: tell(.evicted(package: schedule.package(of: span.visit)))
            }
        default: break
        }
    }
    return found
}

@Suite("Real threads play what the player commands")
struct DriverTests {
    private let toys = [Toy.streamed, Interleavings.kept, Interleavings.twoComponents, Interleavings.loaded]

    private func driver(
        _ export: Export, _ backend: ToyBackend, meter: any Meter = ToyMeter(), slowLoadS: Double = 60,
        told: Told = Told()
    ) throws -> Driver {
        try Driver(export, backend: backend, meter: meter, slowLoadS: slowLoadS, tell: told.hear)
    }

    /// Loads and runs take as long as chance has it: 0 to 300 microseconds.
    @Test(arguments: 0..<40)
    func anyTimingKeepsOrderGatesBytesAndResult(seed: UInt64) throws {
        var random = SplitMix(state: seed)
        var toy = seed < 4 ? toys[Int(seed)] : Interleavings.random(&random)
        toy.neededBytes = Interleavings.bound(try toy.schedule())
        let export = try toy.export()
        let schedule = export.schedule
        let backend = ToyBackend(
            before: { action, number, package in
                var random = SplitMix(state: seed &* 1000 &+ UInt64(number) &+ (action == .load ? 500 : 0))
                usleep(UInt32.random(in: 0...300, using: &random))
            }, compute: Toy.compute)
        let told = Told()
        let driver = try driver(export, backend, told: told)
        try driver.start()
        for pass in schedule.passes {
            let written = try driver.play(pass.component, ["x": Tensor(floats: [1, 1, 1, 1], shape: [4])])
            #expect(written["x"]?.floats().first == Toy.result(1, of: schedule, pass))
            #expect(written.count == 1)
        }
        let playback = driver.close()
        check(backend, schedule)
        #expect(playback.peakBytes <= schedule.neededBytes)
        #expect(playback.spans.count { $0.action == .run } == schedule.visits.count)
        let samples = playback.samples.map(\.charges)
        #expect(samples.starts(with: charges(told.all, schedule)), "the player's charges, in the order of events")
        let end = playback.samples.last?.charges
        #expect(end.map { $0.resident + $0.loading + $0.working } == 0)
        let times = playback.samples.map(\.timeS)
        #expect(times == times.sorted() && times.first == 0)
        let ends = playback.spans.map(\.endS)
        #expect(ends == ends.sorted() && playback.spans.allSatisfy { 0 <= $0.startS && $0.startS <= $0.endS })
    }

    @Test(arguments: [ToyBackend.Action.load, .run, .evict], 0..<6)
    func aFailureAtAnyPointNamesTheBlockAndGivesAllBack(action: ToyBackend.Action, number: Int) throws {
        let export = try Interleavings.twoComponents.export()
        let backend = ToyBackend(
            before: { now, count, package in
                if now == action, count == number { throw ToyBackend.Failure(description: "\(package) broke") }
            }, compute: Toy.compute)
        let driver = try driver(export, backend)
        try driver.start()
        let error = #expect(throws: PlayerError.self) {
            try playAll(driver, export.schedule)
            driver.close()
            throw driver.failure ?? PlayerError.unexpected("nothing failed")
        }
        let playback = driver.close()
        let package = try #require(backend.calls.filter { $0.action == action }.first(where: \.failed)?.package)
        let block = try #require(export.schedule.blocks.first { $0.package == package })
        let text = error?.description ?? ""
        #expect(text.contains(block.label) && text.contains("\(package) broke"), "\(text)")
        #expect(backend.violations.allSatisfy { $0.hasPrefix("\(package) is evicted") })
        #expect(backend.inMemory.isSubset(of: action == .evict ? [package] : []))
        let end = playback.samples.last?.charges
        #expect(end.map { $0.resident + $0.loading + $0.working } == 0)
    }

    @Test(arguments: 0..<14)
    func stoppedAtAnyCallItEndsAndGivesAllBack(number: Int) throws {
        let export = try Interleavings.twoComponents.export()
        let gate = Gate()
        let counter = Counter()
        let backend = ToyBackend(
            before: { _, _, _ in if counter.next() == number { gate.pass() } }, compute: Toy.compute)
        let driver = try driver(export, backend)
        let isOver = onThread {
            try driver.start()
            try playAll(driver, export.schedule)
        }
        gate.waitUntilReached()
        driver.stop()
        gate.open()
        let error = isOver()
        #expect(error is CancellationError)
        driver.close()
        check(backend, export.schedule, isWhole: false)
        #expect(throws: CancellationError.self) { try driver.play("text", [:]) }
    }

    @Test func pausedItStartsNothingMore() throws {
        let export = try Toy.streamed.export()
        let gate = Gate()
        let told = Told()
        let backend = ToyBackend(
            before: { action, number, _ in if action == .run, number == 1 { gate.pass() } }, compute: Toy.compute)
        let driver = try driver(export, backend, told: told)
        let isOver = onThread {
            try driver.start()
            try playAll(driver, export.schedule)
        }
        gate.waitUntilReached()
        driver.pause()
        driver.pause()
        gate.open()
        told.wait { if case .acted(let span) = $0 { span.action == .evict && span.visit == 1 } else { false } }
        #expect(backend.calls.count { $0.action == .run } == 2)
        driver.resume()
        driver.resume()
        #expect(isOver() == nil)
        let playback = driver.close()
        check(backend, export.schedule)
        #expect(playback.numPauses == 1 && playback.pausedS > 0)
        let pauses = told.all.compactMap { progress in
            switch progress {
            case .paused: "paused"
            case .resumed: "resumed"
            default: nil
            }
        }
        #expect(pauses == ["paused", "resumed"])
    }

    /// What lies before the start is none of the generation's time.
    @Test func aPauseCountsFromTheStartOn() throws {
        let export = try Toy.streamed.export()
        let clock = ToyClock()
        let driver = try Driver(
            export, backend: ToyBackend(compute: Toy.compute), meter: ToyMeter(), clock: { clock.nowS })
        clock.nowS = 100
        driver.pause()
        clock.nowS = 200
        try driver.start()
        clock.nowS = 210
        driver.resume()
        try playAll(driver, export.schedule)
        let playback = driver.close()
        #expect(playback.pausedS == 10 && playback.numPauses == 1)
        #expect(playback.spans.allSatisfy { $0.startS == 10 && $0.endS == 10 })
    }

    /// As when iOS refuses the GPU in the background: also if the news comes when the app is in front again.
    @Test(arguments: [ToyBackend.Action.load, .run], [false, true])
    func whatFailsInTheBackgroundIsDoneAgain(action: ToyBackend.Action, isBackAgain: Bool) throws {
        let export = try Toy.streamed.export()
        let gate = Gate()
        let backend = ToyBackend(
            before: { now, number, _ in
                guard now == action, number == 2 else { return }
                gate.pass()
                throw ToyBackend.Failure(description: "not in the background")
            }, compute: Toy.compute)
        let driver = try driver(export, backend)
        let isOver = onThread {
            try driver.start()
            let last = try playAll(driver, export.schedule)
            #expect(last.first == Toy.result(1, of: export.schedule, export.schedule.passes[1]))
        }
        gate.waitUntilReached()
        driver.pause()
        if isBackAgain { driver.resume() }
        gate.open()
        if !isBackAgain { driver.resume() }
        #expect(isOver() == nil)
        driver.close()
        #expect(backend.violations == [])
        #expect(backend.calls.count { $0.action == action } == 5)
        #expect(backend.calls.count(where: \.failed) == 1)
    }

    /// Core ML has been seen to return from a run that iOS had refused the GPU, with whatever lay in its outputs.
    @Test(arguments: [false, true])
    func whatRunsInTheBackgroundIsDoneAgainThoughItDoesNotFail(isBackAgain: Bool) throws {
        let export = try Toy.streamed.export()
        let gate = Gate()
        let runs = Counter()
        let backend = ToyBackend(
            before: { action, number, _ in if action == .run, number == 2 { gate.pass() } },
            compute: { function, inputs in
                let outputs = try Toy.compute(function, inputs)
                guard runs.next() == 2 else { return outputs }
                return outputs.mapValues { _ in Tensor(floats: [0, 0, 0, 0], shape: [4]) }
            })
        let told = Told()
        let driver = try driver(export, backend, told: told)
        let isOver = onThread {
            try driver.start()
            let last = try playAll(driver, export.schedule)
            #expect(last.first == Toy.result(1, of: export.schedule, export.schedule.passes[1]))
        }
        gate.waitUntilReached()
        driver.note(isInBackground: true)
        driver.note(isInBackground: true)
        if isBackAgain { driver.note(isInBackground: false) }
        gate.open()
        if !isBackAgain { driver.note(isInBackground: false) }
        driver.resume()
        #expect(isOver() == nil)
        let playback = driver.close()
        #expect(backend.violations == [])
        #expect(playback.numPauses == 1)
        let count = export.schedule.visits.count
        #expect(backend.calls.count { $0.action == .run } == count + 1)
        #expect(playback.spans.count { $0.action == .run } == count, "what was done in vain is no run of the block")
    }

    /// Coming back is not going on: the user may have paused it.
    @Test func backInFrontItStaysPausedUntilItIsResumed() throws {
        let export = try Toy.streamed.export()
        let told = Told()
        let backend = ToyBackend(compute: Toy.compute)
        let driver = try driver(export, backend, told: told)
        driver.note(isInBackground: true)
        let isOver = onThread {
            try driver.start()
            try playAll(driver, export.schedule)
        }
        driver.note(isInBackground: false)
        usleep(20_000)
        #expect(backend.calls.isEmpty)
        driver.resume()
        #expect(isOver() == nil)
        driver.close()
    }

    @Test func howHotTheDeviceIsIsNotedWhenItChanges() throws {
        let export = try Toy.streamed.export()
        let meter = ToyMeter()
        let backend = ToyBackend(
            before: { action, number, _ in
                if action == .run, number == 1 { meter.set(thermal: .fair) }
                if action == .run, number == 3 { meter.set(thermal: .serious) }
            }, compute: Toy.compute)
        let driver = try Driver(export, backend: backend, meter: meter)
        try driver.start()
        try playAll(driver, export.schedule)
        let heat = driver.close().heat
        #expect(heat.map(\.state) == [.nominal, .fair, .serious])
        #expect(heat[0].timeS == 0 && heat[1].timeS <= heat[2].timeS)
    }

    @Test func aLeapDropsWhatIsUnderWay() throws {
        let export = try Interleavings.twoComponents.export()
        let backend = ToyBackend(compute: Toy.compute)
        let driver = try driver(export, backend)
        let x = Tensor(floats: [1, 1, 1, 1], shape: [4])
        try driver.start()
        _ = try driver.play("text", ["x": x])
        _ = try driver.play("denoiser", ["x": x])
        driver.endEarly("denoiser")
        let written = try driver.play("decoder", ["x": x])
        #expect(written["x"]?.floats().first == Toy.result(1, of: export.schedule, export.schedule.passes[3]))
        let playback = driver.close()
        #expect(backend.violations == [] && backend.inMemory == [])
        let runs = playback.spans.filter { $0.action == .run }.map(\.visit)
        #expect(runs == [0, 1, 2, 5, 6])
    }

    @Test func aMemoryWarningKeepsLoadsFromBesidesRuns() throws {
        let export = try Toy.streamed.export()
        let backend = ToyBackend(before: { action, _, _ in if action == .run { usleep(2000) } }, compute: Toy.compute)
        let driver = try driver(export, backend)
        driver.memoryWarning()
        try driver.start()
        _ = try driver.play("denoiser", ["x": Tensor(floats: [1, 1, 1, 1], shape: [4])])
        let runs = backend.calls.filter { $0.action == .run }
        for load in backend.calls where load.action == .load {
            for run in runs.prefix(2) {
                let isApart = (load.ended ?? .max) < run.began || load.began > (run.ended ?? .max)
                #expect(isApart)
            }
        }
        driver.stop()
        #expect(driver.close().numMemoryWarnings == 1)
    }

    @Test(arguments: 0..<4)
    func whereMemoryIsSavedNoLoadEverGoesOnBesideARun(toy: Int) throws {
        let export = try toys[toy].export()
        let backend = ToyBackend(before: { action, _, _ in if action == .run { usleep(1000) } }, compute: Toy.compute)
        let driver = try Driver(export, backend: backend, meter: ToyMeter(), savesMemory: true)
        try driver.start()
        try playAll(driver, export.schedule)
        #expect(driver.close().savesMemory)
        check(backend, export.schedule)
        let runs = backend.calls.filter { $0.action == .run }
        for load in backend.calls where load.action == .load {
            #expect(runs.allSatisfy { (load.ended ?? .max) < $0.began || load.began > ($0.ended ?? .max) })
        }
    }

    @Test func whatIsHeldIsLoadedBeforeTheClockStarts() throws {
        let export = try Interleavings.loaded.export()
        let backend = ToyBackend(compute: Toy.compute)
        let driver = try driver(export, backend)
        try driver.start()
        #expect(backend.calls.map(\.action).prefix(2) == [.load, .load])
        try playAll(driver, export.schedule)
        let playback = driver.close()
        #expect(playback.spans.filter { $0.action == .load }.map(\.visit) == [4])
        check(backend, export.schedule)
    }

    @Test func aHeldBlockThatDoesNotLoadIsNamed() throws {
        let export = try Interleavings.loaded.export()
        let backend = ToyBackend(
            before: { action, number, _ in
                if action == .load, number == 1 { throw ToyBackend.Failure(description: "no space") }
            }, compute: Toy.compute)
        let driver = try driver(export, backend)
        #expect(throws: PlayerError.loadFailed(block: "block 'b1' of a", reason: "no space")) { try driver.start() }
        driver.close()
        #expect(backend.inMemory == [])
    }

    @Test(arguments: [false, true])
    func inTheBackgroundWhatIsHeldWaitsAndIsLoadedAgain(isBackAgain: Bool) throws {
        let export = try Interleavings.loaded.export()
        let gate = Gate()
        let backend = ToyBackend(
            before: { action, number, _ in
                guard action == .load, number == 0 else { return }
                gate.pass()
                throw ToyBackend.Failure(description: "not in the background")
            }, compute: Toy.compute)
        let driver = try driver(export, backend)
        let isOver = onThread {
            try driver.start()
            try playAll(driver, export.schedule)
        }
        gate.waitUntilReached()
        driver.pause()
        if isBackAgain { driver.resume() }
        gate.open()
        if !isBackAgain { driver.resume() }
        #expect(isOver() == nil)
        driver.close()
        #expect(
            backend.calls.filter { $0.action == .load }.map(\.package).prefix(3) == [
                "b0.mlpackage", "b0.mlpackage", "b1.mlpackage",
            ])
        #expect(backend.violations == [] && backend.inMemory == [])
    }

    @Test func stoppedWhileThatIsLoadedNothingStays() throws {
        let export = try Interleavings.loaded.export()
        let gate = Gate()
        let backend = ToyBackend(
            before: { action, number, _ in if action == .load, number == 1 { gate.pass() } }, compute: Toy.compute)
        let driver = try driver(export, backend)
        let isOver = onThread { try driver.start() }
        gate.waitUntilReached()
        driver.stop()
        gate.open()
        #expect(isOver() is CancellationError)
        driver.close()
        #expect(backend.inMemory == [] && backend.violations == [])
    }

    @Test func aSlowLoadIsToldAndNeverEnded() throws {
        let export = try Toy.streamed.export()
        let gate = Gate()
        let told = Told()
        let backend = ToyBackend(
            before: { action, number, _ in if action == .load, number == 0 { gate.pass() } }, compute: Toy.compute)
        let driver = try driver(export, backend, slowLoadS: 0.001, told: told)
        let isOver = onThread {
            try driver.start()
            try playAll(driver, export.schedule)
        }
        told.wait { if case .waits(let block, _) = $0 { block == "block 'b0' of denoiser" } else { false } }
        gate.open()
        #expect(isOver() == nil)
        driver.close()
        check(backend, export.schedule)
    }

    @Test(arguments: [
        ("x", [4], 1, "there is no output 'x_out'"), ("x_out", [2, 2], 1, "output 'x_out' is [2, 2], not [4]"),
        ("x_out", [4], 10_000, "output 'x_out' lies beyond its memory"),
    ])
    func anOutputThatIsNotAsDeclaredIsAFailureOfItsBlock(
        name: String, shape: [Int], stride: Int, words: String
    ) throws {
        let export = try Toy.streamed.export()
        let backend = ToyBackend { _, _ in
            let tensor = Tensor(floats: [1, 2, 3, 4], shape: shape)
            let strides = tensor.strides.map { $0 * stride }
            return [name: Tensor(shape: shape, strides: strides, type: .float32, storage: tensor.storage)]
        }
        let driver = try driver(export, backend)
        try driver.start()
        let error = #expect(throws: PlayerError.self) { try playAll(driver, export.schedule) }
        #expect(error == .runFailed(block: "block 'b0' of denoiser, step 0", reason: words))
        driver.close()
        #expect(backend.inMemory == [])
    }

    @Test func inputsOfOtherShapesAreRefused() throws {
        let export = try Toy.streamed.export()
        let driver = try driver(export, ToyBackend(compute: Toy.compute))
        try driver.start()
        let error = #expect(throws: PlayerError.self) {
            try driver.play("denoiser", ["x": Tensor(floats: [1, 2], shape: [2])])
        }
        #expect(error?.description.contains("it takes no inputs of these shapes: x [2]") == true)
        driver.close()
    }

    @Test func theWrongPassIsAMistakeAndEndsIt() throws {
        let export = try Toy.streamed.export()
        let backend = ToyBackend(compute: Toy.compute)
        let driver = try driver(export, backend)
        try driver.start()
        let error = #expect(throws: PlayerError.self) { try driver.play("decoder", [:]) }
        #expect(error == .unexpected("a pass of decoder begins"))
        driver.close()
        #expect(backend.inMemory == [])
    }

    @Test func closedTwiceNothingHappens() throws {
        let export = try Toy.streamed.export()
        let backend = ToyBackend(compute: Toy.compute)
        let driver = try driver(export, backend)
        driver.close()
        driver.close()
        #expect(backend.calls.isEmpty)
        #expect(throws: CancellationError.self) { try driver.start() }
    }

    @Test func theFootprintIsSampledOnTheSameClock() throws {
        let export = try Toy.streamed.export()
        let meter = ToyMeter(footprint: 1000)
        let backend = ToyBackend(
            before: { action, number, _ in if action == .run { meter.set(footprint: 2000 + number) } },
            compute: Toy.compute)
        let told = Told()
        let driver = try driver(export, backend, meter: meter, told: told)
        try driver.start()
        try playAll(driver, export.schedule)
        let playback = driver.close()
        #expect(playback.footprint.first?.bytes == 1000)
        #expect(playback.footprint.last?.bytes == 2003)
        #expect(playback.footprint.allSatisfy { $0.timeS >= 0 })
        let heard = told.all.compactMap { if case .memory(_, _, let bytes) = $0 { bytes } else { nil } }
        #expect(heard.first == 1000 && heard.last == 2003)
    }

    @Test func withoutAMeterThereAreNoSamples() throws {
        let export = try Toy.streamed.export()
        let driver = try driver(export, ToyBackend(compute: Toy.compute))
        try driver.start()
        try playAll(driver, export.schedule)
        #expect(driver.close().footprint == [])
    }

    @Test func allIsToldInOrderBeforeItIsClosed() throws {
        let export = try Interleavings.kept.export()
        let told = Told()
        let driver = try driver(export, ToyBackend(compute: Toy.compute), told: told)
        try driver.start()
        try playAll(driver, export.schedule)
        let playback = driver.close()
        let spans = told.all.compactMap { if case .acted(let span) = $0 { span } else { nil } }
        #expect(spans == playback.spans)
        let begun = told.all.compactMap { if case .began(_, let step) = $0 { step } else { nil } }
        #expect(begun == [0, 1])
        let heard = told.all.compactMap {
            if case .memory(let timeS, let charges, _) = $0 { (timeS, charges) } else { nil }
        }
        #expect(heard.last?.1 == playback.samples.last?.charges)
    }
}

/// A clock that a test sets.
final class ToyClock: @unchecked Sendable {
    private let lock = NSLock()
    private var time = 0.0
    var nowS: Double {
        get { lock.withLock { time } }
        set { lock.withLock { time = newValue } }
    }
}

/// Numbers its callers from 0.
final class Counter: @unchecked Sendable {
    private let lock = NSLock()
    private var count = -1
    func next() -> Int {
        lock.withLock {
            count += 1
            return count
        }
    }
}

/// Does it on a thread of its own; the result waits for its end and is what it threw.
func onThread(_ body: @escaping @Sendable () throws -> Void) -> () -> (any Error)? {
    final class Outcome: @unchecked Sendable {
        var error: (any Error)?
        let isOver = DispatchSemaphore(value: 0)
    }
    let outcome = Outcome()
    Thread.detachNewThread {
        do { try body() } catch { outcome.error = error }
        outcome.isOver.signal()
    }
    return {
        outcome.isOver.wait()
        return outcome.error
    }
}
