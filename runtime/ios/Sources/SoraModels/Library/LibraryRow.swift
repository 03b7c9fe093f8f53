import SoraCore

/// An entry as the list shows it.
public struct LibraryRow: Equatable, Sendable {
    /// How urgently the state is shown; the views choose a colour and a symbol for it.
    public enum Tone: Equatable, Sendable { case good, caution, bad }

    public let title: String
    public let subtitle: String
    /// One line for the state, and one for each thing that is wrong.
    public let status: String
    public let problems: [String]
    public let tone: Tone
    /// The row in words, for VoiceOver.
    public let accessibilityLabel: String

    public init(_ entry: LibraryEntry) {
        title = entry.name
        subtitle = entry.playable.map { Texts.Library.subtitle($0.export) } ?? ""
        status = Texts.Library.status(entry)
        switch entry.state {
        case .ready: (problems, tone) = ([], .good)
        case .tooLarge, .withoutTokenizer: (problems, tone) = ([], .caution)
        case .damaged(let lines): (problems, tone) = (lines, .bad)
        case .unreadable(let line): (problems, tone) = ([line], .bad)
        }
        accessibilityLabel = Spoken.sentence([entry.name, subtitle, status] + problems)
    }
}

/// What is known of an export, label and text by row.
public enum ExportDetails {
    public struct Row: Equatable, Identifiable, Sendable {
        public let label: String
        public let text: String
        public var id: String { label }
        public var accessibilityLabel: String { Spoken.sentence([label, text]) }
    }

    public static func rows(_ export: Export, limitBytes: Int?) -> [Row] {
        let (schedule, manifest) = (export.schedule, export.manifest)
        let packages = manifest.blocks.flatMap(\.packages)
        let stored = packages.reduce(0) { $0 + $1.numBytes }
        return [
            Row(label: Texts.Details.model, text: "\(manifest.modelName), \(manifest.weights)"),
            Row(label: Texts.Details.video, text: Texts.Details.video(manifest)),
            Row(label: Texts.Details.blocks, text: Texts.Details.blocks(manifest.blocks.count, packages.count)),
            Row(label: Texts.Details.stored, text: Figures.bytes(stored)),
            Row(
                label: Texts.Details.needs,
                text: Texts.Details.needs(schedule.neededBytes, limitBytes ?? schedule.limitBytes)),
            Row(
                label: Texts.Details.predicted,
                text: Texts.Details.predicted(schedule.predictedTotalS, schedule.predictedPeakBytes)),
            Row(label: Texts.Details.device, text: Texts.Details.device(schedule.device, schedule.profile)),
        ]
    }
}
