/// Whether what a schedule needs is there: iOS ends an app that takes more than its limit.
public struct Room: Equatable, Sendable {
    /// What playing can need at most.
    public let neededBytes: Int
    /// What the app takes now and may still take; nil where the system does not say.
    public let limitBytes: Int?

    public init(_ schedule: Schedule, _ meter: any Meter) {
        neededBytes = schedule.neededBytes
        limitBytes = meter.limitBytes
    }

    /// How much is missing; 0 if it fits, or if nobody knows.
    public var missingBytes: Int { max(0, neededBytes - (limitBytes ?? neededBytes)) }

    /// Throws NoRoom if something is missing.
    public func check() throws { if missingBytes > 0 { throw NoRoom(room: self) } }
}

/// A generation that would be ended by the system before its end.
public struct NoRoom: Error, CustomStringConvertible {
    public let room: Room

    public var description: String {
        "this schedule needs up to \(Figures.bytes(room.neededBytes)); the system leaves this app "
            + "\(Figures.bytes(room.limitBytes ?? 0)), \(Figures.bytes(room.missingBytes)) too few. "
            + "Export the plan again with a smaller budget, or close apps"
    }
}
