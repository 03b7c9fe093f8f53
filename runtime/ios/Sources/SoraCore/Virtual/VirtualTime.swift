/// Plays a schedule in virtual time by its own predicted seconds, each lane undisturbed by the other.
///
/// What comes out is what the SimPy engine of simulator/engine.py makes of the same schedule when loads and runs do not
/// slow each other: the same spans and the same charges, also where several things happen in one moment.
public struct VirtualTime {
    /// One thing that will happen. Of those at one moment the first that was planned comes first.
    private struct Planned {
        let timeS: Double
        let number: Int
        let action: Playback.Action
        let visit: Int
        /// As in the engine, a load or a run whose time is over is told of after all else that was planned before then.
        let isTold: Bool

        func isBefore(_ other: Planned) -> Bool { (timeS, number) < (other.timeS, other.number) }
    }

    private let schedule: Schedule
    private var player: Player
    private var playback = Playback()
    private var nowS = 0.0
    private var planned: [Planned] = []
    private var numPlanned = 0
    private var startS: [Playback.Action: Double] = [:]
    private var error: PlayerError?

    /// Throws PlayerError if the schedule cannot be kept.
    public static func play(_ schedule: Schedule) throws -> Playback {
        var world = VirtualTime(schedule)
        world.tell(.started)
        world.beginNextPass()
        while let next = world.takeNext() {
            world.nowS = next.timeS
            if next.isTold {
                world.end(next.action, next.visit)
            } else {
                world.plan(next.action, next.visit, at: next.timeS, isTold: true)
            }
        }
        if let error = world.error { throw error }
        world.playback.peakBytes = world.player.ledger.peakBytes
        return world.playback
    }

    private init(_ schedule: Schedule) {
        self.schedule = schedule
        player = Player(schedule)
        playback.note(player.ledger.now, at: 0)
    }

    private mutating func tell(_ event: Event) {
        let commands = player.handle(event)
        playback.note(player.ledger.now, at: nowS)
        commands.forEach { carryOut($0) }
    }

    private mutating func carryOut(_ command: Command) {
        switch command {
        case .load(let visit):
            let block = schedule.block(of: visit)
            start(.load, visit, seconds: schedule.visits[visit].isCold ? block.firstLoadS : block.loadS)
        case .run(let visit):
            let block = schedule.block(of: visit)
            start(.run, visit, seconds: schedule.visits[visit].isFirstRun ? block.firstRunS : block.runS)
        case .evict(_, let visit?):
            startS[.evict] = nowS
            let seconds = schedule.block(of: visit).unloadS
            if seconds > 0 {
                plan(.evict, visit, at: nowS + seconds, isTold: true)
            } else {
                end(.evict, visit)
            }
        case .evict(let package, nil): tell(.evicted(package: package))
        case .passEnded: beginNextPass()
        case .finished, .closed: break
        case .fail(let reason): error = reason
        }
    }

    private mutating func beginNextPass() {
        if let component = player.nextComponent { tell(.begin(component: component)) }
    }

    private mutating func start(_ action: Playback.Action, _ visit: Int, seconds: Double) {
        startS[action] = nowS
        plan(action, visit, at: nowS + seconds, isTold: false)
    }

    private mutating func plan(_ action: Playback.Action, _ visit: Int, at timeS: Double, isTold: Bool) {
        planned.append(Planned(timeS: timeS, number: numPlanned, action: action, visit: visit, isTold: isTold))
        numPlanned += 1
    }

    /// Of the two or three things that are planned at any time the next.
    private mutating func takeNext() -> Planned? {
        let index = planned.indices.min { planned[$0].isBefore(planned[$1]) }
        return index.map { planned.remove(at: $0) }
    }

    private mutating func end(_ action: Playback.Action, _ visit: Int) {
        let startS = startS[action] ?? nowS
        playback.spans.append(Playback.Span(action, visit, of: schedule, startS: startS, endS: nowS))
        switch action {
        case .load: tell(.loaded(visit: visit))
        case .run: tell(.ran(visit: visit))
        case .evict: tell(.evicted(package: schedule.package(of: visit)))
        }
    }
}
