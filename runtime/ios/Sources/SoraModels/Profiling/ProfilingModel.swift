import Observation
import SoraCore

/// One export's profiling screen: what each block costs on this device, measured.
@MainActor @Observable public final class ProfilingModel {
    public enum State: Equatable, Sendable {
        case idle
        case running
        /// The device is hot: nothing is measured until it is cooler.
        case cooling(ThermalState)
        /// Measuring stops in the background.
        case paused
        case cancelling
        case finished(CaptureFile)
        case failed(Failure)
    }

    /// A function that could not be measured.
    public struct Miss: Equatable, Identifiable, Sendable {
        public let id: String
        public let reason: String
    }

    public private(set) var entry: LibraryEntry
    public private(set) var state = State.idle
    /// nil until it is known how much there is to do.
    public private(set) var plan: ProfilingPlan?
    /// What is being measured.
    public private(set) var current: String?
    /// The package that is being compiled, before anything is measured.
    public private(set) var preparing: String?
    /// Functions that were measured since it began, and those that could not be, wholly or beside another.
    public private(set) var numMeasured = 0
    public private(set) var misses: [Miss] = []
    /// What was measured so far, if measuring was ended early.
    public private(set) var partial: CaptureFile?
    /// nil where the system does not say.
    public private(set) var footprintBytes: Int?
    public let limitBytes: Int?

    private var ended: Set<String> = []
    private let engine: any ProfilingEngine
    private let turn: Turn
    private var profiling: (any RunningProfiling)?
    private(set) var listening: Task<Void, Never>?
    private var isInBackground = false

    public init(_ entry: LibraryEntry, engine: any ProfilingEngine, turn: Turn, limitBytes: Int?) {
        self.entry = entry
        self.engine = engine
        self.turn = turn
        self.limitBytes = limitBytes
    }

    /// What the library has found since; not while it is being measured.
    func update(_ entry: LibraryEntry) { if !isUnderWay { self.entry = entry } }

    public var isUnderWay: Bool {
        switch state {
        case .running, .cooling, .paused, .cancelling: true
        case .idle, .finished, .failed: false
        }
    }

    public var keepsAwake: Bool { isUnderWay && state != .paused }
    public var isBusyElsewhere: Bool { turn.isTaken(by: self) }
    public var canStart: Bool { entry.canBeProfiled && !isUnderWay && !isBusyElsewhere && plan?.numLeft != 0 }

    /// What can be shared: what was written down, whole or in part.
    public var capture: CaptureFile? {
        if case .finished(let file) = state { return file }
        return partial
    }

    /// Functions that are left; nil until it is known.
    public var numLeft: Int? { plan.map { max(0, $0.numLeft - ended.count) } }

    /// The share that is done, 0 to 1.
    public var fraction: Double {
        guard let plan, plan.numFunctions > 0 else { return 0 }
        return min(1, Double(plan.numMeasured + ended.count) / Double(plan.numFunctions))
    }

    /// Looks how much is left; while something goes on that is known.
    public func refresh() async {
        guard !isUnderWay, let export = entry.playable?.export else { return }
        let found = await engine.plan(for: export)
        if !isUnderWay { (plan, numMeasured, misses, ended) = (found, 0, [], []) }
    }

    public func start() {
        guard canStart, let export = entry.playable?.export else { return }
        (current, numMeasured, misses, ended, partial) = (nil, 0, [], [], nil)
        turn.take(self)
        state = .running
        let (events, continuation) = AsyncStream<ProfilingEvent>.makeStream()
        profiling = engine.start(export) { event in
            continuation.yield(event)
            if event.isLast { continuation.finish() }
        }
        listening = Task { [weak self] in
            for await event in events { self?.take(event) }
        }
        if isInBackground { enterBackground() }
    }

    func take(_ event: ProfilingEvent) {
        guard isUnderWay else { return }
        switch event {
        case .preparing(let package): preparing = package
        case .planned(let plan): (self.plan, preparing) = (plan, nil)
        case .measuring(let name):
            current = name
            if case .cooling = state { state = .running }
        case .measured(let name):
            numMeasured += 1
            ended.insert(name)
            current = nil
        case .couldNot(let name, let reason):
            misses.append(Miss(id: name, reason: reason))
            ended.insert(name)
            current = nil
        case .cooling(let thermal): if keepsAwake, state != .cancelling { state = .cooling(thermal) }
        case .memory(let bytes): footprintBytes = bytes ?? footprintBytes
        case .finished(let file): end(.finished(file))
        case .failed(let error): end(.failed(Failure(error)))
        case .cancelled(let file):
            partial = file
            end(.idle)
        }
    }

    private func end(_ state: State) {
        self.state = state
        (current, preparing) = (nil, nil)
        profiling = nil
        turn.give(self)
    }

    public func cancel() {
        guard isUnderWay, state != .cancelling else { return }
        state = .cancelling
        profiling?.cancel()
    }

    public func enterBackground() {
        isInBackground = true
        guard keepsAwake, state != .cancelling else { return }
        state = .paused
        profiling?.pause()
    }

    public func enterForeground() {
        isInBackground = false
        guard state == .paused else { return }
        state = .running
        profiling?.resume()
    }
}

extension ProfilingEvent {
    var isLast: Bool {
        switch self {
        case .finished, .failed, .cancelled: true
        case .preparing, .planned, .measuring, .measured, .couldNot, .cooling, .memory: false
        }
    }
}
