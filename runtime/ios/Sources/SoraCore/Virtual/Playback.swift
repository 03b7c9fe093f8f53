/// What a generation leaves: what each lane did, and what the app was charged at each change.
public struct Playback: Sendable {
    public enum Action: String, Sendable { case load, run, evict }

    /// One action, in seconds from the start. `isFirst` marks the package's first load on the device, and the block's
    /// first run after a load.
    public struct Span: Equatable, Sendable {
        public let action: Action
        public let visit: Int
        public let startS: Double
        public let endS: Double
        public let bytes: Int
        public let isFirst: Bool
    }

    /// What is charged from this moment on.
    public struct Sample: Equatable, Sendable {
        public let timeS: Double
        public let charges: Charges
    }

    /// In the order of their ends.
    public internal(set) var spans: [Span] = []
    public internal(set) var samples: [Sample] = []
    /// The largest footprint, moments between two samples included.
    public internal(set) var peakBytes = 0

    /// The last sample of a moment stands for it.
    mutating func note(_ charges: Charges, at timeS: Double) {
        if samples.last?.timeS == timeS { samples.removeLast() }
        samples.append(Sample(timeS: timeS, charges: charges))
    }
}
