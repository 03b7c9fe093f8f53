/// Why a prompt cannot be played.
public enum TokenizerError: Error, Equatable, Sendable, CustomStringConvertible {
    case empty(example: String)
    case unknown(word: String, nearest: String)
    /// It has so many tokens, its suffix and its end counted; the model reads `length`.
    case tooLong(numTokens: Int, length: Int)

    public var description: String {
        switch self {
        case .empty(let example): "the prompt is empty. Write one, such as: \(example)".printable
        case .unknown(let word, let nearest):
            "the model does not know '\(word.shortened(to: 60))'. Did you mean '\(nearest)'?".printable
        case .tooLong(let numTokens, let length):
            "the prompt has \(numTokens) tokens, its end counted; the model reads \(length). Write a shorter one"
        }
    }
}

/// Token ids and mask of a prompt, by whatever a tokenizer document says.
public struct Tokenizer: Sendable {
    private enum Ids: Sendable {
        case words(Words)
        case unigram(Unigram)
    }

    public let document: TokenizerDocument
    private let ids: Ids

    public init(_ document: TokenizerDocument) {
        self.document = document
        ids =
            switch document.kind {
            case .words(let ids, let separators): .words(Words(ids: ids, separators: separators))
            case .unigram(let pieces, let controls, let unknown, let charsmap):
                .unigram(Unigram(pieces: pieces, controls: controls, unknown: unknown, charsmap: charsmap))
            }
    }

    /// The words of a closed list, sorted, and the scalars that part them; nil where any text can be read.
    public var knownWords: (words: [String], separators: Set<Unicode.Scalar>)? {
        guard case .words(let words) = ids else { return nil }
        return (words.ids.keys.map { String(decoding: $0, as: UTF8.self) }.sorted(), words.separators)
    }

    /// Ids and mask, both of the document's length: the prompt and its suffix, the end, then padding.
    ///
    /// Throws TokenizerError; a prompt that is too long is never cut.
    public func encode(_ prompt: String) throws -> (ids: [Int32], mask: [Int32]) {
        let found = try tokens(prompt)
        guard found.count <= document.length else {
            throw TokenizerError.tooLong(numTokens: found.count, length: document.length)
        }
        let numFree = document.length - found.count
        let ids = (found + Array(repeating: document.pad, count: numFree)).map(Int32.init)
        return (ids, Array(repeating: 1, count: found.count) + Array(repeating: 0, count: numFree))
    }

    /// The ids of a prompt, its suffix and the end, however many. Throws TokenizerError.
    func tokens(_ prompt: String) throws -> [Int] {
        let text = document.isLowerCased ? Self.lowerCased(prompt) : prompt
        guard !(try ids(of: text)).isEmpty else { throw TokenizerError.empty(example: document.example) }
        return try ids(of: text + document.suffix) + [document.end]
    }

    private func ids(of text: String) throws -> [Int] {
        switch ids {
        case .words(let words): try words.ids(text)
        case .unigram(let unigram): unigram.ids(text)
        }
    }

    /// Each scalar by its own mapping, whatever stands beside it: a sigma at the end of a word is no other letter.
    private static func lowerCased(_ text: String) -> String {
        text.unicodeScalars.map(\.properties.lowercaseMapping).joined()
    }
}
