/// What is wrong with something that was read: where, what, and what to do about it.
///
/// `description` is one line without control characters, whatever the file holds.
public struct DocumentError: Error, Equatable, CustomStringConvertible {
    /// The file, with a line behind a colon where one is known.
    public let file: String
    /// Where in the document, such as `$.visits[3]`; `$` for the whole.
    public let pointer: String
    public let what: String
    /// How to put it right, a sentence; empty where there is nothing to say.
    public let mend: String

    public init(file: String, pointer: String = "$", what: String, mend: String = "") {
        self.file = file
        self.pointer = pointer
        self.what = what
        self.mend = mend
    }

    public var description: String {
        var place = pointer
        if place.hasPrefix("$") { place.removeFirst() }
        if place.hasPrefix(".") { place.removeFirst() }
        let parts = [file, place.shortened(to: 200), what].filter { !$0.isEmpty }
        let line = parts.joined(separator: ": ")
        return (mend.isEmpty ? line : "\(line). \(mend)").printable
    }
}
