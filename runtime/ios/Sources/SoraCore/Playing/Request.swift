/// What is to be generated: the tokens of a prompt, and the seed of the noise.
public struct Request: Sendable {
    public static let tokensFormat = "ondevice-sora-tokens-1"

    /// nil if tokens were given.
    public let prompt: String?
    /// Token ids and mask, as many as the text encoder reads.
    public let ids: [Int32]
    public let mask: [Int32]
    public let seed: UInt64

    /// Throws TokenizerError for a prompt that the export does not take, DocumentError if it takes none.
    public init(prompt: String, seed: UInt64, for export: Export) throws {
        guard let tokenizer = export.tokenizer else {
            let mend = "Give tokens, or export the plan with weights that have a tokenizer"
            let what = "this export has no tokenizer: it plays tokens, not prompts"
            throw DocumentError(file: export.folder, what: what, mend: mend)
        }
        let (ids, mask) = try tokenizer.encode(prompt)
        try tokenizer.checkSentence(prompt)
        try self.init(prompt: prompt, ids: ids, mask: mask, seed: seed, for: export)
    }

    /// Throws DocumentError unless there are as many as the export's text encoder reads, TokenizerError if more of them
    /// count than its denoiser reads.
    public init(ids: [Int32], mask: [Int32], seed: UInt64, for export: Export) throws {
        try self.init(prompt: nil, ids: ids, mask: mask, seed: seed, for: export)
    }

    private init(prompt: String?, ids: [Int32], mask: [Int32], seed: UInt64, for export: Export) throws {
        let length = export.manifest.encoderTokens
        guard ids.count == length, mask.count == length else {
            let what = "\(ids.count) token ids and a mask of \(mask.count); the text encoder reads \(length)"
            throw DocumentError(file: export.folder, what: what)
        }
        let numCounting = (mask.lastIndex { $0 != 0 } ?? -1) + 1
        guard numCounting <= export.manifest.textTokens else {
            throw TokenizerError.tooLong(numTokens: numCounting, length: export.manifest.textTokens)
        }
        (self.prompt, self.ids, self.mask, self.seed) = (prompt, ids, mask, seed)
    }

    /// Token ids and mask from a file: `{"format": "ondevice-sora-tokens-1", "input_ids": [1, …], "attention_mask": …}`.
    public static func tokens(path: String, seed: UInt64, for export: Export) throws -> Request {
        let mend = "Write token ids and mask as lists of \(export.manifest.encoderTokens) whole numbers"
        let bytes = try Files.read(path, maxBytes: TokenizerDocument.maxFileBytes, mend: mend)
        let document = try Node.document(bytes, file: path, name: "tokens", format: tokensFormat, mend: mend)
        let all = try document.record(["format", "input_ids", "attention_mask"])
        func numbers(_ key: String, _ range: ClosedRange<Int>) throws -> [Int32] {
            let counts = export.manifest.encoderTokens...export.manifest.encoderTokens
            return try all(key).list(counts).map { Int32(try $0.integer(range)) }
        }
        return try Request(
            ids: numbers("input_ids", 0...Int(Int32.max)), mask: numbers("attention_mask", 0...1), seed: seed,
            for: export)
    }
}
