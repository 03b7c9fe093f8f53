/// What the app is charged, in bytes, by what holds it.
public struct Charges: Hashable, Sendable {
    /// What the app takes without any block.
    public let baseline: Int
    /// Blocks in memory.
    public var resident = 0
    /// Blocks that are being loaded, with what a load takes besides.
    public var loading = 0
    /// What runs need while they go on.
    public var working = 0
    /// What packages left behind when they were evicted first.
    public var residual = 0

    public init(baseline: Int) { self.baseline = baseline }

    /// The footprint.
    public var total: Int { baseline + resident + loading + working + residual }
}

/// The charges now, and the largest footprint so far. Memory does not queue: whoever charges looks at the total.
public struct Ledger: Sendable {
    public private(set) var now: Charges
    public private(set) var peakBytes: Int

    public init(baseline: Int) {
        now = Charges(baseline: baseline)
        peakBytes = baseline
    }

    /// Adds bytes, or gives them back where they are negative. Returns the footprint.
    @discardableResult
    mutating func charge(resident: Int = 0, loading: Int = 0, working: Int = 0, residual: Int = 0) -> Int {
        now.resident += resident
        now.loading += loading
        now.working += working
        now.residual += residual
        peakBytes = max(peakBytes, now.total)
        return now.total
    }

    /// From here on the peak is that of what follows.
    public mutating func forgetPeak() { peakBytes = now.total }
}
