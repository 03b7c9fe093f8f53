/// Inputs of a function for timing it: of the declared shapes and types, the same for the same seed.
///
/// Numbers lie between 1/2 and 1 or below zero likewise, so that nothing overflows nor becomes zero; whole numbers,
/// which are token ids and masks, are 0 or 1.
enum RandomInputs {
    /// By the names of features.
    static func make(for function: Manifest.Function, seed: UInt64) -> [String: Tensor] {
        var random = SplitMix(state: seed)
        var inputs: [String: Tensor] = [:]
        for feature in function.inputs { inputs[feature.feature] = tensor(feature, &random) }
        return inputs
    }

    private static func tensor(_ feature: Manifest.Feature, _ random: inout SplitMix) -> Tensor {
        let count = feature.shape.reduce(1, *)
        let storage = TensorStorage(numBytes: count * feature.type.numBytes)
        let bytes = storage.bytes
        switch feature.type {
        case .float32:
            for index in 0..<count {
                let bits = UInt32(truncatingIfNeeded: random.next())
                // Sign and fraction at random, the exponent that of 1/2.
                bytes.storeBytes(of: bits & 0x807f_ffff | 0x3f00_0000, toByteOffset: index * 4, as: UInt32.self)
            }
        case .float16:
            for index in 0..<count {
                let bits = UInt16(truncatingIfNeeded: random.next())
                bytes.storeBytes(of: bits & 0x83ff | 0x3800, toByteOffset: index * 2, as: UInt16.self)
            }
        case .int32:
            for index in 0..<count {
                let bit = Int32(truncatingIfNeeded: random.next() & 1)
                bytes.storeBytes(of: bit, toByteOffset: index * 4, as: Int32.self)
            }
        }
        return Tensor(
            shape: feature.shape, strides: Tensor.denseStrides(feature.shape), type: feature.type, storage: storage)
    }
}

/// Numbers that are the same for the same seed (SplitMix64).
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }
}
