/// A value of a JSON document. Whole numbers and others are apart, as in Python.
public enum JSON: Equatable, Sendable {
    case null
    case flag(Bool)
    case integer(Int)
    /// A whole number that no integer holds, as it is written. No document has a use for one.
    case tooLarge(String)
    /// Finite.
    case real(Double)
    case text(String)
    case list([JSON])
    /// In the order of the file; no key stands twice.
    case object([Member])

    /// A key and its value.
    public struct Member: Equatable, Sendable {
        public let key: String
        public let value: JSON
    }

    /// The value of a key, nil if this is no object or has none.
    public subscript(key: String) -> JSON? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.key.isExactly(key) }?.value
    }

    /// For complaints: the kind and the value, in at most 60 characters.
    var shown: String {
        switch self {
        case .null: "nothing"
        case .flag(let flag): "\(flag)"
        case .integer(let number): "\(number)"
        case .tooLarge(let digits): digits.shortened(to: 60)
        case .real(let number): "\(number)"
        case .text(let text): "'\(text.shortened(to: 58))'"
        case .list(let values): "a list of \(values.count)"
        case .object(let members): "an object of \(members.count)"
        }
    }
}
