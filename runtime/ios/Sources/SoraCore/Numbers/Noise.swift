import Foundation

/// The generator mt19937 (Matsumoto and Nishimura, 1998), seeded with one word.
struct MersenneTwister {
    private static let size = 624
    private static let shift = 397

    private var words: [UInt32]
    private var index = Self.size

    init(seed: UInt32) {
        words = [seed]
        words.reserveCapacity(Self.size)
        for number in 1..<Self.size {
            let last = words[number - 1]
            words.append(1_812_433_253 &* (last ^ last >> 30) &+ UInt32(number))
        }
    }

    mutating func next() -> UInt32 {
        if index == Self.size { turn() }
        var word = words[index]
        index += 1
        word ^= word >> 11
        word ^= word << 7 & 0x9d2c_5680
        word ^= word << 15 & 0xefc6_0000
        return word ^ word >> 18
    }

    private mutating func turn() {
        for number in 0..<Self.size {
            let upper = words[number] & 0x8000_0000 | words[(number + 1) % Self.size] & 0x7fff_ffff
            let odd: UInt32 = upper & 1 == 1 ? 0x9908_b0df : 0
            words[number] = words[(number + Self.shift) % Self.size] ^ upper >> 1 ^ odd
        }
        index = 0
    }
}

/// The noise that a generation starts from: that of `torch.randn` on a CPU, within 2e-6.
public enum Noise {
    /// Values are made in groups of so many.
    static let group = 16

    /// `count` values of N(0, 1) for a seed, of which the low 32 bits count. Groups of 16: below that there are none.
    ///
    /// docs/coreml.md describes them; the arithmetic is in Double.
    public static func values(seed: UInt64, count: Int) -> [Float] {
        precondition(count >= group, "no latent has fewer than \(group) values")
        var twister = MersenneTwister(seed: UInt32(truncatingIfNeeded: seed))
        func uniform() -> Double { Double(twister.next() & 0xff_ffff) / Double(1 << 24) }
        let uniforms = (0..<count).map { _ in uniform() }
        var values = [Float](repeating: 0, count: count)
        for start in stride(from: 0, through: count - group, by: group) {
            fill(&values, at: start, with: uniforms[start..<start + group])
        }
        if count % group != 0 {
            let fresh = (0..<group).map { _ in uniform() }
            fill(&values, at: count - group, with: fresh[...])
        }
        return values
    }

    /// Box and Muller's transform of 16 uniforms: eight radii, eight angles.
    private static func fill(_ values: inout [Float], at start: Int, with uniforms: ArraySlice<Double>) {
        let half = group / 2
        for number in 0..<half {
            let radius = (-2 * log(1 - uniforms[uniforms.startIndex + number])).squareRoot()
            let angle = 2 * Double.pi * uniforms[uniforms.startIndex + number + half]
            values[start + number] = Float(radius * cos(angle))
            values[start + number + half] = Float(radius * sin(angle))
        }
    }
}
