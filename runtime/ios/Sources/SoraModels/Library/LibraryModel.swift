import Observation
import SoraCore

/// The exports on this device.
@MainActor @Observable public final class LibraryModel {
    public enum State: Equatable, Sendable {
        /// Nothing has been looked for yet.
        case unknown
        /// Being looked for; what was found before stays in `entries`.
        case looking(isReadingAll: Bool)
        case empty
        case found
    }

    public private(set) var state = State.unknown
    public private(set) var entries: [LibraryEntry] = []
    /// What the system lets the app use, in bytes; nil where it does not say.
    public let limitBytes: Int?

    private let shelf: any Shelf

    /// `limitBytes` is read once, at the start: later the app itself is part of what it uses.
    public init(shelf: any Shelf, limitBytes: Int?) {
        self.shelf = shelf
        self.limitBytes = limitBytes
    }

    /// Looks for exports. Asked while it looks, it does nothing.
    public func refresh(readingAll: Bool = false) async {
        if case .looking = state { return }
        state = .looking(isReadingAll: readingAll)
        let found = await shelf.exports(readingAll: readingAll)
        entries = found.map { LibraryEntry($0, limitBytes: limitBytes) }
        state = entries.isEmpty ? .empty : .found
    }

    public func entry(_ id: LibraryEntry.ID) -> LibraryEntry? { entries.first { $0.id == id } }

    public var isLooking: Bool {
        if case .looking = state { return true }
        return false
    }

    /// What stands under the list, and under the title where it is empty.
    public var footnote: String {
        switch state {
        case .unknown: ""
        case .looking(let isReadingAll): isReadingAll ? Texts.Library.readingAll : Texts.Library.looking
        case .empty: Texts.Library.emptyHint
        case .found: Texts.Library.limit(limitBytes)
        }
    }
}
