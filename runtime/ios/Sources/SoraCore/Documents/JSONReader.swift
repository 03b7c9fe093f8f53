/// Reads JSON text strictly. Nothing of it is trusted.
///
/// JSON itself leaves open what a key means that stands twice, how long a number may be and how deep a value. All of
/// these are refused here, as are NaN, numbers too large for a Double, halves of surrogate pairs, and text that is not
/// UTF-8; Foundation's decoder takes a repeated key silently.
struct JSONReader {
    static let maxDepth = 40
    static let maxDigits = 40

    private let bytes: [UInt8]
    private let file: String
    private let mend: String
    private var index = 0

    /// The value that `bytes` hold. `file` is named in errors. Throws DocumentError.
    static func read(_ bytes: [UInt8], file: String, mend: String = "") throws -> JSON {
        var reader = JSONReader(bytes: bytes, file: file, mend: mend)
        guard String(validating: bytes, as: UTF8.self) != nil else { throw reader.error("not UTF-8 text") }
        let value = try reader.value(depth: 0)
        reader.skipSpace()
        if reader.index < bytes.count { throw reader.invalid("more behind its end") }
        return value
    }

    private init(bytes: [UInt8], file: String, mend: String) {
        self.bytes = bytes
        self.file = file
        self.mend = mend
    }

    private func error(_ what: String) -> DocumentError {
        let line = bytes.prefix(index).count { $0 == 0x0a } + 1
        return DocumentError(file: line > 1 ? "\(file):\(line)" : file, what: what, mend: mend)
    }

    private func invalid(_ what: String) -> DocumentError { error("not valid JSON: \(what)") }

    private var next: UInt8? { index < bytes.count ? bytes[index] : nil }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { index += 1 }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        index += 1
        return true
    }

    private mutating func take(word: StaticString) -> Bool {
        let wanted = UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
        guard bytes[index...].starts(with: wanted) else { return false }
        index += wanted.count
        return true
    }

    private mutating func value(depth: Int) throws -> JSON {
        skipSpace()
        guard let byte = next else { throw invalid("it ends where a value should stand") }
        switch byte {
        case UInt8(ascii: "{"): return try object(depth: depth + 1)
        case UInt8(ascii: "["): return try list(depth: depth + 1)
        case UInt8(ascii: "\""): return .text(try text())
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        default:
            if take(word: "true") { return .flag(true) }
            if take(word: "false") { return .flag(false) }
            if take(word: "null") { return .null }
            if take(word: "NaN") || take(word: "Infinity") { throw error("NaN and Infinity are not numbers") }
            throw invalid("a value should stand here")
        }
    }

    private func checkDepth(_ depth: Int) throws {
        if depth > Self.maxDepth { throw error("nested deeper than \(Self.maxDepth) levels") }
    }

    private mutating func list(depth: Int) throws -> JSON {
        try checkDepth(depth)
        index += 1
        var values: [JSON] = []
        skipSpace()
        if take(UInt8(ascii: "]")) { return .list(values) }
        while true {
            values.append(try value(depth: depth))
            skipSpace()
            if take(UInt8(ascii: "]")) { return .list(values) }
            if !take(UInt8(ascii: ",")) { throw invalid("',' or ']' should stand here") }
        }
    }

    private mutating func object(depth: Int) throws -> JSON {
        try checkDepth(depth)
        index += 1
        var members: [JSON.Member] = []
        var known: Set<[UInt8]> = []
        skipSpace()
        if take(UInt8(ascii: "}")) { return .object(members) }
        while true {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw invalid("a key in quotes should stand here") }
            let key = try text()
            guard known.insert(Array(key.utf8)).inserted else {
                throw error("the key '\(key.shortened(to: 60))' stands twice")
            }
            skipSpace()
            if !take(UInt8(ascii: ":")) { throw invalid("':' should stand here") }
            members.append(JSON.Member(key: key, value: try value(depth: depth)))
            skipSpace()
            if take(UInt8(ascii: "}")) { return .object(members) }
            if !take(UInt8(ascii: ",")) { throw invalid("',' or '}' should stand here") }
        }
    }

    private mutating func digits() -> Int {
        let start = index
        while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { index += 1 }
        return index - start
    }

    private mutating func number() throws -> JSON {
        let start = index
        var isWhole = true
        if take(UInt8(ascii: "-")), take(word: "Infinity") { throw error("-Infinity is not a number") }
        if !take(UInt8(ascii: "0")), digits() == 0 { throw invalid("a digit should stand here") }
        let beforeFraction = index
        if take(UInt8(ascii: ".")) {
            isWhole = false
            if digits() == 0 { throw invalid("a digit should stand behind '\(shown(start..<beforeFraction)).'") }
        }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            isWhole = false
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            if digits() == 0 { throw invalid("a number breaks off in its exponent") }
        }
        let text = String(decoding: bytes[start..<index], as: UTF8.self)
        if isWhole {
            if text.utf8.count > Self.maxDigits { throw error("\(text.shortened(to: 60)) is too long for a number") }
            return Int(text).map(JSON.integer) ?? .tooLarge(text)
        }
        guard let number = Double(text), number.isFinite else {
            throw error("\(text.shortened(to: 60)) is not a finite number")
        }
        return .real(number)
    }

    private func shown(_ range: Range<Int>) -> String {
        String(decoding: bytes[range], as: UTF8.self).shortened(to: 60)
    }

    private mutating func text() throws -> String {
        index += 1
        var found: [UInt8] = []
        while let byte = next {
            index += 1
            switch byte {
            case UInt8(ascii: "\""): return String(decoding: found, as: UTF8.self)
            case UInt8(ascii: "\\"): found.append(contentsOf: Array(String(try escaped()).utf8))
            case 0x00...0x1f: throw invalid("a control character stands in a text")
            default: found.append(byte)
            }
        }
        throw invalid("a text breaks off")
    }

    private mutating func escaped() throws -> Unicode.Scalar {
        guard let byte = next else { throw invalid("a text breaks off") }
        index += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): return try scalar()
        default: throw invalid("no such escape")
        }
    }

    /// The scalar of `\uXXXX`, or of two of them.
    private mutating func scalar() throws -> Unicode.Scalar {
        let first = try hexadecimal()
        if let scalar = Unicode.Scalar(first) { return scalar }
        guard first < 0xdc00, take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else { throw halfACharacter }
        let second = try hexadecimal()
        guard (0xdc00...0xdfff).contains(second),
            let scalar = Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (second - 0xdc00))
        else { throw halfACharacter }
        return scalar
    }

    private var halfACharacter: DocumentError { invalid("half a character, \\ud800 to \\udfff alone") }

    private mutating func hexadecimal() throws -> UInt32 {
        guard index + 4 <= bytes.count else { throw invalid("a text breaks off") }
        var value: UInt32 = 0
        for byte in bytes[index..<index + 4] {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 + UInt32(byte - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 + UInt32(byte - UInt8(ascii: "a") + 10)
            case UInt8(ascii: "A")...UInt8(ascii: "F"): value = value << 4 + UInt32(byte - UInt8(ascii: "A") + 10)
            default: throw invalid("four hexadecimal digits should stand behind \\u")
            }
        }
        index += 4
        return value
    }
}
