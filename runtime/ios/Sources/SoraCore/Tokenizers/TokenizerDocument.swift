/// tokenizer.json: how a prompt becomes token ids (docs/coreml.md). Nothing else decides that.
public struct TokenizerDocument: Sendable {
    public static let format = "ondevice-sora-tokenizer-1"

    enum Kind: Sendable {
        /// A closed list, each word an id; `separators` are the scalars that part words. `sentences` are those that the
        /// model was taught; nil where it takes any.
        case words([Word], separators: Set<Unicode.Scalar>, sentences: Sentences?)
        /// Pieces in the order of their ids. Of those in `controls`, and of `unknown`, no text is made.
        case unigram(pieces: [Piece], controls: Set<Int>, unknown: Int, charsmap: Charsmap)
    }

    struct Word: Sendable {
        let text: String
        let id: Int
    }

    struct Piece: Sendable {
        /// UTF-8, spaces written as U+2581.
        let text: [UInt8]
        let score: Float
    }

    let kind: Kind
    /// Tokens that the text encoder reads.
    public let length: Int
    let pad: Int
    let end: Int
    let suffix: String
    let isLowerCased: Bool
    /// A prompt to offer to whoever has written none.
    public let example: String
}
