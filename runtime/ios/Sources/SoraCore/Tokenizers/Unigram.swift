/// sentencepiece's unigram algorithm on UTF-8 bytes: normalise, cut, join what is unknown (docs/coreml.md).
struct Unigram: Sendable {
    private static let space: [UInt8] = Array("\u{2581}".utf8)
    private static let unknownPenalty: Float = 10

    private struct Known: Sendable {
        let id: Int
        let score: Float
    }

    private let known: [[UInt8]: Known]
    private let longest: Int
    private let unknown: Int
    private let unknownScore: Float
    private let charsmap: Charsmap

    init(pieces: [TokenizerDocument.Piece], controls: Set<Int>, unknown: Int, charsmap: Charsmap) {
        var known: [[UInt8]: Known] = [:]
        for (id, piece) in pieces.enumerated() where id != unknown && !controls.contains(id) {
            known[piece.text] = Known(id: id, score: piece.score)
        }
        self.known = known
        longest = known.keys.map(\.count).max() ?? 0
        self.unknown = unknown
        unknownScore = (known.values.map(\.score).min() ?? 0) - Self.unknownPenalty
        self.charsmap = charsmap
    }

    /// Ids of a text, without an end.
    func ids(_ text: String) -> [Int] {
        var ids: [Int] = []
        for id in cut(normalised(Array(text.utf8))) where id != unknown || ids.last != unknown { ids.append(id) }
        return ids
    }

    private func normalised(_ text: [UInt8]) -> [UInt8] {
        var made = Self.space
        var isAfterSpace = true
        var place = 0
        while place < text.count {
            let one = Self.scalarLength(text[place])
            let scalar = text[place..<min(place + one, text.count)]
            let (output, length) = charsmap.replacement(in: text, at: place) ?? (scalar, scalar.count)
            place += length
            let rest = isAfterSpace ? output.drop { $0 == UInt8(ascii: " ") } : output
            guard let last = rest.last else { continue }
            isAfterSpace = last == UInt8(ascii: " ")
            for byte in rest {
                if byte == UInt8(ascii: " ") { made += Self.space } else { made.append(byte) }
            }
        }
        while made.suffix(Self.space.count).elementsEqual(Self.space) { made.removeLast(Self.space.count) }
        return made
    }

    private struct Best {
        var score: Float
        var start: Int
        var id: Int
    }

    /// The way to cut the text into pieces with the largest sum of scores (Viterbi).
    private func cut(_ text: [UInt8]) -> [Int] {
        var best = [Best?](repeating: nil, count: text.count + 1)
        best[0] = Best(score: 0, start: 0, id: unknown)
        var start = 0
        while start < text.count {
            let one = min(Self.scalarLength(text[start]), text.count - start)
            let here = best[start]?.score ?? 0
            var isKnown = false
            for length in 1...max(1, min(longest, text.count - start)) {
                guard let piece = known[Array(text[start..<start + length])] else { continue }
                let sum = Double(piece.score) + Double(here)
                offer(&best[start + length], sum, Best(score: Float(sum), start: start, id: piece.id))
                if length == one { isKnown = true }
            }
            if !isKnown {
                let sum = unknownScore + here
                offer(&best[start + one], Double(sum), Best(score: sum, start: start, id: unknown))
            }
            start += one
        }
        var ids: [Int] = []
        var end = text.count
        while end > 0, let step = best[end] {
            ids.append(step.id)
            end = step.start
        }
        return ids.reversed()
    }

    private func offer(_ best: inout Best?, _ sum: Double, _ candidate: Best) {
        if let known = best, sum <= Double(known.score) { return }
        best = candidate
    }

    private static func scalarLength(_ first: UInt8) -> Int {
        first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4
    }
}
