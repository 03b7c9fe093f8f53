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

    /// What the system charged the app at this moment.
    public struct Footprint: Equatable, Sendable {
        public let timeS: Double
        public let bytes: Int

        public init(timeS: Double, bytes: Int) {
            self.timeS = timeS
            self.bytes = bytes
        }
    }

    /// How hot the device says it is from this moment on.
    public struct Heat: Equatable, Sendable {
        public let timeS: Double
        public let state: ThermalState
    }

    /// In the order of their ends.
    public internal(set) var spans: [Span] = []
    public internal(set) var samples: [Sample] = []
    /// The largest footprint by the ledger, moments between two samples included.
    public internal(set) var peakBytes = 0
    /// Empty where it was not measured.
    public internal(set) var footprint: [Footprint] = []

    /// The first state, and each change of it.
    public internal(set) var heat: [Heat] = []

    /// Pauses that ended before the generation did, and the seconds of them.
    public internal(set) var numPauses = 0
    public internal(set) var pausedS = 0.0
    public internal(set) var numMemoryWarnings = 0
    /// Whether nothing was loaded beside a run, as was asked for.
    public internal(set) var savesMemory = false

    /// When the last action ended.
    public var totalS: Double { spans.map(\.endS).max() ?? 0 }

    mutating func note(_ state: ThermalState, at timeS: Double) {
        if heat.last?.state != state { heat.append(Heat(timeS: timeS, state: state)) }
    }

    /// The last sample of a moment stands for it.
    mutating func note(_ charges: Charges, at timeS: Double) {
        if samples.last?.timeS == timeS { samples.removeLast() }
        samples.append(Sample(timeS: timeS, charges: charges))
    }
}

extension Playback.Span {
    /// What a visit's action leaves, by the bytes and firsts of its schedule.
    init(_ action: Playback.Action, _ visit: Int, of schedule: Schedule, startS: Double, endS: Double) {
        let block = schedule.block(of: visit)
        let (bytes, isFirst) =
            switch action {
            case .load: (block.storedBytes, schedule.visits[visit].isCold)
            case .run: (block.workingBytes, schedule.visits[visit].isFirstRun)
            case .evict: (block.residentBytes, false)
            }
        self.init(action: action, visit: visit, startS: startS, endS: endS, bytes: bytes, isFirst: isFirst)
    }
}
