import Testing

@testable import SoraCore

/// Documents spoilt at random, always the same ones.
@Suite("No document ends the program")
struct MutationTests {
    private static let fragments: [[UInt8]] = [
        "null", "-1", "1e999", "99999999999999999999999", "\"", "[", "]", "{", "}", ",", ":", "NaN", "\\ud800", "\u{0}",
        "\u{1b}[2J", "\u{202e}", "true", "1e18", "100000", "\"\"", "[[[[[[[[[[[[", "-9223372036854775808",
    ].map { Array($0.utf8) }

    private func spoilt(_ document: [UInt8], _ random: inout SplitMix) -> [UInt8] {
        var bytes = document
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            guard !bytes.isEmpty else { break }
            let at = Int.random(in: 0..<bytes.count, using: &random)
            let end = min(bytes.count, at + Int.random(in: 0...12, using: &random))
            switch Int.random(in: 0..<6, using: &random) {
            case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes.removeSubrange(at..<end)
            case 2: bytes.insert(contentsOf: Self.fragments.randomElement(using: &random) ?? [], at: at)
            case 3: bytes.insert(contentsOf: bytes[at..<end], at: Int.random(in: 0..<bytes.count, using: &random))
            case 4: bytes.removeSubrange(at...)
            default:  // another number where one stands
                let digits = bytes.indices.filter { (0x30...0x39).contains(bytes[$0]) }
                guard let place = digits.randomElement(using: &random) else { continue }
                let number = [-1, 0, 1, 2, 3, 5, 99_999, 1_000_000, Int.max].randomElement(using: &random) ?? 0
                bytes.replaceSubrange(place...place, with: Array("\(number)".utf8))
            }
        }
        return bytes
    }

    /// Whether it was taken; plays what was.
    private func survives(_ read: () throws -> Schedule?) -> Bool {
        do {
            if let schedule = try read() { _ = try? VirtualTime.play(schedule) }
            return true
        } catch {
            #expect(error is DocumentError)
            let line = "\(error)"
            #expect(!line.isEmpty && !line.unicodeScalars.contains(where: \.isControl), "\(line.debugDescription)")
            return false
        }
    }

    @Test func sixThousandSchedules() {
        var random = SplitMix(state: 15)
        let documents = [Toy.streamed, Interleavings.kept, Interleavings.twoComponents].map { Array($0.json.utf8) }
        var numTaken = 0
        for number in 0..<6_000 {
            let bytes = spoilt(documents[number % documents.count], &random)
            if survives({ try Schedule.read(bytes, file: "schedule.json") }) { numTaken += 1 }
        }
        #expect((1...3_000).contains(numTaken), "some are still schedules, most are not: \(numTaken)")
    }

    @Test func fourThousandManifests() {
        var random = SplitMix(state: 16)
        let document = Array(manifestJSON.utf8)
        var numTaken = 0
        for _ in 0..<4_000 {
            let bytes = spoilt(document, &random)
            let isTaken = survives {
                _ = try Manifest.read(bytes, file: "manifest.json")
                return nil
            }
            if isTaken { numTaken += 1 }
        }
        #expect((1...2_500).contains(numTaken), "some are still manifests, most are not: \(numTaken)")
    }

    @Test func fifteenHundredTokenizers() throws {
        var random = SplitMix(state: 18)
        let document = try Numbers.bytes("tokenizer-words.json")
        var numTaken = 0
        for _ in 0..<1_500 {
            let bytes = spoilt(document, &random)
            let isTaken = survives {
                let tokenizer = Tokenizer(try TokenizerDocument.read(bytes, file: "tokenizer.json"))
                _ = try? tokenizer.encode("A red circle, moving \u{3000}left")
                return nil
            }
            if isTaken { numTaken += 1 }
        }
        #expect((1...1_000).contains(numTaken), "some are still tokenizers, most are not: \(numTaken)")
    }
}
