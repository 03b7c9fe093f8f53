/// What has happened, told to the player.
public enum Event: Hashable, Sendable {
    /// The generation begins; the packages of `Schedule.held` are in memory.
    case started
    /// The input of the component's next pass is there.
    case begin(component: String)
    /// The component's passes that have not begun are left out: LPL has leapt.
    case endEarly(component: String)
    case loaded(visit: Int)
    case loadFailed(visit: Int, reason: String)
    case ran(visit: Int)
    case runFailed(visit: Int, reason: String)
    case evicted(package: Int)
    /// It counts as given back: nothing more can be done about it.
    case evictFailed(package: Int, reason: String)
    /// Start nothing more: the app goes to the background. What is under way goes on, and is done again if it fails.
    case pause
    case resume
    /// The system is short of memory: until the current pass has ended, no load goes on beside a run.
    case memoryWarning
    /// The generation is over, whether it has come to its end or not: give everything back.
    case close
}

/// What is to be done. Each load, run and evict is answered by one event when it is done.
public enum Command: Hashable, Sendable {
    case load(visit: Int)
    case run(visit: Int)
    /// `visit` is the one whose eviction it is; nil at the end, when what is left is given back.
    case evict(package: Int, visit: Int?)
    /// All blocks of the pass have run: its output is there.
    case passEnded(component: String)
    /// All passes have ended or been left out. What the schedule keeps is still in memory.
    case finished
    /// The generation cannot go on. What is under way is waited for, everything is given back, and `closed` follows.
    case fail(PlayerError)
    /// Nothing is under way, no package is in memory. Nothing follows.
    case closed
}

/// Why a generation cannot go on.
public enum PlayerError: Error, Hashable, Sendable, CustomStringConvertible {
    case loadFailed(block: String, reason: String)
    case runFailed(block: String, reason: String)
    case evictFailed(block: String, reason: String)
    /// The footprint would exceed what the schedule says that it needs at most, by so many bytes.
    case overNeeded(block: String, bytes: Int)
    /// The player was told something that cannot have happened: a mistake of the program that drives it.
    case unexpected(String)

    public var description: String {
        switch self {
        case .loadFailed(let block, let reason): "loading \(block) failed: \(reason)".printable
        case .runFailed(let block, let reason): "running \(block) failed: \(reason)".printable
        case .evictFailed(let block, let reason): "giving \(block) back failed: \(reason)".printable
        case .overNeeded(let block, let bytes):
            "\(block) would take \(bytes) bytes more than the schedule needs. \(Schedule.makeAgain)".printable
        case .unexpected(let what): "the player was told what cannot have happened: \(what)".printable
        }
    }
}
