import Foundation

/// What the harness measures: a function, the package's size, and how to call it.
struct Target: Sendable {
    let block: BlockFunction
    let function: Manifest.Function
    let storedBytes: Int

    /// Everything of an export on these compute units, or on those of the plan if none are given. `tail` functions are
    /// left out: a plan's block is measured in its whole passes.
    static func all(of manifest: Manifest, on units: [Manifest.ComputeUnits]) -> [Target] {
        manifest.blocks.flatMap { block in
            block.functions.filter { $0.kind != .tail }.flatMap { function in
                (units.isEmpty ? [block.computeUnits] : units).map { units in
                    let package = block.packages.first { $0.file.isExactly(function.package) }
                    return Target(
                        block: BlockFunction(block, function, on: units), function: function,
                        storedBytes: package?.numBytes ?? 0)
                }
            }
        }
    }
}

/// What was asked of the backend failed. Nothing else that is thrown is a block's fault.
struct Refusal: Error {
    let action: Ending.Action
    let block: BlockFunction
    let reason: String
}

/// Measures one function after another. Loads on one lane, runs and evictions on the other, as a generation does.
struct Measurement {
    /// What is read of the footprint is still once two readings differ by less.
    private static let stillBytes = 1_000_000
    private static let longestSettlingS = 2.0
    private static let pauseS = 0.05
    /// So many packages at most are loaded beside a run, one after another.
    private static let mostBeside = 4
    /// Another package is loaded only where so many times its size is left.
    private static let roomFactor = 4

    let backend: any BlockBackend
    let meter: any Meter
    let peak: PeakMeter
    let session: JournalSession
    let clock: HarnessClock
    let seed: UInt64
    let repeats: Int
    let tell: @Sendable (HarnessProgress) -> Void
    let control: HarnessControl
    private let loader = Lane("sora.harness.loader")
    private let runner = Lane("sora.harness.runner")

    init(
        backend: any BlockBackend, meter: any Meter, session: JournalSession, clock: HarnessClock, seed: UInt64,
        repeats: Int, control: HarnessControl, tell: @escaping @Sendable (HarnessProgress) -> Void
    ) {
        self.backend = backend
        self.meter = meter
        self.session = session
        self.clock = clock
        self.seed = seed
        self.repeats = repeats
        self.control = control
        self.tell = tell
        peak = PeakMeter(meter) { session.note(footprintBytes: $0) }
    }

    // Alone

    /// Loads, runs twice and evicts a function, again and again, while no other is in memory; into `found`.
    /// Throws Refusal, Stopped, or DocumentError where the journal cannot be written.
    func alone(_ target: Target, novelty: Novelty, into found: inout Capture.Block) throws {
        let inputs = RandomInputs.make(for: target.function, seed: seed)
        for number in 0..<(novelty == .later ? repeats : repeats + 1) {
            let before = settledBytes()
            peak.mark()
            let loadS = try load(target)
            let loadPeak = peak.peakBytes()
            let after = peak.mark()
            found.firstRunS.append(try run(target, inputs))
            found.laterRunS.append(try run(target, inputs))
            let runPeak = peak.peakBytes()
            found.unloadS.append(try evict(target))
            let left = settledBytes()
            switch number == 0 ? novelty : .later {
            case .first: found.firstLoadS.append(loadS)
            case .later: found.laterLoadS.append(loadS)
            case .unclear: break
            }
            if let before, let loadPeak, let after, let runPeak, let left {
                found.memory.append(
                    Capture.Footprints(
                        beforeLoad: before, loadPeak: loadPeak, afterLoad: after, runPeak: runPeak, afterEvict: left))
            }
        }
    }

    // Beside another

    /// Loads the function while `others[0]` runs, and runs it while `others` are loaded; into `found`. Samples during
    /// which the other did not go on throughout are left out. Throws as `alone` does.
    func beside(_ target: Target, _ others: [Target], into found: inout Capture.Block) throws {
        guard let neighbour = others.first else { return }
        try load(neighbour)
        let theirs = RandomInputs.make(for: neighbour.function, seed: seed)
        try run(neighbour, theirs)
        for _ in 0..<repeats {
            found.loadWhileRunningS.append(try load(target, whileRunning: neighbour, theirs))
            try evict(target)
        }
        try evict(neighbour)
        try load(target)
        let inputs = RandomInputs.make(for: target.function, seed: seed)
        try run(target, inputs)
        for _ in 0..<repeats {
            if let seconds = try run(target, inputs, whileLoading: others) { found.runWhileLoadingS.append(seconds) }
        }
        try evict(target)
    }

    private func load(_ target: Target, whileRunning other: Target, _ inputs: [String: Tensor]) throws -> Double {
        let number = try session.begin(.run, other.block)
        let running = runner.beside { [backend, control] beside in
            while beside.isWanted && control.isGoing {
                beside.begin()
                try autoreleasepool { _ = try backend.run(other.function, on: other.block.computeUnits, inputs) }
            }
        }
        running.waitForBegin()
        let loaded = Result { try load(target) }
        let ran = Result { try running.finish() }
        try session.end(number)
        do { try ran.get() } catch { throw Refusal(action: .run, block: other.block, reason: reason(error)) }
        return try loaded.get()
    }

    /// nil if the loads ended before the run did.
    private func run(_ target: Target, _ inputs: [String: Tensor], whileLoading others: [Target]) throws -> Double? {
        let loaded = Loaded()
        let loading = loader.beside { [self] beside in
            for other in others.prefix(Self.mostBeside) where beside.isWanted && isRoom(for: other) {
                loaded.begin(other)
                beside.begin()
                try act(.load, other) { try backend.load(other.function, on: other.block.computeUnits) }
                loaded.end(at: clock.now())
            }
        }
        loading.waitForBegin()
        let ran = Result { try run(target, inputs) }
        let endS = clock.now()
        let ended = Result { try loading.finish() }
        for other in loaded.targets { try evict(other) }
        try ended.get()
        let seconds = try ran.get()
        return loaded.endS.map { $0 >= endS } == true ? seconds : nil
    }

    private func isRoom(for other: Target) -> Bool {
        meter.availableBytes().map { $0 / Self.roomFactor > other.storedBytes } ?? true
    }

    // One action

    @discardableResult
    private func load(_ target: Target) throws -> Double {
        try loader.now {
            try act(.load, target) { try backend.load(target.function, on: target.block.computeUnits) }
        }
    }

    @discardableResult
    private func run(_ target: Target, _ inputs: [String: Tensor]) throws -> Double {
        try runner.now {
            try act(.run, target) { _ = try backend.run(target.function, on: target.block.computeUnits, inputs) }
        }
    }

    @discardableResult
    private func evict(_ target: Target) throws -> Double {
        try runner.now {
            let start = clock.now()
            do {
                try backend.evict(package: target.block.package)
            } catch {
                throw Refusal(action: .run, block: target.block, reason: "giving it back failed: \(reason(error))")
            }
            return clock.now() - start
        }
    }

    /// Gives back what a measurement that has failed has left in memory.
    func evictAll(_ targets: [Target]) {
        for target in targets { runner.now { try? backend.evict(package: target.block.package) } }
    }

    /// Seconds of something that the journal tells of before and after.
    @discardableResult
    private func act(_ action: Ending.Action, _ target: Target, _ work: () throws -> Void) throws -> Double {
        try control.check()
        let number = try session.begin(action, target.block)
        let start = clock.now()
        do {
            try work()
        } catch {
            try session.end(number)
            throw Refusal(action: action, block: target.block, reason: reason(error))
        }
        let seconds = clock.now() - start
        try session.end(number)
        tell(.acted(action, target.block, seconds: seconds))
        return seconds
    }

    private func reason(_ error: any Error) -> String { Driver.reason(error).shortened(to: 1000) }

    /// The footprint once what was given back is gone, or after two seconds.
    private func settledBytes() -> Int? {
        guard var last = meter.footprintBytes() else { return nil }
        let start = clock.now()
        repeat {
            clock.sleep(Self.pauseS)
            guard let now = meter.footprintBytes() else { return nil }
            if abs(now - last) < Self.stillBytes { return now }
            last = now
        } while clock.now() - start < Self.longestSettlingS
        return last
    }
}

/// What one lane has loaded, for the other to evict, and when the last load ended.
private final class Loaded: @unchecked Sendable {
    private let lock = NSLock()
    private var begun: [Target] = []
    private var lastS: Double?

    func begin(_ target: Target) { lock.withLock { begun.append(target) } }
    func end(at seconds: Double) { lock.withLock { lastS = seconds } }
    var targets: [Target] { lock.withLock { begun } }
    var endS: Double? { lock.withLock { lastS } }
}
