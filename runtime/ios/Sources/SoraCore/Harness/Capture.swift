/// A capture: what was measured of single blocks on a device (docs/profile.md). `ondevice-sora profile import` reads it.
///
/// Samples, no statistics. Times are seconds, sizes are bytes; what could not be measured is left out.
public struct Capture: Equatable, Sendable {
    static let format = "ondevice-sora-capture-1"

    public struct Conditions: Equatable, Sendable {
        public let deviceModel: String
        public let os: String
        public let osBuild: String
        public let date: String
        public let thermalState: ThermalState
        public let isLowPowerMode: Bool?
        /// What the app might still allocate before the first load.
        public let freeBytes: Int?
        /// Versions by name.
        public let tools: [String: String]
    }

    /// Of one function of one package on one choice of compute units.
    public struct Block: Equatable, Sendable {
        public let block: BlockFunction
        public let storedBytes: Int
        /// At most one: the package's first load on this device.
        public internal(set) var firstLoadS: [Double] = []
        public internal(set) var laterLoadS: [Double] = []
        /// Later loads while another block runs throughout.
        public internal(set) var loadWhileRunningS: [Double] = []
        /// The first after each load.
        public internal(set) var firstRunS: [Double] = []
        public internal(set) var laterRunS: [Double] = []
        /// Later runs while other blocks are loaded throughout.
        public internal(set) var runWhileLoadingS: [Double] = []
        public internal(set) var unloadS: [Double] = []
        /// One for each load where the system tells the footprint.
        public internal(set) var memory: [Footprints] = []
        /// Before and after.
        public internal(set) var thermalStates: [ThermalState] = []
    }

    /// The footprint around one load, its runs and its eviction.
    public struct Footprints: Equatable, Sendable {
        public let beforeLoad: Int
        public let loadPeak: Int
        public let afterLoad: Int
        public let runPeak: Int
        public let afterEvict: Int
    }

    /// What could not be measured and why.
    public struct Failure: Equatable, Sendable {
        public let block: BlockFunction
        public let action: Ending.Action
        public let reason: String
        /// Whether the app was ended; otherwise what was asked for failed.
        public let hasEndedApp: Bool
        /// The last that was read before.
        public let footprintBytes: Int?
        public let limitBytes: Int?
        /// Of the session in which it happened.
        public let date: String
    }

    /// The model's name, by which blocks are matched with plans.
    public let model: String
    public let conditions: Conditions
    /// The footprint with no block in memory, once a session.
    public internal(set) var baselineBytes: [Int]
    public internal(set) var blocks: [Block]
    public internal(set) var failures: [Failure]

    /// Whether it says anything.
    var isEmpty: Bool { blocks.isEmpty && failures.isEmpty }

    /// What was measured of a function, nil if nothing was or its package is another by now.
    public func measured(_ block: BlockFunction) -> Block? { blocks.first { $0.block == block } }

    /// How often the app was ended at a function.
    func numEndings(at block: BlockFunction) -> Int { failures.count { $0.hasEndedApp && $0.block == block } }

    /// Adds what was measured, in place of what was measured of the same block before.
    mutating func add(_ measured: Block) {
        if let index = blocks.firstIndex(where: { Self.isSame($0.block, measured.block) }) {
            blocks[index] = measured
        } else {
            blocks.append(measured)
        }
    }

    /// Adds a failure, unless it stands there; of those that did not end the app the last of a block stands for all.
    mutating func add(_ failure: Failure) {
        if failure.hasEndedApp {
            guard !failures.contains(failure) else { return }
        } else {
            forgetFailures(of: failure.block)
        }
        failures.append(failure)
    }

    /// It has been measured after all. That it has ended the app remains true.
    mutating func forgetFailures(of block: BlockFunction) {
        failures.removeAll { !$0.hasEndedApp && Self.isSame($0.block, block) }
    }

    /// The same to a profile, whatever the package.
    private static func isSame(_ one: BlockFunction, _ other: BlockFunction) -> Bool {
        [one.component, one.firstUnit, one.lastUnit, one.kind.rawValue, one.precision, one.computeUnits.rawValue]
            == [
                other.component, other.firstUnit, other.lastUnit, other.kind.rawValue, other.precision,
                other.computeUnits.rawValue,
            ]
    }
}
