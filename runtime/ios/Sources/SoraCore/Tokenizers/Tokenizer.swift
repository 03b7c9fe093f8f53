/// Why a prompt cannot be played. `what` and `mend` are the words of the Python side.
public enum TokenizerError: Error, Equatable, Sendable, CustomStringConvertible {
    public struct UnknownWord: Equatable, Sendable {
        public let word: String
        /// The known word that it may have been; nil if none is like it.
        public let nearest: String?
    }

    case empty(example: String)
    /// Each once; `known` is what the model knows.
    case unknown([UnknownWord], known: [String])
    /// It has so many tokens, its suffix and its end counted; the model reads `length`.
    case tooLong(numTokens: Int, length: Int)
    /// Words that the model knows, in a sentence that it was not taught. `nearest` is one that it was.
    case untaught(sentence: String, why: String, nearest: String, known: String)

    public var what: String {
        switch self {
        case .empty: "the prompt is empty"
        case .unknown(let unknown, _):
            "the model does not know \(unknown.map { Self.quoted($0.word) }.joined(separator: ", "))"
        case .tooLong(let numTokens, let length):
            "the prompt has \(numTokens) tokens, its end counted; the model reads \(length)"
        case .untaught(let sentence, let why, _, _): "\(Self.quoted(sentence)): \(why)"
        }
    }

    public var mend: String {
        switch self {
        case .empty(let example): "Write one, such as: \(example)"
        case .unknown(let unknown, let known):
            Self.meant(unknown.compactMap(\.nearest)) + "It knows: \(known.joined(separator: ", "))."
        case .tooLong: "Write a shorter one."
        case .untaught(_, _, let nearest, let known): "Did you mean '\(nearest)'? It knows: \(known)."
        }
    }

    public var description: String { "\(what). \(mend)".printable }

    private static func meant(_ words: [String]) -> String {
        var told: Set<[UInt8]> = []
        let each = words.filter { told.insert(Array($0.utf8)).inserted }.map(quoted)
        return each.isEmpty ? "" : "Did you mean \(each.joined(separator: ", "))? "
    }

    private static func quoted(_ text: String) -> String { "'\(text.shortened(to: 60).printable)'" }
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
            case .words(let words, let separators, let sentences):
                .words(Words(words, separators: separators, sentences: sentences))
            case .unigram(let pieces, let controls, let unknown, let charsmap):
                .unigram(Unigram(pieces: pieces, controls: controls, unknown: unknown, charsmap: charsmap))
            }
    }

    /// The words of a closed list, sorted, and the scalars that part them; nil where any text can be read.
    public var knownWords: (words: [String], separators: Set<Unicode.Scalar>)? {
        guard case .words(let words) = ids else { return nil }
        return (words.known.sorted(), words.separators)
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
        try ids(of: text(of: prompt) + document.suffix) + [document.end]
    }

    /// Throws TokenizerError as `encode`, but for the length, and for a sentence that the model was not taught, where the
    /// document says which it was.
    public func checkSentence(_ prompt: String) throws {
        let text = try text(of: prompt)
        guard case .words(let words) = ids else { return }
        try words.sentences?.check(words.words(of: text))
    }

    /// What ids are made of. Throws TokenizerError if none are.
    private func text(of prompt: String) throws -> String {
        let text = document.isLowerCased ? Self.lowerCased(prompt) : prompt
        guard !(try ids(of: text)).isEmpty else { throw TokenizerError.empty(example: document.example) }
        return text
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
