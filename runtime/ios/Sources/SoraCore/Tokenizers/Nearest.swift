/// Which of some known words a misspelt one may have been.
///
/// The measure is that of Python's difflib, so that both languages suggest the same: twice the letters in common blocks
/// over the letters of both (Ratcliff and Obershelp).
enum Nearest {
    private static let cutoff = 0.6

    /// The word most like `word`, of equal ones the last by its letters; nil if none is like it.
    static func word(to word: String, among known: [String]) -> String? {
        let wanted = Array(word.unicodeScalars)
        let likenesses = known.map { (word: $0, likeness: likeness(Array($0.unicodeScalars), wanted)) }
        let best = likenesses.max { one, other in
            if one.likeness != other.likeness { return one.likeness < other.likeness }
            return one.word.unicodeScalars.lexicographicallyPrecedes(other.word.unicodeScalars)
        }
        return best.flatMap { $0.likeness >= cutoff ? $0.word : nil }
    }

    /// 0 to 1; 0 as well where the lengths alone keep it below the cutoff.
    private static func likeness(_ one: [Unicode.Scalar], _ other: [Unicode.Scalar]) -> Double {
        let total = Double(one.count + other.count)
        guard total > 0, 2 * Double(min(one.count, other.count)) / total >= cutoff else { return 0 }
        return 2 * Double(numCommon(one[...], other[...])) / total
    }

    /// Letters in the longest common block, the first of several, and in those before and behind it.
    private static func numCommon(_ one: ArraySlice<Unicode.Scalar>, _ other: ArraySlice<Unicode.Scalar>) -> Int {
        var (length, end, otherEnd) = (0, 0, 0)
        var before = [Int](repeating: 0, count: other.count + 1)
        for index in one.indices {
            var row = [Int](repeating: 0, count: other.count + 1)
            for (column, otherIndex) in other.indices.enumerated() where one[index] == other[otherIndex] {
                row[column + 1] = before[column] + 1
                if row[column + 1] > length { (length, end, otherEnd) = (row[column + 1], index + 1, otherIndex + 1) }
            }
            before = row
        }
        guard length > 0 else { return 0 }
        return length + numCommon(one[..<(end - length)], other[..<(otherEnd - length)])
            + numCommon(one[end...], other[otherEnd...])
    }
}
