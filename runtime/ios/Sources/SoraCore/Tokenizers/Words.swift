/// A closed list of words.
struct Words: Sendable {
    /// In the order of the document.
    let known: [String]
    let separators: Set<Unicode.Scalar>
    let sentences: Sentences?
    private let ids: [[UInt8]: Int]

    init(_ words: [TokenizerDocument.Word], separators: Set<Unicode.Scalar>, sentences: Sentences?) {
        known = words.map(\.text)
        (self.separators, self.sentences) = (separators, sentences)
        ids = Dictionary(uniqueKeysWithValues: words.map { (Array($0.text.utf8), $0.id) })
    }

    func words(of text: String) -> [String] {
        text.unicodeScalars.split(whereSeparator: separators.contains).map { String(String.UnicodeScalarView($0)) }
    }

    /// Ids of a text, without an end. Throws TokenizerError for words that are not in the list.
    func ids(_ text: String) throws -> [Int] {
        let words = words(of: text)
        let ids = words.compactMap { self.ids[Array($0.utf8)] }
        guard ids.count == words.count else { throw TokenizerError.unknown(unknown(of: words), known: known) }
        return ids
    }

    /// Each once.
    private func unknown(of words: [String]) -> [TokenizerError.UnknownWord] {
        var told: Set<[UInt8]> = []
        return words.compactMap { word in
            let letters = Array(word.utf8)
            guard ids[letters] == nil, told.insert(letters).inserted else { return nil }
            return TokenizerError.UnknownWord(word: word, nearest: Nearest.word(to: word, among: known))
        }
    }
}
