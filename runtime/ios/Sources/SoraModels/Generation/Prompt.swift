import SoraCore

/// Whether a model can read a prompt, and what would help.
public enum PromptState: Equatable, Sendable {
    /// Nothing is written; a prompt that could be.
    case empty(example: String)
    /// Tokens, of how many.
    case good(numTokens: Int, length: Int)
    case tooLong(numTokens: Int, length: Int)
    /// It has words that the model does not know, or is no sentence that it was taught. `suggestion` is what could be
    /// written instead; nil if nothing is near.
    case refused(why: String, suggestion: String?)

    public init(_ prompt: String, by tokenizer: Tokenizer) {
        do {
            let (_, mask) = try tokenizer.encode(prompt)
            try tokenizer.checkSentence(prompt)
            self = .good(numTokens: mask.count { $0 == 1 }, length: mask.count)
        } catch {
            switch error as? TokenizerError {
            case .unknown(let unknown, _)?:
                let nearest = unknown.compactMap { each in each.nearest.map { (each.word, $0) } }
                let written = KnownWords.replaced(
                    prompt, Dictionary(nearest) { first, _ in first },
                    separators: tokenizer.knownWords?.separators ?? [])
                self = .refused(why: "\(error)", suggestion: nearest.isEmpty ? nil : written)
            case .untaught(_, _, let nearest, _)?: self = .refused(why: "\(error)", suggestion: nearest)
            case .tooLong(let numTokens, let length)?: self = .tooLong(numTokens: numTokens, length: length)
            case .empty?, nil: self = .empty(example: tokenizer.document.example)
            }
        }
    }

    public var isGood: Bool {
        if case .good = self { return true }
        return false
    }

    /// One line under the field.
    public var hint: String { Texts.Prompt.hint(self) }
}

/// Words to offer while a prompt for a small vocabulary is written.
public enum KnownWords {
    /// Of `words` those that go on from the word being written, or all after a space. `separators` part words.
    public static func offered(after prompt: String, words: [String], separators: Set<Unicode.Scalar>) -> [String] {
        let scalars = prompt.lowercased().unicodeScalars
        let tail = String(String.UnicodeScalarView(scalars.reversed().prefix { !separators.contains($0) }.reversed()))
        guard !tail.isEmpty else { return words }
        return words.filter { $0.hasPrefix(tail) && $0 != tail }
    }

    /// The prompt with `word` in place of the word being written, and a space behind it.
    public static func completed(_ prompt: String, with word: String, separators: Set<Unicode.Scalar>) -> String {
        let kept = prompt.unicodeScalars.reversed().drop { !separators.contains($0) }.reversed()
        return String(String.UnicodeScalarView(kept)) + word + " "
    }

    /// The prompt with each word that is a key of `known`, in whatever case, replaced by its value.
    public static func replaced(
        _ prompt: String, _ known: [String: String], separators: Set<Unicode.Scalar>
    ) -> String {
        var made = ""
        var current = ""
        func close() {
            made += known[current.lowercased()] ?? current
            current = ""
        }
        for scalar in prompt.unicodeScalars {
            if separators.contains(scalar) {
                close()
                made.unicodeScalars.append(scalar)
            } else {
                current.unicodeScalars.append(scalar)
            }
        }
        close()
        return made
    }
}
