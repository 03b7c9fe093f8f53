import SoraCore

/// An export on this device, and whether it can be played here.
public struct LibraryEntry: Identifiable, Sendable {
    public enum Place: Equatable, Sendable { case bundle, documents }

    public enum State: Equatable, Sendable {
        case ready
        /// iOS would end the app: it may use less than the export needs.
        case tooLarge(neededBytes: Int, limitBytes: Int)
        /// Files that are missing or not as they were exported, a line each.
        case damaged([String])
        /// What keeps it from being read, in a line.
        case unreadable(String)
        /// It has no tokenizer: no prompt can be played with it.
        case withoutTokenizer
    }

    /// What can be played: the export, and when its passes are predicted to end.
    public struct Playable: Sendable {
        public let export: Export
        public let prediction: Prediction

        /// Throws PlayerError if the schedule cannot be played.
        public init(_ export: Export) throws {
            self.export = export
            prediction = try Prediction(export.schedule)
        }
    }

    /// The folder's path.
    public let id: String
    public let name: String
    public let place: Place
    public let state: State
    /// nil if it cannot be read.
    public let playable: Playable?
    /// Whether its contents were compared with their checksums, and not only its sizes.
    public let isReadWhole: Bool

    /// `limitBytes` is what the system lets the app use; where it does not say, the schedule's limit stands.
    init(_ found: FoundExport, limitBytes: Int?) {
        id = found.folder
        name = found.name
        place = found.place
        isReadWhole = found.isReadWhole
        switch found.content {
        case .failure(let error):
            playable = nil
            state = .unreadable(error.description)
        case .success(let playable):
            self.playable = playable
            let schedule = playable.export.schedule
            let limitBytes = limitBytes ?? schedule.limitBytes
            if !found.problems.isEmpty {
                state = .damaged(found.problems)
            } else if schedule.neededBytes > limitBytes {
                state = .tooLarge(neededBytes: schedule.neededBytes, limitBytes: limitBytes)
            } else if playable.export.tokenizer == nil {
                state = .withoutTokenizer
            } else {
                state = .ready
            }
        }
    }

    public var canBePlayed: Bool { state == .ready }

    /// Whether its blocks can be measured. What is too large as a whole can be, block by block.
    public var canBeProfiled: Bool {
        switch state {
        case .ready, .tooLarge, .withoutTokenizer: true
        case .damaged, .unreadable: false
        }
    }
}
