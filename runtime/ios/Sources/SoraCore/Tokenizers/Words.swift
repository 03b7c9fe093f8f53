/// A closed list of words.
struct Words: Sendable {
    let ids: [[UInt8]: Int]
    let separators: Set<Unicode.Scalar>

    /// Ids of a text, without an end. Throws TokenizerError for a word that is not in the list.
    func ids(_ text: String) throws -> [Int] {
        try text.unicodeScalars.split(whereSeparator: separators.contains).map { scalars in
            let word = String(String.UnicodeScalarView(scalars))
            guard let id = ids[Array(word.utf8)] else {
                throw TokenizerError.unknown(word: word, nearest: nearest(word))
            }
            return id
        }
    }

    /// The word of the list that the fewest changes of single letters lead to; of several the first by its letters.
    private func nearest(_ word: String) -> String {
        let known = ids.keys.map { String(decoding: $0, as: UTF8.self) }.sorted()
        let wanted = Array(word.unicodeScalars.prefix(100))
        let distances = known.map { (word: $0, changes: Self.distance(Array($0.unicodeScalars), wanted)) }
        return distances.min { $0.changes < $1.changes }?.word ?? ""
    }

    /// Insertions, deletions and replacements that make one of the other (Levenshtein).
    private static func distance(_ one: [Unicode.Scalar], _ other: [Unicode.Scalar]) -> Int {
        var row = Array(0...other.count)
        for (index, letter) in one.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for (column, wanted) in other.enumerated() {
                let replaced = diagonal + (letter == wanted ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(replaced, diagonal + 1, row[column] + 1)
            }
        }
        return row[other.count]
    }
}
