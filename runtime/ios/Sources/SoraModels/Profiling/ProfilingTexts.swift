import SoraCore

/// Profiling as the screen shows it.
public struct ProfilingTexts: Equatable, Sendable {
    public let headline: String
    public let detail: String
    /// What could not be measured, a line each.
    public let misses: [String]
    public let memory: String
    /// On the button that begins.
    public let startLabel: String
    public let accessibilityLabel: String

    @MainActor public init(_ model: ProfilingModel) {
        switch model.state {
        case .idle: headline = Texts.Profiling.left(model.numLeft, of: model.plan?.numFunctions)
        case .running:
            headline =
                model.preparing.map(Texts.Run.preparing) ?? model.current.map(Texts.Profiling.measuring)
                ?? Texts.Profiling.beginning
        case .cooling(let thermal): headline = Texts.Profiling.cooling(thermal)
        case .paused: headline = Texts.Profiling.paused
        case .cancelling: headline = Texts.Profiling.cancelling
        case .finished(let file): headline = Texts.Profiling.finished(file)
        case .failed(let failure): headline = failure.title
        }
        switch model.state {
        case .idle: detail = model.partial.map(Texts.Profiling.partial) ?? Texts.Profiling.what
        case .finished: detail = Texts.Profiling.next
        case .failed(let failure): detail = "\(failure.message). \(failure.advice)"
        default: detail = Texts.Profiling.left(model.numLeft, of: model.plan?.numFunctions)
        }
        misses = model.misses.map { Texts.Profiling.missed($0.id, $0.reason) }
        memory = model.footprintBytes.map { Texts.Memory.used($0, model.limitBytes) } ?? ""
        startLabel = (model.plan?.numMeasured ?? 0) > 0 ? Texts.Profiling.goOn : Texts.Profiling.start
        accessibilityLabel = Spoken.sentence([headline, detail, memory] + misses)
    }
}
