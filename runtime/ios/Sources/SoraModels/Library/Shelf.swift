import SoraCore

/// A folder that looks like an export, as it was found.
public struct FoundExport: Sendable {
    /// Why an export cannot be used, in a line.
    public struct Refusal: Error, Sendable, CustomStringConvertible {
        public let description: String
        public init(_ error: any Error) { description = "\(error)" }
    }

    public let folder: String
    public let name: String
    public let place: LibraryEntry.Place
    public let content: Result<LibraryEntry.Playable, Refusal>
    public let problems: [String]
    public let isReadWhole: Bool

    public init(
        folder: String, name: String, place: LibraryEntry.Place, content: Result<LibraryEntry.Playable, Refusal>,
        problems: [String] = [], isReadWhole: Bool = false
    ) {
        self.folder = folder
        self.name = name
        self.place = place
        self.content = content
        self.problems = problems
        self.isReadWhole = isReadWhole
    }
}

/// Where exports lie. It reads disks, so it is asked off the main thread.
public protocol Shelf: Sendable {
    /// All exports, in the order in which they are to be shown. `readingAll` compares checksums: seconds a gigabyte.
    func exports(readingAll: Bool) async -> [FoundExport]
}
