/// The sentences that a model was taught, as its tokenizer document has them (docs/coreml.md).
struct Sentences: Sendable {
    /// Words that follow one another; a name of `choices` among them stands for any of its choices.
    struct Phrase: Sendable {
        let words: [String]
        let isOptional: Bool
    }

    struct Choices: Sendable {
        let name: String
        let words: [String]

        func has(_ word: String) -> Bool { words.contains(where: word.isExactly) }
    }

    /// Another form, whose videos are known to be bad.
    struct Refused: Sendable {
        let form: [Phrase]
        let why: String
    }

    let form: [Phrase]
    let choices: [Choices]
    let refused: [Refused]

    /// Throws TokenizerError for words whose video would not show what they say.
    func check(_ words: [String]) throws {
        if isSentence(words, of: form) { return }
        let why = refused.first { isSentence(words, of: $0.form) }?.why
        throw TokenizerError.untaught(
            sentence: words.joined(separator: " "),
            why: why ?? "the model was not taught sentences like this one, and its video would not show it",
            nearest: nearest(words), known: description)
    }

    /// The taught sentence that keeps what fits: of each name the first word that is among its choices. Where there is
    /// none, its first choice, and no optional phrase.
    func nearest(_ words: [String]) -> String {
        let kept = form.filter { phrase in
            let named = phrase.words.compactMap(choices(named:))
            return !phrase.isOptional || named.allSatisfy { words.contains(where: $0.has) }
        }
        let chosen = kept.flatMap(\.words).map { word in
            guard let named = choices(named: word) else { return word }
            return words.first(where: named.has) ?? named.words[0]
        }
        return chosen.joined(separator: " ")
    }

    /// Whether the words are a sentence of a form, whole.
    private func isSentence(_ words: [String], of form: [Phrase]) -> Bool {
        var ends: Set<Int> = [0]
        for phrase in form {
            let after = Set(ends.filter { isThere(phrase, in: words, at: $0) }.map { $0 + phrase.words.count })
            ends = phrase.isOptional ? ends.union(after) : after
        }
        return ends.contains(words.count)
    }

    private func isThere(_ phrase: Phrase, in words: [String], at start: Int) -> Bool {
        guard words.count - start >= phrase.words.count else { return false }
        return zip(phrase.words, words[start...]).allSatisfy { wanted, word in
            choices(named: wanted)?.has(word) ?? wanted.isExactly(word)
        }
    }

    private func choices(named name: String) -> Choices? { choices.first { $0.name.isExactly(name) } }

    /// `[a] [COLOUR] SHAPE moving DIRECTION. COLOUR: red, …`
    private var description: String {
        let phrases = form.map {
            $0.isOptional ? "[\($0.words.joined(separator: " "))]" : $0.words.joined(separator: " ")
        }
        let names = choices.map { "\($0.name): \($0.words.joined(separator: ", "))" }
        return "\(phrases.joined(separator: " ")). \(names.joined(separator: "; "))"
    }
}
