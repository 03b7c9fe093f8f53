/// schedule.json: when each block is loaded, run and evicted, as it was simulated (docs/schedule.md).
///
/// What plays it decides nothing. Bytes are bytes, times are seconds; block and visit numbers count from 0.
public struct Schedule: Sendable {
    public static let fileName = "schedule.json"
    public static let format = "ondevice-sora-schedule-1"

    /// The processor that a block is taken to run on.
    public enum Lane: String, CaseIterable, Sendable { case cpu, gpu, ane }
    public enum Variant: String, CaseIterable, Sendable { case plain, tdtm }

    /// A block in one variant: what is loaded and run, and what that is predicted to take.
    public struct Block: Sendable {
        public let component: String
        /// Among the component's blocks.
        public let number: Int
        public let name: String
        public let variant: Variant
        /// The .mlpackage beside the schedule, and its function.
        public let package: String
        public let function: String
        public let lane: Lane
        public let residentBytes: Int
        public let workingBytes: Int
        public let storedBytes: Int
        public let loadS: Double
        /// The package's first load on the device.
        public let firstLoadS: Double
        public let runS: Double
        /// The block's first run after a load.
        public let firstRunS: Double
        public let unloadS: Double

        /// What it is called in messages.
        public var label: String { "block '\(name)' of \(component)" }
    }

    /// One walk over a component's blocks.
    public struct Pass: Sendable {
        public let component: String
        public let step: Int
        public let visits: Range<Int>
    }

    /// One use of a block.
    public struct Visit: Sendable {
        public let block: Int
        public let step: Int
        /// Whether the block's package must be loaded for it.
        public let loads: Bool
        /// That load is the package's first on the device.
        public let isCold: Bool
        /// The run is the block's first since its package was loaded.
        public let isFirstRun: Bool
        /// The visit that must have finished before the load may start; -1 for none.
        public let gate: Int
        /// Whether the package is evicted after the run.
        public let evicts: Bool
        /// That eviction is the package's first.
        public let leaves: Bool
    }

    /// When the denoiser may leap to the end, resolved for this number of steps.
    public enum Leap: Equatable, Sendable {
        public enum Over: String, CaseIterable, Sendable { case whole, slice }
        case none
        case fixed(step: Int)
        case plateau(tolerance: Double, patience: Int, firstStep: Int, over: Over)
        case curvature(acceptedError: Double, bend: Bool)
    }

    public let plan: String
    public let planSHA256: String
    public let manifestSHA256: String
    public let device: String
    public let profile: String
    public let profileSHA256: String
    public let limitBytes: Int
    public let limitSource: String
    /// nil where the plan has none.
    public let budgetBytes: Int?
    /// What the app takes without any block.
    public let baselineBytes: Int
    /// A bound of the footprint that playing it can reach, whatever the timing.
    public let neededBytes: Int
    /// Of a block's resident bytes, charged besides while it loads.
    public let transientShare: Double
    /// Of a package's resident bytes, charged on after its first eviction.
    public let residualShare: Double
    public let predictedTotalS: Double
    public let predictedPeakBytes: Int
    public let leap: Leap
    public let blocks: [Block]
    /// Blocks whose packages are in memory before the first visit.
    public let held: [Int]
    /// Blocks whose packages an earlier generation evicted: they left their residual bytes.
    public let left: [Int]
    public let passes: [Pass]
    public let visits: [Visit]

    /// The packages by name, in the order in which blocks name them first.
    public let packages: [String]
    /// For each block the number of its package.
    public let packageOfBlock: [Int]

    /// The number of the package that a visit uses.
    public func package(of visit: Int) -> Int { packageOfBlock[visits[visit].block] }

    /// The block that a visit uses.
    public func block(of visit: Int) -> Block { blocks[visits[visit].block] }

    /// Bytes that a load of a block is charged besides its resident bytes while it goes on.
    public func transientBytes(_ residentBytes: Int) -> Int { Self.share(transientShare, of: residentBytes) }

    /// Bytes that stay charged after a package's first eviction.
    public func residualBytes(_ residentBytes: Int) -> Int { Self.share(residualShare, of: residentBytes) }

    /// As Python rounds: halves to even.
    private static func share(_ share: Double, of bytes: Int) -> Int {
        Int((Double(bytes) * share).rounded(.toNearestOrEven))
    }
}
