import SoraCore

/// What is to be generated.
public struct GenerationRequest: Sendable {
    public let export: Export
    public let prompt: String
    public let seed: UInt64
    /// Nothing is loaded beside a run.
    public var savesMemory = false
}

/// A video that was made, and how.
public struct FinishedVideo: Equatable, Sendable {
    /// Paths of files.
    public let video: String
    public let trace: String
    public let numFrames: Int
    public let totalS: Double

    public init(video: String, trace: String, numFrames: Int, totalS: Double) {
        self.video = video
        self.trace = trace
        self.numFrames = numFrames
        self.totalS = totalS
    }
}

/// What a generation tells; the last is one of `finished`, `failed` and `cancelled`.
public enum GenerationEvent: Sendable {
    /// Core ML compiles a package, which it keeps.
    case preparing(package: String)
    case progress(SoraCore.Progress)
    case finished(FinishedVideo)
    case failed(any Error)
    case cancelled
}

/// A generation that goes on. Each call returns at once.
public protocol RunningGeneration: Sendable {
    /// Starts nothing more until `resume`; what is under way goes on.
    func pause()
    func resume()
    func memoryWarning()
    /// For the journal, as in the background iOS ends apps for less; and what runs there is done again.
    func note(isInBackground: Bool)
    /// Ends it when what is under way has ended.
    func cancel()
}

/// What generates: Core ML behind SoraCore's player, or a test.
public protocol GenerationEngine: Sendable {
    /// Begins at once. `tell` is called from any thread, in the order of what happens.
    func start(_ request: GenerationRequest, tell: @escaping @Sendable (GenerationEvent) -> Void)
        -> any RunningGeneration
}
