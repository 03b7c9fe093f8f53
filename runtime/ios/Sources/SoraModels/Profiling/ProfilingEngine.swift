import SoraCore

/// What measuring an export's blocks comes to.
public struct ProfilingPlan: Equatable, Sendable {
    /// Functions of packages in all, and how many of them a capture has already.
    public let numFunctions: Int
    public let numMeasured: Int

    public init(numFunctions: Int, numMeasured: Int) {
        self.numFunctions = numFunctions
        self.numMeasured = numMeasured
    }

    public var numLeft: Int { max(0, numFunctions - numMeasured) }
}

/// A capture that was written, as far as it goes.
public struct CaptureFile: Equatable, Sendable {
    public let path: String
    public let numMeasured: Int
    public let numFailures: Int

    public init(path: String, numMeasured: Int, numFailures: Int) {
        self.path = path
        self.numMeasured = numMeasured
        self.numFailures = numFailures
    }
}

/// What the harness tells; the last is one of `finished`, `failed` and `cancelled`.
public enum ProfilingEvent: Sendable {
    /// Core ML compiles a package, which it keeps.
    case preparing(package: String)
    case planned(ProfilingPlan)
    /// A function's measurement begins, such as "block 'spatial_3' of denoiser, tdtm".
    case measuring(String)
    /// It is written down.
    case measured(String)
    /// It could not be measured; that is written down.
    case couldNot(String, reason: String)
    /// Waits until the device is cooler.
    case cooling(ThermalState)
    case memory(footprintBytes: Int?)
    case finished(CaptureFile)
    case failed(any Error)
    case cancelled(CaptureFile?)
}

/// A harness that goes on. Each call returns at once.
public protocol RunningProfiling: Sendable {
    func pause()
    func resume()
    /// Ends it when what is under way has ended; what was measured stays.
    func cancel()
}

/// What measures blocks: the harness, or a test.
public protocol ProfilingEngine: Sendable {
    /// How much is left to measure of an export; nil where that cannot be told.
    func plan(for export: Export) async -> ProfilingPlan?
    /// Begins, or goes on where an earlier capture ended. `tell` is called from any thread.
    func start(_ export: Export, tell: @escaping @Sendable (ProfilingEvent) -> Void) -> any RunningProfiling
}
