import Dispatch
import Foundation

/// Plays a schedule in real time: carries out what the player commands, and tells it what has happened.
///
/// Two serial queues, one that loads, one that runs and evicts; the player stands behind one lock. Nothing about loading
/// is decided here. Whoever generates calls `start`, then `play` for each pass, `endEarly` after a leap, and `close` in
/// the end, whatever has happened: these wait. `pause`, `resume`, `memoryWarning` and `stop` may be called from any
/// thread, at any moment, and return at once.
public final class Driver: @unchecked Sendable {
    /// After how many seconds of a load it is told that it goes on. No load is ever ended.
    public static let slowLoadS = 60.0

    /// Seconds of a clock that never goes back, from any moment on.
    public typealias Clock = @Sendable () -> Double

    /// A pass under way: its states, for which each block runs one after the other, and for how many the next one has
    /// run already. A tensor is dropped after its last reader. Only the runner's while it goes on.
    private final class Pass: @unchecked Sendable {
        var states: [[String: Tensor]]
        var numDone = 0
        init(_ states: [[String: Tensor]]) { self.states = states }
    }

    private let schedule: Schedule
    private let wiring: Wiring
    private let backend: any BlockBackend
    private let meter: any Meter
    private let clock: Clock
    private let slowLoadS: Double
    private let listener: @Sendable (Progress) -> Void
    private let sampler: FootprintSampler
    private let loader = DispatchQueue(label: "sora.loader", qos: .userInitiated)
    private let runner = DispatchQueue(label: "sora.runner", qos: .userInitiated)
    private let teller = DispatchQueue(label: "sora.teller", qos: .userInitiated)
    private let origin: Origin

    private let lock = NSCondition()
    // Behind the lock:
    private var player: Player
    private var playback = Playback()
    private var charges: Charges
    private var startS: [Playback.Action: Double] = [:]
    private var slowLoad: DispatchWorkItem?
    private var numLoads = 0
    private var pass: Pass?
    private var hasPassEnded = false
    private var cause: (any Error)?
    /// On the clock.
    private var pausedSinceS: Double?
    private var isInBackground = false
    private var numBackgrounds = 0
    private var hasStarted = false
    private var isClosed = false

    /// When the generation began, on the clock; the sampler reads it as well.
    private final class Origin: @unchecked Sendable {
        private let lock = NSLock()
        private var startS: Double
        init(_ startS: Double) { self.startS = startS }
        var value: Double {
            get { lock.withLock { startS } }
            set { lock.withLock { startS = newValue } }
        }
    }

    /// `tell` is called on a queue of its own, in the order in which things happen; it must not wait for the driver. With
    /// `savesMemory` nothing is loaded beside a run.
    ///
    /// Throws DocumentError if the export's blocks do not fit together.
    public init(
        _ export: Export, backend: any BlockBackend, meter: any Meter, clock: @escaping Clock = Driver.uptime,
        slowLoadS: Double = Driver.slowLoadS, savesMemory: Bool = false,
        tell: @escaping @Sendable (Progress) -> Void = { _ in }
    ) throws {
        schedule = export.schedule
        wiring = try Wiring(export)
        self.backend = backend
        self.meter = meter
        self.clock = clock
        self.slowLoadS = slowLoadS
        listener = tell
        player = Player(schedule, savesMemory: savesMemory)
        playback.savesMemory = savesMemory
        charges = player.ledger.now
        let origin = Origin(clock())
        self.origin = origin
        sampler = FootprintSampler(meter) { clock() - origin.value }
    }

    /// Seconds since some moment, those included in which the device slept.
    public static let uptime: Clock = {
        let passed = beginning.duration(to: .now).components
        return Double(passed.seconds) + Double(passed.attoseconds) * 1e-18
    }
    private static let beginning = ContinuousClock.now

    // What whoever generates calls

    /// Loads what the schedule expects in memory; then the generation begins, at 0 seconds. Throws PlayerError.
    public func start() throws {
        for number in schedule.held {
            while try !isLoadedBeforehand(number) {}
        }
        try locked {
            try checkGoingOn()
            hasStarted = true
            origin.value = clock()
            sampler.start()
            playback.note(charges, at: 0)
            playback.note(meter.thermalState(), at: 0)
            tell(.memory(timeS: 0, charges: charges, footprintBytes: meter.footprintBytes()))
            handle(.started)
        }
    }

    /// False if it failed after there had been a pause: then it is to be done again. Begins none while paused.
    private func isLoadedBeforehand(_ block: Int) throws -> Bool {
        let label = schedule.blocks[block].label
        let numBefore = try locked {
            while pausedSinceS != nil {
                try checkGoingOn()
                lock.wait()
            }
            try checkGoingOn()
            watch(label)
            return playback.numPauses
        }
        let error = loader.sync { load(block: block) }
        return try locked {
            loadIsOver()
            if let error, pausedSinceS == nil, playback.numPauses == numBefore {
                throw PlayerError.loadFailed(block: label, reason: error)
            }
            return error == nil
        }
    }

    /// Runs the component's next pass on these tensors, and waits for it. Returns what the component writes.
    ///
    /// Throws PlayerError, which names the block, or CancellationError after `stop`.
    public func play(_ component: String, _ inputs: consuming [String: Tensor]) throws -> [String: Tensor] {
        try play(component, [consume inputs])[0]
    }

    /// The same for several states: a block that is loaded runs for one after the other. Throws as `play`.
    public func play(_ component: String, _ states: consuming [[String: Tensor]]) throws -> [[String: Tensor]] {
        let pass = Pass(consume states)
        return try locked {
            try checkGoingOn()
            self.pass = pass
            defer { self.pass = nil }
            hasPassEnded = false
            if let next = player.nextPass { tell(.began(component: component, step: next.step)) }
            handle(.begin(component: component))
            while !hasPassEnded {
                try checkGoingOn()
                lock.wait()
            }
            return pass.states
        }
    }

    /// The component's remaining passes are left out. Does not wait: what is under way for them is dropped as it ends.
    public func endEarly(_ component: String) { locked { handle(.endEarly(component: component)) } }

    /// Waits for what is under way and gives everything back. What has happened, whether or not it came to its end.
    @discardableResult
    public func close() -> Playback {
        locked {
            if !isClosed { handle(.close) }
            while !isClosed { lock.wait() }
            playback.peakBytes = player.ledger.peakBytes
        }
        let footprint = sampler.stop()
        teller.sync {}
        return locked {
            playback.footprint = footprint
            return playback
        }
    }

    /// Why it cannot go on, nil if it can: CancellationError if it was stopped.
    public var failure: (any Error)? { locked { cause } }

    /// What has happened until now.
    var playbackSoFar: Playback { locked { playback } }

    /// Tells the listener, after all that it was told before.
    func tell(_ progress: Progress) { teller.async { [listener] in listener(progress) } }

    // What anybody may call

    /// Starts nothing more, until `resume`. What is under way goes on, and is done again if it fails.
    public func pause() { locked { pauseNow() } }

    public func resume() {
        locked {
            guard let sinceS = pausedSinceS else { return }
            pausedSinceS = nil
            playback.numPauses += 1
            playback.pausedS += clock() - max(sinceS, origin.value)
            tell(.resumed)
            handle(.resume)
            lock.broadcast()
        }
    }

    /// The app is shown no more, or again. In the background it is paused, until `resume`; and what runs there meanwhile
    /// is done again, also if it seems to have gone well: of what iOS refuses the GPU there Core ML does not always tell.
    public func note(isInBackground: Bool) {
        locked {
            guard isInBackground != self.isInBackground else { return }
            self.isInBackground = isInBackground
            guard isInBackground else { return }
            numBackgrounds += 1
            pauseNow()
        }
    }

    /// The system is short of memory: until the pass has ended, no load goes on beside a run.
    public func memoryWarning() {
        locked {
            playback.numMemoryWarnings += 1
            handle(.memoryWarning)
        }
    }

    /// Ends the generation as soon as what is under way has ended; whoever waits gets CancellationError.
    public func stop() {
        locked {
            fail(CancellationError())
            if hasStarted { handle(.close) }  // else `start` ends, which may be loading what `close` is to give back
        }
    }

    // Behind the lock

    private func locked<Result>(_ body: () throws -> Result) rethrows -> Result {
        lock.lock()
        defer { lock.unlock() }
        return try body()
    }

    private var nowS: Double { clock() - origin.value }

    private func pauseNow() {
        guard pausedSinceS == nil else { return }
        pausedSinceS = clock()
        handle(.pause)
        tell(.paused)
    }

    /// How often the app has been in the background, and whether it is there.
    private var background: (count: Int, isThere: Bool) { (numBackgrounds, isInBackground) }

    private func checkGoingOn() throws {
        if let cause { throw cause }
        if isClosed { throw CancellationError() }
    }

    /// The first reason counts.
    private func fail(_ error: any Error) {
        if cause == nil { cause = error }
        lock.broadcast()
    }

    private func handle(_ event: Event) {
        let commands = player.handle(event)
        if player.ledger.now != charges {
            charges = player.ledger.now
            let timeS = nowS
            playback.note(charges, at: timeS)
            tell(.memory(timeS: timeS, charges: charges, footprintBytes: meter.footprintBytes()))
        }
        for command in commands { obey(command) }
    }

    private func obey(_ command: Command) {
        switch command {
        case .load(let visit):
            startS[.load] = nowS
            watch(schedule.block(of: visit).label)
            loader.async { self.load(visit) }
        case .run(let visit):
            guard let pass else { return fail(PlayerError.unexpected("a run without a pass")) }
            startS[.run] = nowS
            runner.async { self.run(visit, pass) }
        case .evict(let package, let visit):
            startS[.evict] = nowS
            runner.async { self.evict(package, visit) }
        case .passEnded:
            hasPassEnded = true
            lock.broadcast()
        case .finished: break
        case .fail(let error): fail(error)
        case .closed:
            isClosed = true
            lock.broadcast()
        }
    }

    private func note(_ action: Playback.Action, _ visit: Int) {
        let span = Playback.Span(action, visit, of: schedule, startS: startS[action] ?? 0, endS: nowS)
        playback.spans.append(span)
        playback.note(meter.thermalState(), at: span.endS)
        tell(.acted(span))
    }

    /// A load begins: should it take long, that is told, once.
    private func watch(_ block: String) {
        let beganS = nowS
        numLoads += 1
        let number = numLoads
        let item = DispatchWorkItem { [weak self] in
            self?.locked {
                guard let self, self.slowLoad != nil, self.numLoads == number else { return }
                self.tell(.waits(block: block, seconds: self.nowS - beganS))
            }
        }
        slowLoad = item
        DispatchQueue.global(qos: .utility).asyncAfter(deadline: .now() + slowLoadS, execute: item)
    }

    private func loadIsOver() {
        slowLoad?.cancel()
        slowLoad = nil
    }

    // On the two queues, without the lock while the backend works

    private func load(_ visit: Int) {
        let error = load(block: schedule.visits[visit].block)
        locked {
            loadIsOver()
            if let error { return handle(.loadFailed(visit: visit, reason: error)) }
            note(.load, visit)
            handle(.loaded(visit: visit))
        }
    }

    private func load(block: Int) -> String? {
        let call = wiring.calls[block]
        return Self.attempt {
            try Signposts.interval(.load, schedule.blocks[block].label) {
                try backend.load(call.functions[0], on: call.units)
            }
        }
    }

    private func run(_ visit: Int, _ pass: Pass) {
        let block = schedule.visits[visit].block
        let name = "\(schedule.blocks[block].label), step \(schedule.visits[visit].step)"
        let error = Self.attempt { try Signposts.interval(.run, name) { try predict(block, pass) } }
        locked {
            if let error { return handle(.runFailed(visit: visit, reason: error)) }
            note(.run, visit)
            handle(.ran(visit: visit))
        }
    }

    /// A run that is done again goes on with the state that it failed at.
    private func predict(_ block: Int, _ pass: Pass) throws {
        while pass.numDone < pass.states.count {
            let before = locked { background }
            let state = try predicted(block, pass.states[pass.numDone])
            if before.isThere || locked({ numBackgrounds }) != before.count { throw InBackground() }
            pass.states[pass.numDone] = state
            pass.numDone += 1
        }
        pass.numDone = 0
    }

    private func predicted(_ block: Int, _ before: [String: Tensor]) throws -> [String: Tensor] {
        let call = wiring.calls[block]
        let function = try wiring.function(block, for: before)
        var inputs: [String: Tensor] = [:]
        for input in function.inputs { inputs[input.feature] = before[input.tensor] }
        let outputs = try backend.run(function, on: call.units, inputs)
        var tensors = before
        for output in function.outputs {
            guard let tensor = outputs[output.feature] else {
                throw TensorError(what: "there is no output '\(output.feature)'")
            }
            guard tensor.shape == output.shape else {
                throw TensorError(what: "output '\(output.feature)' is \(tensor.shape), not \(output.shape)")
            }
            guard tensor.isWithinStorage else {
                throw TensorError(what: "output '\(output.feature)' lies beyond its memory")
            }
            tensors[output.tensor] = tensor
        }
        return tensors.filter { call.handedOn.contains($0.key) }
    }

    private func evict(_ package: Int, _ visit: Int?) {
        let name = schedule.packages[package]
        let error = Self.attempt { try Signposts.interval(.evict, name) { try backend.evict(package: name) } }
        locked {
            if let error { return handle(.evictFailed(package: package, reason: error)) }
            if let visit { note(.evict, visit) }
            handle(.evicted(package: package))
        }
    }

    /// Does it with a pool of its own. nil, or why it failed, in one line.
    private static func attempt(_ action: () throws -> Void) -> String? {
        autoreleasepool {
            do { try action() } catch { return reason(error) }
            return nil
        }
    }

    /// What an error says, in one line: of Apple's the text that is meant for people, with domain and code.
    static func reason(_ error: any Error) -> String {
        guard type(of: error) is NSError.Type else { return "\(error)".printable }
        let error = error as NSError
        return "\(error.localizedDescription) (\(error.domain) \(error.code))".printable
    }
}

/// What ran while the app was in the background.
private struct InBackground: Error, CustomStringConvertible {
    var description: String { "the app was in the background" }
}
