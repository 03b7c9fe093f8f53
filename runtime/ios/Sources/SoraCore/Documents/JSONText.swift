/// Writes the JSON that the project's Python reads.
enum JSONText {
    /// A text in quotes.
    static func text(_ text: String) -> String {
        var written = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": written += "\\\""
            case "\\": written += "\\\\"
            case _ where scalar.isControl:
                let digits = String(scalar.value, radix: 16)
                written += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: written.unicodeScalars.append(scalar)
            }
        }
        return written + "\""
    }

    /// A finite number: the shortest digits that are read as the same one.
    static func number(_ number: Double) -> String { "\(number)" }

    /// An object in one line, of members whose values are JSON already.
    static func object(_ members: KeyValuePairs<String, String>) -> String { "{\(self.members(members))}" }

    /// Members of an object, whose values are JSON already.
    static func members(_ members: KeyValuePairs<String, String>) -> String {
        members.map { "\(text($0.key)): \($0.value)" }.joined(separator: ", ")
    }

    /// A list, one value a line.
    static func rows(_ values: [String]) -> String { "[\n  " + values.joined(separator: ",\n  ") + "\n ]" }
}
