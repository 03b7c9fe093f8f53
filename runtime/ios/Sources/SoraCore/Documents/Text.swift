/// Text that comes out of files: what may stand in it, and how it is shown.

extension Unicode.Scalar {
    /// Whether a terminal obeys this scalar instead of showing it: C0, DEL, C1, the separators of lines and paragraphs,
    /// bidirectional embeddings, overrides and isolates.
    var isControl: Bool {
        switch value {
        case 0x00...0x1f, 0x7f...0x9f, 0x2028, 0x2029, 0x202a...0x202e, 0x2066...0x2069: true
        default: false
        }
    }
}

extension String {
    /// The text with every control character written out, as `\u001b`.
    var printable: String {
        guard unicodeScalars.contains(where: { $0.isControl || $0.value == 0xfffe || $0.value == 0xffff }) else {
            return self
        }
        var shown = String.UnicodeScalarView()
        for scalar in unicodeScalars {
            if scalar.isControl || scalar.value == 0xfffe || scalar.value == 0xffff {
                let digits = String(scalar.value, radix: 16)
                let zeros = String(repeating: "0", count: max(0, 4 - digits.count))
                shown.append(contentsOf: "\\u\(zeros)\(digits)".unicodeScalars)
            } else {
                shown.append(scalar)
            }
        }
        return String(shown)
    }

    /// At most so many scalars, the last of them `…` if some were left out.
    func shortened(to limit: Int) -> String {
        guard unicodeScalars.count > limit else { return self }
        return String(String.UnicodeScalarView(unicodeScalars.prefix(limit - 1))) + "…"
    }

    /// Equal scalar by scalar. `==` takes texts for equal that Unicode calls equivalent; files do not.
    func isExactly(_ other: String) -> Bool {
        utf8.elementsEqual(other.utf8)
    }
}

/// What a text in a document must look like, and what that is called in a complaint.
struct TextForm: Sendable {
    let description: String
    let isFulfilled: @Sendable (String) -> Bool

    /// One line without control characters, of at most 2,000 scalars.
    static let line = TextForm("one line without control characters") { text in
        text.unicodeScalars.count <= 2000 && !text.unicodeScalars.contains(where: \.isControl)
    }
    /// A line of 1 to 120 scalars.
    static let title = TextForm("one line of 1 to 120 characters, none of them a control character") { text in
        (1...120).contains(text.unicodeScalars.count) && !text.unicodeScalars.contains(where: \.isControl)
    }
    /// What components, units and tensors are called.
    static let name = TextForm("a name of at most 80 letters, digits, spaces, and any of _ . -") { text in
        (1...80).contains(text.utf8.count) && text.utf8.allSatisfy(isOfNames)
    }
    static let checksum = TextForm("64 hexadecimal digits") { text in
        text.utf8.count == 64 && text.utf8.allSatisfy { isDigit($0) || (0x61...0x66).contains($0) }
    }
    /// A plain file name: it cannot lead out of the folder, nor hide in it.
    static func fileName(_ suffix: String) -> TextForm {
        TextForm("the name of a \(suffix) beside it") { text in
            let stem = text.utf8.count - suffix.utf8.count
            guard stem >= 1, text.utf8.count <= 200, text.utf8.suffix(suffix.utf8.count).elementsEqual(suffix.utf8)
            else { return false }
            let first = text.utf8.first ?? 0
            return (isLetterOrDigit(first) || first == 0x5f) && text.utf8.allSatisfy(isOfNames)
        }
    }
    static let package = fileName(".mlpackage")
    static let constant = fileName(".bin")

    /// 1 to 1,000 scalars, whatever they are.
    static let letters = TextForm("1 to 1000 characters") { (1...1000).contains($0.unicodeScalars.count) }
    /// 1 to 200 scalars, none of which parts words.
    static let word = TextForm("a word without spaces") { text in
        (1...200).contains(text.unicodeScalars.count)
            && !text.unicodeScalars.contains { $0.properties.isWhitespace || (0x1c...0x1f).contains($0.value) }
    }

    /// This very text.
    static func exactly(_ wanted: String) -> TextForm {
        TextForm("'\(wanted)'") { $0.isExactly(wanted) }
    }

    private init(_ description: String, isFulfilled: @escaping @Sendable (String) -> Bool) {
        self.description = description
        self.isFulfilled = isFulfilled
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        isDigit(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
    }

    /// A letter, a digit, or one of `_ . -` and space.
    private static func isOfNames(_ byte: UInt8) -> Bool {
        isLetterOrDigit(byte) || [0x5f, 0x2e, 0x2d, 0x20].contains(byte)
    }
}
