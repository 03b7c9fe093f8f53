import Foundation

extension TokenizerDocument {
    static let maxFileBytes = 50_000_000
    private static let maxPieces = 1_000_000
    private static let maxCharsmapBytes = 10_000_000
    private static let common = ["format", "kind", "length", "pad", "end", "suffix", "lower_case", "example"]

    private enum KindName: String, CaseIterable { case words, unigram }

    /// The document in a file. Throws DocumentError.
    public static func read(path: String) throws -> TokenizerDocument {
        try read(try Files.read(path, maxBytes: maxFileBytes, mend: Manifest.exportAgain), file: path)
    }

    /// The document that `bytes` hold; `file` is named in errors. Throws DocumentError unless its parts agree.
    public static func read(_ bytes: [UInt8], file: String) throws -> TokenizerDocument {
        let document = try Node.document(
            bytes, file: file, name: "a tokenizer", format: format, mend: Manifest.exportAgain)
        return try TokenizerDocument(document)
    }

    private init(_ document: Node) throws {
        guard case .object(let members) = document.value, document.value["kind"] != nil else {
            throw document.error("the key 'kind' is missing")
        }
        let name = try document.record(members.map(\.key))("kind").choice(KindName.self)
        let own =
            switch name {
            case .words: ["separators", "words"]
            case .unigram: ["unknown", "controls", "charsmap", "pieces"]
            }
        let all = try document.record(Self.common + own, optional: name == .words ? ["sentences"] : [])
        let id = 0...(Self.maxPieces - 1)
        length = try all("length").integer(1...100_000)
        pad = try all("pad").integer(id)
        end = try all("end").integer(id)
        suffix = try all("suffix").text(.line)
        isLowerCased = try all("lower_case").flag()
        example = try all("example").text(.line)
        if pad == end { throw try all("end").error("\(end) is the id of padding as well") }
        kind =
            switch name {
            case .words: try Self.words(all, taken: [pad, end], id)
            case .unigram: try Self.unigram(all, pad: pad, end: end, id)
            }
    }

    private static func words(_ all: Record, taken: Set<Int>, _ id: ClosedRange<Int>) throws -> Kind {
        let separators = Set(try all("separators").text(.letters).unicodeScalars)
        var taken = taken
        var words: [Word] = []
        for (word, node) in try all("words").entries(1...maxPieces) {
            guard TextForm.word.isFulfilled(word) else { throw node.error("as a key, expected a word without spaces") }
            if word.unicodeScalars.contains(where: separators.contains) {
                throw node.error("the word has a separator in it")
            }
            let number = try node.integer(id)
            guard taken.insert(number).inserted else { throw node.error("the id \(number) stands twice") }
            words.append(Word(text: word, id: number))
        }
        let sentences = try all.ifThere("sentences")?.optional { node in
            try Sentences(node, words: Set(words.map { Array($0.text.utf8) }))
        }
        return .words(words, separators: separators, sentences: sentences)
    }

    private static func unigram(_ all: Record, pad: Int, end: Int, _ id: ClosedRange<Int>) throws -> Kind {
        var seen: Set<[UInt8]> = []
        let pieces = try all("pieces").list(3...maxPieces).map { node in
            let parts = try node.list(2...2)
            let piece = Piece(
                text: Array(try parts[0].text(.letters).utf8), score: Float(try parts[1].real(-1e6...1e6)))
            guard Double(piece.score) == (try parts[1].real(-1e6...1e6)) else {
                throw parts[1].error("the score is not a float32")
            }
            guard seen.insert(piece.text).inserted else { throw node.error("the piece stands twice") }
            return piece
        }
        let unknown = try all("unknown").integer(id)
        let controls = Set(try all("controls").list(0...10_000).map { try $0.integer(id) })
        for (key, number) in [("pad", pad), ("end", end), ("unknown", unknown)] {
            if number >= pieces.count { throw try all(key).error("\(number) is no id of \(pieces.count) pieces") }
            if controls.contains(number) == (key == "unknown") {
                let what = "padding and end are controls, the unknown piece is not: \(number)"
                throw try all("controls").error(what)
            }
        }
        if let outside = controls.filter({ $0 >= pieces.count }).min() {
            throw try all("controls").error("\(outside) is no id of \(pieces.count) pieces")
        }
        let node = try all("charsmap")
        guard case .text(let text) = node.value, let data = Data(base64Encoded: text), data.count <= maxCharsmapBytes
        else { throw node.error("expected at most \(maxCharsmapBytes) bytes in base64") }
        guard let charsmap = Charsmap([UInt8](data)) else {
            throw node.error("not a normalisation of sentencepiece's")
        }
        return .unigram(pieces: pieces, controls: controls, unknown: unknown, charsmap: charsmap)
    }
}

extension Sentences {
    private static let counts = 1...100

    /// Every word of them is one of `words`, by its UTF-8, or a name of choices, which are none of `words`.
    fileprivate init(_ node: Node, words: Set<[UInt8]>) throws {
        func isKnown(_ word: String) -> Bool { words.contains(Array(word.utf8)) }
        func known(_ node: Node) throws -> String {
            let word = try node.text(.word)
            guard isKnown(word) else { throw node.error("'\(word)' is none of the words") }
            return word
        }
        let all = try node.record(["form", "choices", "refused"])
        let choices = try all("choices").entries(0...100).map { name, node in
            guard TextForm.word.isFulfilled(name) else { throw node.error("as a key, expected a word without spaces") }
            if isKnown(name) { throw node.error("'\(name)' is a word, and a name of choices as well") }
            return Choices(name: name, words: try node.list(1...1_000_000).map(known))
        }
        func phrases(_ node: Node) throws -> [Phrase] {
            try node.list(Self.counts).map { node in
                let phrase = try node.record(["words", "optional"])
                let words = try phrase("words").list(Self.counts).map { node in
                    let word = try node.text(.word)
                    return choices.contains { $0.name.isExactly(word) } ? word : try known(node)
                }
                return Phrase(words: words, isOptional: try phrase("optional").flag())
            }
        }
        form = try phrases(all("form"))
        refused = try all("refused").list(0...100).map { node in
            let each = try node.record(["form", "why"])
            return Refused(form: try phrases(each("form")), why: try each("why").text(.line))
        }
        self.choices = choices
    }
}
