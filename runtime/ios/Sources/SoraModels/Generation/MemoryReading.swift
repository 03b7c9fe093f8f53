import SoraCore

/// Memory while something runs, in bytes: what the system charges, what the ledger says, and what is allowed.
public struct MemoryReading: Equatable, Sendable {
    public enum Level: Equatable, Sendable {
        case calm
        /// Less than a tenth of the limit is left.
        case close
        case over
    }

    private static let shareThatIsClose = 0.9

    public let limitBytes: Int
    /// What the schedule needs at most.
    public let neededBytes: Int
    public private(set) var ledgerBytes: Int
    /// nil where the system does not say.
    public private(set) var footprintBytes: Int?
    public private(set) var peakLedgerBytes: Int
    public private(set) var peakFootprintBytes: Int?

    public init(limitBytes: Int, neededBytes: Int, ledgerBytes: Int) {
        self.limitBytes = limitBytes
        self.neededBytes = neededBytes
        self.ledgerBytes = ledgerBytes
        peakLedgerBytes = ledgerBytes
    }

    public mutating func take(ledgerBytes: Int, footprintBytes: Int?) {
        self.ledgerBytes = ledgerBytes
        peakLedgerBytes = max(peakLedgerBytes, ledgerBytes)
        guard let footprintBytes else { return }
        self.footprintBytes = footprintBytes
        peakFootprintBytes = max(peakFootprintBytes ?? 0, footprintBytes)
    }

    /// The footprint where it is known, else the ledger.
    public var usedBytes: Int { footprintBytes ?? ledgerBytes }

    /// Of the limit, at most 1.
    public var share: Double { min(1, Double(usedBytes) / Double(max(1, limitBytes))) }
    public var ledgerShare: Double { min(1, Double(ledgerBytes) / Double(max(1, limitBytes))) }

    public var level: Level {
        if usedBytes > limitBytes { return .over }
        return Double(usedBytes) > Double(limitBytes) * Self.shareThatIsClose ? .close : .calm
    }

    /// Such as "1.20 GB of 3.30 GB".
    public var text: String { Texts.Memory.used(usedBytes, limitBytes) }
    /// Such as "Ledger 1.18 GB, at most 2.52 GB".
    public var ledgerText: String { Texts.Memory.ledger(ledgerBytes, neededBytes) }
    public var accessibilityLabel: String { Spoken.sentence([Texts.Memory.title, text, ledgerText]) }
}
