import SoraCore

/// A generation's progress as the screen shows it.
public struct RunTexts: Equatable, Sendable {
    /// One pass that has ended or is left out, label beside figures.
    public struct Row: Equatable, Identifiable, Sendable {
        public let id: Int
        public let label: String
        /// Such as "14.2 s, predicted 13.9 s".
        public let text: String
        public var accessibilityLabel: String { Spoken.sentence([label, text]) }
    }

    public let headline: String
    /// Such as "2 min 10 s so far, about 4 min 40 s left".
    public let times: String
    /// What is to be said besides: a long load, a pause, a leap, memory.
    public let notes: [String]
    /// The last pass first.
    public let rows: [Row]
    public let fraction: Double
    public let accessibilityLabel: String

    public init(_ progress: RunProgress, state: GenerationModel.State, preparing: String? = nil, wasShortOfMemory: Bool)
    {
        headline = Self.headline(progress, state, preparing)
        times = Texts.Run.times(elapsedS: progress.elapsedS, remainingS: progress.remainingS)
        notes = Self.notes(progress, state, wasShortOfMemory)
        fraction = progress.fraction
        rows = progress.passes.enumerated().reversed().compactMap { number, pass in
            guard let measuredS = pass.measuredS else { return nil }
            return Row(
                id: number, label: Self.label(pass, progress),
                text: Texts.Run.measured(measuredS, predictedS: pass.predictedS))
        }
        accessibilityLabel = Spoken.sentence([headline, Figures.percent(progress.fraction), times] + notes)
    }

    private static func headline(
        _ progress: RunProgress, _ state: GenerationModel.State, _ preparing: String?
    ) -> String {
        switch state {
        case .cancelling: return Texts.Run.cancelling
        case .paused: return Texts.Run.paused
        default:
            if let preparing { return Texts.Run.preparing(preparing) }
            guard let pass = progress.currentPass else { return Texts.Run.beginning }
            return label(pass, progress)
        }
    }

    /// What a pass does: those before the steps read the prompt, those behind them make pictures.
    private static func label(_ pass: RunProgress.Pass, _ progress: RunProgress) -> String {
        if pass.isStep { return Texts.Run.step(pass.step + 1, of: progress.numSteps) }
        let passes = progress.passes
        let number = passes.firstIndex { $0.component == pass.component && $0.step == pass.step } ?? 0
        guard let lastStep = passes.lastIndex(where: \.isStep), number > lastStep else { return Texts.Run.reading }
        return Texts.Run.decoding(number - lastStep, of: passes.count - lastStep - 1)
    }

    private static func notes(
        _ progress: RunProgress, _ state: GenerationModel.State, _ wasShortOfMemory: Bool
    ) -> [String] {
        var notes: [String] = []
        if case .paused(let pause) = state { notes.append(Texts.Run.why(pause)) }
        if let wait = progress.wait { notes.append(Texts.Run.waits(wait.block, wait.seconds)) }
        if let leaptAfter = progress.leaptAfter {
            notes.append(Texts.Run.leapt(after: leaptAfter + 1, of: progress.numSteps))
        }
        if progress.numFrames > 0 { notes.append(Texts.Run.frames(progress.numFrames, of: progress.numFramesInAll)) }
        if wasShortOfMemory { notes.append(Texts.Run.shortOfMemory) }
        return notes
    }
}
