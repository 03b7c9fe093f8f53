import Observation

/// Whose turn it is: one export at a time has the memory, to be played or to be measured.
@MainActor @Observable public final class Turn {
    private var holder: ObjectIdentifier?

    public init() {}

    /// Whether somebody else has it.
    func isTaken(by other: AnyObject) -> Bool { holder.map { $0 != ObjectIdentifier(other) } ?? false }

    func take(_ taker: AnyObject) { holder = ObjectIdentifier(taker) }

    func give(_ giver: AnyObject) { if holder == ObjectIdentifier(giver) { holder = nil } }
}
