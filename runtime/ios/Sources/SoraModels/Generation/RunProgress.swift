import SoraCore

/// How far a generation is: what was told so far, beside what was predicted. Seconds and bytes.
public struct RunProgress: Equatable, Sendable {
    /// One walk over a component's blocks.
    public struct Pass: Equatable, Sendable {
        public let component: String
        public let step: Int
        /// Whether it is one of the denoising steps.
        public let isStep: Bool
        public let predictedS: Double
        /// nil until it has ended.
        public internal(set) var measuredS: Double?
        /// Whether it is left out because the denoiser has leapt.
        public internal(set) var isLeftOut = false
    }

    /// A load that takes long.
    public struct Wait: Equatable, Sendable {
        public let block: String
        public let seconds: Double
    }

    public private(set) var passes: [Pass]
    /// The pass that goes on; nil before the first.
    public private(set) var current: Int?
    /// Of the current pass, how many visits have run, of how many.
    public private(set) var visitsDone = 0
    public private(set) var elapsedS = 0.0
    public private(set) var memory: MemoryReading
    /// Frames written so far, and of how many.
    public private(set) var numFrames = 0
    public let numFramesInAll: Int
    public private(set) var wait: Wait?
    public private(set) var isPaused = false
    /// The step after which it leapt to the end, counted from 0.
    public private(set) var leaptAfter: Int?

    private let ranges: [Range<Int>]
    private var lastPassEndS = 0.0

    public init(_ playable: LibraryEntry.Playable, limitBytes: Int) {
        let (schedule, manifest) = (playable.export.schedule, playable.export.manifest)
        let stepped = manifest.components.filter { $0.passes == .steps }.map(\.name)
        passes = schedule.passes.enumerated().map { number, pass in
            Pass(
                component: pass.component, step: pass.step, isStep: stepped.contains(pass.component),
                predictedS: playable.prediction.seconds(ofPass: number))
        }
        ranges = schedule.passes.map(\.visits)
        numFramesInAll = manifest.decoding.numFrames
        memory = MemoryReading(
            limitBytes: limitBytes, neededBytes: schedule.neededBytes, ledgerBytes: schedule.baselineBytes)
    }

    public mutating func take(_ progress: SoraCore.Progress) {
        switch progress {
        case .began(let component, let step):
            current = passes.firstIndex { $0.component == component && $0.step == step } ?? current
            visitsDone = 0
        case .acted(let span): acted(span)
        case .memory(let timeS, let charges, let footprintBytes):
            elapsedS = max(elapsedS, timeS)
            memory.take(ledgerBytes: charges.total, footprintBytes: footprintBytes)
        case .stepped(let step):
            guard step.leapt, let current else { break }
            leaptAfter = step.number
            for later in passes.indices.dropFirst(current + 1) where passes[later].isStep {
                passes[later].isLeftOut = true
            }
        case .decoded(let count, _): numFrames = count
        case .waits(let block, let seconds): wait = Wait(block: block, seconds: seconds)
        case .paused: isPaused = true
        case .resumed: isPaused = false
        }
    }

    private mutating func acted(_ span: Playback.Span) {
        elapsedS = max(elapsedS, span.endS)
        if span.action == .load { wait = nil }
        guard span.action == .run, let number = ranges.firstIndex(where: { $0.contains(span.visit) }) else { return }
        if number == current { visitsDone = span.visit - ranges[number].lowerBound + 1 }
        if span.visit == ranges[number].upperBound - 1 {
            passes[number].measuredS = span.endS - lastPassEndS
            lastPassEndS = span.endS
        }
    }

    // What follows from it

    private var done: [Pass] { passes.filter { $0.measuredS != nil } }
    private var donePredictedS: Double { done.reduce(0) { $0 + $1.predictedS } }
    private var ahead: [Pass] { passes.filter { $0.measuredS == nil && !$0.isLeftOut } }
    private var aheadPredictedS: Double { ahead.reduce(0) { $0 + $1.predictedS } }

    /// Of the current pass the share of its blocks that have run; 0 once it has ended.
    private var shareOfCurrent: Double {
        guard let current, passes[current].measuredS == nil else { return 0 }
        return Double(visitsDone) / Double(ranges[current].count)
    }

    /// The share that is done by predicted time, 0 to 1.
    public var fraction: Double {
        let inCurrent = current.map { passes[$0].predictedS * shareOfCurrent } ?? 0
        let all = donePredictedS + aheadPredictedS
        return all > 0 ? min(1, (donePredictedS + inCurrent) / all) : 0
    }

    /// Seconds that are left: those predicted, times how much longer than predicted it has taken so far.
    public var remainingS: Double {
        let pace = donePredictedS > 0 ? lastPassEndS / donePredictedS : 1
        return max(0, aheadPredictedS * pace - (elapsedS - lastPassEndS))
    }

    /// The prediction for what it comes to now that it may have leapt.
    public var predictedTotalS: Double { passes.reduce(0) { $0 + ($1.isLeftOut ? 0 : $1.predictedS) } }

    public var numSteps: Int { passes.count { $0.isStep } }
    public var currentPass: Pass? { current.map { passes[$0] } }
}
