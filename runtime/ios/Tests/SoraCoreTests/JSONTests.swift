import Testing

@testable import SoraCore

private func read(_ text: String) throws -> JSON { try JSONReader.read(Array(text.utf8), file: "a.json") }

private func complaint(_ text: String) -> String {
    do {
        return "nothing: \(try read(text))"
    } catch {
        return "\(error)"
    }
}

@Suite("JSON is read strictly")
struct JSONTests {
    @Test(arguments: [
        ("null", JSON.null), ("true", .flag(true)), ("false", .flag(false)), ("0", .integer(0)), ("-0", .integer(0)),
        ("12", .integer(12)), ("-7", .integer(-7)), ("1.0", .real(1)), ("1e3", .real(1000)), ("1E-2", .real(0.01)),
        ("9223372036854775807", .integer(Int.max)), ("-9223372036854775808", .integer(Int.min)),
        ("9223372036854775808", .tooLarge("9223372036854775808")), ("[]", .list([])), ("{}", .object([])),
        (" [1 , 2]\n", .list([.integer(1), .integer(2)])), ("\"\"", .text("")), ("\"a\\n\\\"\\/\"", .text("a\n\"/")),
        ("\"\\u00e9\"", .text("é")), ("\"\\ud83d\\ude00\"", .text("😀")), ("\"\\u0000\"", .text("\u{0}")),
        ("1e-400", .real(0)), ("0.1", .real(0.1)),
    ])
    func whatStandsThereIsRead(text: String, value: JSON) throws {
        #expect(try read(text) == value)
    }

    @Test(arguments: [
        ("", "it ends where a value should stand"), ("[1", "',' or ']'"), ("[1,]", "a value should stand here"),
        ("{\"a\" 1}", "':' should"), ("{\"a\": 1", "',' or '}'"), ("{a: 1}", "a key in quotes"), ("{1: 1}", "a key in"),
        ("\"abc", "a text breaks off"), ("\"a\nb\"", "a control character"), ("\"\\x\"", "no such escape"),
        ("\"\\u12\"", "a text breaks off"), ("\"\\u12g4\"", "four hexadecimal digits"),
        ("\"\\ud800\"", "half a character"), ("\"\\udc00\"", "half a character"),
        ("\"\\ud800\\u0041\"", "half a character"), ("\"\\ud800\\n\"", "half a character"),
        ("01", "more behind its end"), ("1 2", "more behind"), ("-", "a digit should stand"), ("1.", "a digit should"),
        ("1e", "breaks off in its exponent"), ("+1", "a value should"), (".5", "a value should"),
        ("NaN", "not numbers"), ("Infinity", "not numbers"), ("-Infinity", "not a number"),
        ("1e400", "not a finite number"), ("tru", "a value should"), ("\u{feff}1", "a value should"),
        ("{\"a\": 1, \"a\": 2}", "the key 'a' stands twice"), ("{\"a\": 1, \"\\u0061\": 2}", "key 'a' stands twice"),
        (String(repeating: "1", count: 41), "too long for a number"),
    ])
    func whatIsNotJSONIsRefused(text: String, words: String) {
        #expect(complaint(text).contains(words))
        #expect(complaint(text).hasPrefix("a.json"))
    }

    @Test func fortyLevelsAreReadAndNoMore() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        _ = try read(nested(40))
        #expect(complaint(nested(41)).contains("nested deeper than 40 levels"))
        #expect(complaint(nested(100_000)).contains("nested deeper than 40 levels"))
    }

    @Test func textThatIsNotUTF8IsRefused() {
        for bytes: [UInt8] in [[0x22, 0xff, 0x22], [0x22, 0xc0, 0x80, 0x22], [0x22, 0xed, 0xa0, 0x80, 0x22], [0xe2]] {
            #expect(throws: DocumentError(file: "a.json", what: "not UTF-8 text")) {
                try JSONReader.read(bytes, file: "a.json")
            }
        }
    }

    @Test func theLineIsNamed() { #expect(complaint("{\n\n \"a\": ?}").hasPrefix("a.json:3: not valid JSON")) }

    /// "é" as one scalar and as two are equal to Swift, and two keys to everybody else.
    @Test func equivalentKeysAreDifferentKeys() throws {
        let value = try read("{\"\\u00e9\": 1, \"e\\u0301\": 2}")
        #expect(value["\u{e9}"] == .integer(1))
        #expect(value["e\u{301}"] == .integer(2))
    }

    @Test func anErrorIsOneLineThatATerminalShows() {
        let error = DocumentError(file: "a\u{1b}[31m", pointer: "$.x\n\u{202e}", what: "b\r", mend: "c\u{2028}")
        #expect(error.description == "a\\u001b[31m: x\\u000a\\u202e: b\\u000d. c\\u2028")
    }
}

@Suite("SHA-256")
struct SHA256Tests {
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
    ])
    func examplesOfTheStandard(text: String, digest: String) { #expect(SHA256.of(Array(text.utf8)) == digest) }

    @Test func piecesDoNotMatter() {
        let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0) }
        for size in [1, 55, 56, 63, 64, 65, 999] {
            var hash = SHA256()
            for start in stride(from: 0, to: bytes.count, by: size) {
                hash.update(bytes[start..<min(start + size, bytes.count)])
            }
            #expect(hash.hexadecimal() == SHA256.of(bytes))
        }
    }
}
