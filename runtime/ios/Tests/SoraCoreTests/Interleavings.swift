import Testing

@testable import SoraCore

/// Schedules of up to 8 visits, and a walk over every order in which things can happen while they are played.
struct Interleavings {
    /// What may happen once each, besides what the player asks for.
    struct Interruptions: OptionSet, Hashable {
        let rawValue: Int
        static let endEarly = Interruptions(rawValue: 1)
        static let loadFails = Interruptions(rawValue: 2)
        static let runFails = Interruptions(rawValue: 4)
        static let pause = Interruptions(rawValue: 8)
        static let warning = Interruptions(rawValue: 16)
        static let close = Interruptions(rawValue: 32)
        static let evictFails = Interruptions(rawValue: 64)
    }

    private struct Moment: Hashable {
        let state: Player.State
        let charges: Charges
        let left: Interruptions
        let isPaused: Bool
        /// What this walk itself knows of: runs and evictions that are over, and packages that it was told to load.
        let done: Int
        let skipped: Set<Int>
        let resident: Set<Int>
        let hasFailed: Bool
    }

    let schedule: Schedule
    private(set) var numMoments = 0
    private(set) var largestBytes = 0
    private(set) var numEnds = 0
    private var known: Set<Moment> = []

    /// Walks from the start; every rule that is broken is an issue of the test that runs.
    static func walk(_ toy: Toy, _ interruptions: Interruptions) throws -> Interleavings {
        var walk = Interleavings(schedule: try toy.schedule())
        let player = Player(walk.schedule)
        walk.go(Step(player: player, left: interruptions, resident: Set(player.packagesInMemory)), .started)
        return walk
    }

    private struct Step {
        var player: Player
        var left: Interruptions
        var isPaused = false
        /// The last visit that has run and whose eviction is over, as the walk saw it, those left out included.
        var done = -1
        var skipped: Set<Int> = []
        var resident: Set<Int>
        var loading: Int?
        var running: Int?
        var evicting: (package: Int, visit: Int?)?
        var hasFailed = false
        var isClosed = false
        var hasFinished = false
    }

    private init(schedule: Schedule) { self.schedule = schedule }

    /// One event, and from there on every order of the others.
    private mutating func go(_ before: Step, _ event: Event) {
        var step = before
        note(event, &step)
        step.player.ledger.forgetPeak()
        for command in step.player.handle(event) { obey(command, &step) }
        largestBytes = max(largestBytes, step.player.ledger.peakBytes)
        if step.player.ledger.peakBytes > schedule.neededBytes {
            Issue.record("\(step.player.ledger.peakBytes) bytes of \(schedule.neededBytes) after \(event)")
        }
        let moment = Moment(
            state: step.player.state, charges: step.player.ledger.now, left: step.left, isPaused: step.isPaused,
            done: step.done, skipped: step.skipped, resident: step.resident, hasFailed: step.hasFailed)
        guard known.insert(moment).inserted else { return }
        numMoments += 1
        if step.isClosed { return checkEnd(step) }
        let following = events(step)
        if following.isEmpty { Issue.record("nothing can happen any more, and it has not ended: \(step.player.state)") }
        for (next, used) in following {
            var after = step
            after.left.subtract(used)
            go(after, next)
        }
    }

    /// What can happen next, and which interruption it uses up.
    private func events(_ step: Step) -> [(Event, Interruptions)] {
        var events: [(Event, Interruptions)] = []
        if let visit = step.loading {
            events.append((.loaded(visit: visit), []))
            if step.left.contains(.loadFails) { events.append((.loadFailed(visit: visit, reason: "x"), .loadFails)) }
        }
        if let visit = step.running {
            events.append((.ran(visit: visit), []))
            if step.left.contains(.runFails) { events.append((.runFailed(visit: visit, reason: "x"), .runFails)) }
        }
        if let evicting = step.evicting {
            events.append((.evicted(package: evicting.package), []))
            if step.left.contains(.evictFails) {
                events.append((.evictFailed(package: evicting.package, reason: "x"), .evictFails))
            }
        }
        if step.isPaused { events.append((.resume, [])) }
        if step.hasFinished || step.hasFailed {
            if step.hasFinished { events.append((.close, [])) }
            return events
        }
        if let component = step.player.nextComponent {
            if step.player.state.currentPass == nil { events.append((.begin(component: component), [])) }
            if step.left.contains(.endEarly) { events.append((.endEarly(component: component), .endEarly)) }
        }
        if step.left.contains(.pause) { events.append((.pause, .pause)) }
        if step.left.contains(.warning) { events.append((.memoryWarning, .warning)) }
        if step.left.contains(.close) { events.append((.close, .close)) }
        return events
    }

    private func note(_ event: Event, _ step: inout Step) {
        switch event {
        case .loaded(let visit):
            step.loading = nil
            step.resident.insert(schedule.package(of: visit))
        case .loadFailed: step.loading = nil
        case .ran(let visit):
            step.running = nil
            if !schedule.visits[visit].evicts { step.done = visit }
        case .runFailed: step.running = nil
        case .evicted(let package), .evictFailed(let package, _):
            step.resident.remove(package)
            if let visit = step.evicting?.visit { step.done = max(step.done, visit) }
            step.evicting = nil
        case .endEarly(let component):
            for pass in schedule.passes[step.player.state.nextPass...] where pass.component == component {
                step.skipped.formUnion(pass.visits)
            }
        case .pause: step.isPaused = true
        case .resume: step.isPaused = false
        case .close: step.hasFailed = true
        case .started, .begin, .memoryWarning: break
        }
    }

    private func isOver(_ visit: Int, _ step: Step) -> Bool {
        if visit <= step.done { return true }
        guard step.skipped.contains(visit) else { return false }
        return ((step.done + 1)...visit).allSatisfy { step.skipped.contains($0) }
    }

    private func obey(_ command: Command, _ step: inout Step) {
        switch command {
        case .load(let visit):
            let package = schedule.package(of: visit)
            if step.loading != nil { Issue.record("two loads at a time") }
            if step.resident.contains(package) { Issue.record("visit \(visit) loads what is in memory") }
            if step.isPaused || step.hasFailed { Issue.record("a load in the background or after the end") }
            if step.skipped.contains(visit) { Issue.record("visit \(visit) is left out, and is loaded for") }
            let gate = schedule.visits[visit].gate
            if gate >= 0, !isOver(gate, step) { Issue.record("visit \(visit) does not wait for \(gate)") }
            step.loading = visit
        case .run(let visit):
            if step.running != nil || step.evicting != nil { Issue.record("two runs at a time") }
            if !step.resident.contains(schedule.package(of: visit)) { Issue.record("\(visit) runs unloaded") }
            if step.isPaused || step.hasFailed { Issue.record("a run in the background or after the end") }
            if step.skipped.contains(visit) { Issue.record("visit \(visit) is left out, and runs") }
            if visit > 0, !isOver(visit - 1, step) { Issue.record("visit \(visit) runs before \(visit - 1) is over") }
            step.running = visit
        case .evict(let package, let visit):
            if step.evicting != nil || step.running != nil { Issue.record("an eviction beside a run") }
            if !step.resident.contains(package) { Issue.record("package \(package) is evicted, and is not there") }
            if visit == nil, !step.hasFailed { Issue.record("package \(package) is given back too early") }
            step.evicting = (package, visit)
        case .passEnded: break
        case .finished:
            if step.loading != nil { Issue.record("finished beside a load") }
            step.hasFinished = true
        case .fail: step.hasFailed = true
        case .closed: step.isClosed = true
        }
    }

    private mutating func checkEnd(_ step: Step) {
        numEnds += 1
        let held = step.player.ledger.now
        if held.resident + held.loading + held.working != 0 { Issue.record("held at the end: \(held)") }
        if !step.resident.isEmpty || step.loading != nil || step.running != nil { Issue.record("under way at the end") }
    }
}
