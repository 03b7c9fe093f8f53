/// sentencepiece's precompiled normalisation: a trie of byte strings, and what each is replaced by.
///
/// The form is described in runtime/tokenizers/charsmap.py. That no walk leads out of it is checked once, here.
struct Charsmap: Sendable {
    private static let leaf: UInt32 = 0x100
    private static let wide: UInt32 = 0x200
    private static let value: UInt32 = 0x8000_0000
    /// A step by one byte stays in a row of so many units.
    private static let row = 256

    private let units: [UInt32]
    private let replacements: [UInt8]

    /// nil if its sizes do not agree, or a walk could lead out of it. Empty for no normalisation.
    init?(_ bytes: [UInt8]) {
        guard !bytes.isEmpty else {
            (units, replacements) = ([], [])
            return
        }
        guard bytes.count > 4 else { return nil }
        let size = Int(Self.word(bytes, at: 0))
        guard size > 0, size % (4 * Self.row) == 0, size < bytes.count - 4, bytes.last == 0 else { return nil }
        let units = stride(from: 4, to: 4 + size, by: 4).map { Self.word(bytes, at: $0) }
        let replacements = Array(bytes[(4 + size)...])
        guard String(validating: replacements, as: UTF8.self) != nil else { return nil }
        for (position, unit) in units.enumerated() where unit & Self.value == 0 {
            let target = position ^ Self.offset(unit)
            guard target / Self.row < units.count / Self.row else { return nil }
            guard unit & Self.leaf != 0 else { continue }
            let found = units[target]
            guard found & Self.value != 0, Int(found & ~Self.value) < replacements.count else { return nil }
        }
        (self.units, self.replacements) = (units, replacements)
    }

    /// What the longest string of the trie that `text` has at `start` is replaced by, and its length in bytes; nil if
    /// there is none.
    func replacement(in text: [UInt8], at start: Int) -> (output: ArraySlice<UInt8>, length: Int)? {
        guard let root = units.first else { return nil }
        var found: (output: ArraySlice<UInt8>, length: Int)?
        var position = Self.offset(root)
        for place in start..<text.count {
            position ^= Int(text[place])
            guard units.indices.contains(position) else { break }
            let unit = units[position]
            guard unit & (Self.value | 0xff) == UInt32(text[place]) else { break }
            position ^= Self.offset(unit)
            if unit & Self.leaf != 0 {
                let begin = Int(units[position] & ~Self.value)
                let end = replacements[begin...].firstIndex(of: 0) ?? replacements.endIndex
                found = (replacements[begin..<end], place + 1 - start)
            }
        }
        return found
    }

    private static func offset(_ unit: UInt32) -> Int { Int((unit >> 10) << ((unit & wide) >> 6)) }

    private static func word(_ bytes: [UInt8], at index: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 | UInt32(bytes[index + $1]) << (8 * UInt32($1)) }
    }
}
