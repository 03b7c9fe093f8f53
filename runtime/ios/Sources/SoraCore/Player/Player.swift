/// Plays a schedule: takes events, gives commands. A value, without threads, clock or Core ML.
///
/// Nothing about loading is decided here.
///
///     loader   takes the visits that load, in order; starts one when visit `gate` has finished
///     runner   takes all visits, in order; runs one when its package is loaded, evicts what it says, then has finished
///
/// The ledger is charged when a load, a run or an eviction is commanded or reported, by the bytes of the schedule. The
/// commands of one `handle` are to be carried out in their order; loads and runs go on beside each other.
public struct Player: Sendable {
    public let schedule: Schedule
    public internal(set) var ledger: Ledger
    private(set) var state: State
    private let savesMemory: Bool

    /// With `savesMemory` no load ever goes on beside a run: each gate is kept, and the time that is won by it is not.
    public init(_ schedule: Schedule, savesMemory: Bool = false) {
        self.schedule = schedule
        self.savesMemory = savesMemory
        ledger = Ledger(baseline: schedule.baselineBytes)
        state = State(numPackages: schedule.packages.count)
        for number in schedule.held {
            let size = schedule.blocks[number].residentBytes
            state.heldBytes[schedule.packageOfBlock[number]] = size
            ledger.charge(resident: size)
        }
        for number in schedule.left {
            ledger.charge(residual: schedule.residualBytes(schedule.blocks[number].residentBytes))
        }
    }

    /// Where the generation stands, without what was charged.
    struct State: Hashable, Sendable {
        enum Phase: Hashable { case ready, playing, finished, closing, closed }

        var phase = Phase.ready
        /// Whether a failure has been told: only the first is.
        var hasFailed = false
        /// The visit at which the loader looks next.
        var nextLoad = 0
        /// The visits of the load and of the run under way.
        var loading: Int?
        var running: Int?
        var evicting: Eviction?
        /// The last visit that has finished.
        var finished = -1
        /// The pass that has begun, and the first that has not.
        var currentPass: Int?
        var nextPass = 0
        /// Visits of passes that are left out, in order, until the runner has got past them.
        var skipped: [Range<Int>] = []
        var isPaused = false
        /// Whether there was a pause while the load or the run under way went on: should it fail, it is done again.
        var hasLoadSeenPause = false
        var hasRunSeenPause = false
        var isShortOfMemory = false
        /// For each package what it was charged when it was loaded; nil if it is not in memory.
        var heldBytes: [Int?]

        init(numPackages: Int) { heldBytes = Array(repeating: nil, count: numPackages) }
    }

    struct Eviction: Hashable, Sendable {
        let package: Int
        let visit: Int?
    }

    /// What the player is waiting for, if anything is under way: visits and package.
    public var underWay: (loading: Int?, running: Int?, evicting: Int?) {
        (state.loading, state.running, state.evicting?.package)
    }

    /// The packages in memory now.
    public var packagesInMemory: [Int] { state.heldBytes.indices.filter { state.heldBytes[$0] != nil } }

    /// The pass that is to begin next, nil if there is none.
    public var nextPass: Schedule.Pass? {
        state.nextPass < schedule.passes.count ? schedule.passes[state.nextPass] : nil
    }

    /// Whose pass is to begin next, nil if there is none.
    public var nextComponent: String? { nextPass?.component }

    /// Takes an event and says what is to be done now, in this order.
    public mutating func handle(_ event: Event) -> [Command] {
        var commands: [Command] = []
        switch event {
        case .started:
            guard state.phase == .ready else { return unexpected(event) }
            state.phase = .playing
        case .begin(let component): begin(component, &commands)
        case .endEarly(let component): endEarly(component)
        case .loaded(let visit): loaded(visit, &commands)
        case .loadFailed(let visit, let reason): loadFailed(visit, reason, &commands)
        case .ran(let visit): ran(visit, &commands)
        case .runFailed(let visit, let reason): runFailed(visit, reason, &commands)
        case .evicted(let package): evicted(package, &commands)
        case .evictFailed(let package, let reason): evictFailed(package, reason, &commands)
        case .pause: pause()
        case .resume: state.isPaused = false
        case .memoryWarning: state.isShortOfMemory = true
        case .close: if state.phase != .closed { state.phase = .closing }
        }
        if case .loaded = event { startLoad(&commands) }
        if case .started = event { startLoad(&commands) }
        startRun(&commands)
        startLoad(&commands)
        giveBack(&commands)
        return commands
    }

    // What is told

    private mutating func pause() {
        state.isPaused = true
        state.hasLoadSeenPause = state.loading != nil
        state.hasRunSeenPause = state.running != nil
    }

    private mutating func begin(_ component: String, _ commands: inout [Command]) {
        guard isGoingOn else { return }
        guard state.phase == .playing, state.currentPass == nil, state.nextPass < schedule.passes.count,
            schedule.passes[state.nextPass].component.isExactly(component)
        else { return fail(.unexpected("a pass of \(component) begins"), &commands) }
        state.currentPass = state.nextPass
        state.nextPass += 1
    }

    private mutating func endEarly(_ component: String) {
        guard isGoingOn else { return }
        var skipped: Range<Int>?
        while state.nextPass < schedule.passes.count, schedule.passes[state.nextPass].component.isExactly(component) {
            let visits = schedule.passes[state.nextPass].visits
            skipped = (skipped?.lowerBound ?? visits.lowerBound)..<visits.upperBound
            state.nextPass += 1
        }
        if let skipped { state.skipped.append(skipped) }
    }

    private mutating func loaded(_ visit: Int, _ commands: inout [Command]) {
        guard state.loading == visit else { return fail(.unexpected("visit \(visit) is loaded"), &commands) }
        let size = schedule.block(of: visit).residentBytes
        (state.loading, state.hasLoadSeenPause) = (nil, false)
        state.heldBytes[schedule.package(of: visit)] = size
        ledger.charge(resident: size, loading: -size - schedule.transientBytes(size))
    }

    private mutating func loadFailed(_ visit: Int, _ reason: String, _ commands: inout [Command]) {
        guard state.loading == visit else { return fail(.unexpected("a load of visit \(visit) fails"), &commands) }
        let size = schedule.block(of: visit).residentBytes
        let hasSeenPause = state.hasLoadSeenPause
        (state.loading, state.hasLoadSeenPause) = (nil, false)
        ledger.charge(loading: -size - schedule.transientBytes(size))
        if hasSeenPause {
            state.nextLoad = visit
        } else {
            fail(.loadFailed(block: name(of: visit), reason: reason), &commands)
        }
    }

    private mutating func ran(_ visit: Int, _ commands: inout [Command]) {
        guard state.running == visit else { return fail(.unexpected("visit \(visit) has run"), &commands) }
        (state.running, state.hasRunSeenPause) = (nil, false)
        ledger.charge(working: -schedule.block(of: visit).workingBytes)
        guard isGoingOn else { return }
        if schedule.visits[visit].evicts {
            evict(schedule.package(of: visit), visit, &commands)
        } else {
            finish(visit, &commands)
        }
    }

    private mutating func runFailed(_ visit: Int, _ reason: String, _ commands: inout [Command]) {
        guard state.running == visit else { return fail(.unexpected("a run of visit \(visit) fails"), &commands) }
        let hasSeenPause = state.hasRunSeenPause
        (state.running, state.hasRunSeenPause) = (nil, false)
        ledger.charge(working: -schedule.block(of: visit).workingBytes)
        if !hasSeenPause {
            fail(.runFailed(block: name(of: visit), reason: reason), &commands)
        }
    }

    private mutating func evicted(_ package: Int, _ commands: inout [Command]) {
        guard let eviction = state.evicting, eviction.package == package else {
            return fail(.unexpected("package \(package) is evicted"), &commands)
        }
        state.evicting = nil
        let size = state.heldBytes[package] ?? 0
        state.heldBytes[package] = nil
        let leaves = eviction.visit.map { schedule.visits[$0].leaves } ?? false
        ledger.charge(resident: -size, residual: leaves ? schedule.residualBytes(size) : 0)
        guard isGoingOn, let visit = eviction.visit else { return }
        if let skipped = state.skipped.first, skipped.contains(visit) {
            state.finished = visit
        } else {
            finish(visit, &commands)
        }
    }

    private mutating func evictFailed(_ package: Int, _ reason: String, _ commands: inout [Command]) {
        guard let eviction = state.evicting, eviction.package == package else {
            return fail(.unexpected("an eviction of package \(package) fails"), &commands)
        }
        let error = PlayerError.evictFailed(block: name(of: package, at: eviction.visit), reason: reason)
        if isGoingOn {
            fail(error, &commands)
        } else if !state.hasFailed {
            state.hasFailed = true
            commands.append(.fail(error))
        }
        evicted(package, &commands)
    }

    private mutating func finish(_ visit: Int, _ commands: inout [Command]) {
        state.finished = visit
        guard let pass = state.currentPass, visit == schedule.passes[pass].visits.upperBound - 1 else { return }
        state.currentPass = nil
        state.isShortOfMemory = false
        commands.append(.passEnded(component: schedule.passes[pass].component))
    }

    // What is started

    /// The runner: gets past what is left out, runs the next visit of the pass that has begun, or is at the end.
    private mutating func startRun(_ commands: inout [Command]) {
        guard state.phase == .playing, state.running == nil, state.evicting == nil else { return }
        while let skipped = state.skipped.first, state.finished + 1 >= skipped.lowerBound {
            if let loading = state.loading, skipped.contains(loading) { return }
            for visit in (state.finished + 1)..<skipped.upperBound where schedule.visits[visit].evicts {
                guard state.heldBytes[schedule.package(of: visit)] != nil else { continue }
                return evict(schedule.package(of: visit), visit, &commands)
            }
            state.finished = skipped.upperBound - 1
            state.skipped.removeFirst()
        }
        if state.finished == schedule.visits.count - 1 {
            state.phase = .finished
            return commands.append(.finished)
        }
        guard state.currentPass != nil, !state.isPaused else { return }
        let visit = state.finished + 1
        guard !schedule.visits[visit].loads || state.nextLoad > visit && state.loading != visit else { return }
        let working = schedule.block(of: visit).workingBytes
        if isOverNeeded(ledger.charge(working: working), visit, &commands) {
            ledger.charge(working: -working)
            return
        }
        state.running = visit
        commands.append(.run(visit: visit))
    }

    /// The loader: starts the next load whose gate is open.
    private mutating func startLoad(_ commands: inout [Command]) {
        guard state.phase == .playing, state.loading == nil, !state.isPaused else { return }
        while state.nextLoad < schedule.visits.count, !isWanted(state.nextLoad) { state.nextLoad += 1 }
        guard state.nextLoad < schedule.visits.count else { return }
        let visit = state.nextLoad
        guard schedule.visits[visit].gate <= state.finished else { return }
        if savesMemory || state.isShortOfMemory, state.running != nil || visit != state.finished + 1 { return }
        let size = schedule.block(of: visit).residentBytes
        let loading = size + schedule.transientBytes(size)
        if isOverNeeded(ledger.charge(loading: loading), visit, &commands) {
            ledger.charge(loading: -loading)
            return
        }
        state.loading = visit
        state.nextLoad += 1
        commands.append(.load(visit: visit))
    }

    /// Whether a visit is still to be loaded for.
    private func isWanted(_ visit: Int) -> Bool {
        schedule.visits[visit].loads && visit > state.finished && !state.skipped.contains { $0.contains(visit) }
    }

    /// Once nothing is under way any more, evicts what is left, one package after another.
    private mutating func giveBack(_ commands: inout [Command]) {
        guard state.phase == .closing, state.loading == nil, state.running == nil, state.evicting == nil else { return }
        if let package = state.heldBytes.firstIndex(where: { $0 != nil }) {
            evict(package, nil, &commands)
        } else {
            state.phase = .closed
            commands.append(.closed)
        }
    }

    private mutating func evict(_ package: Int, _ visit: Int?, _ commands: inout [Command]) {
        state.evicting = Eviction(package: package, visit: visit)
        commands.append(.evict(package: package, visit: visit))
    }

    // What goes wrong

    private var isGoingOn: Bool { state.phase != .closing && state.phase != .closed }

    /// Gives the generation up, unless it is over already: the first reason counts.
    private mutating func fail(_ error: PlayerError, _ commands: inout [Command]) {
        guard isGoingOn else { return }
        (state.phase, state.hasFailed) = (.closing, true)
        commands.append(.fail(error))
    }

    private mutating func unexpected(_ event: Event) -> [Command] {
        var commands: [Command] = []
        fail(.unexpected("\(event)"), &commands)
        giveBack(&commands)
        return commands
    }

    private mutating func isOverNeeded(_ total: Int, _ visit: Int, _ commands: inout [Command]) -> Bool {
        let over = total - schedule.neededBytes
        if over > 0 { fail(.overNeeded(block: name(of: visit), bytes: over), &commands) }
        return over > 0
    }

    /// The visit's block, or the first that lies in the package.
    private func name(of package: Int, at visit: Int?) -> String {
        if let visit { return name(of: visit) }
        return schedule.packageOfBlock.firstIndex(of: package).map { schedule.blocks[$0].label } ?? "a package"
    }

    /// Such as "block 'spatial_3' of denoiser, step 4".
    private func name(of visit: Int) -> String {
        "\(schedule.block(of: visit).label), step \(schedule.visits[visit].step)"
    }
}
