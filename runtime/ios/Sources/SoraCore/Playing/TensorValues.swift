extension Manifest.ElementType {
    public var numBytes: Int {
        switch self {
        case .float32, .int32: 4
        case .float16: 2
        }
    }
}

extension TensorStorage {
    /// What Core ML takes without copying on all systems: a whole number of the largest pages.
    static let pageBytes = 16_384

    /// Memory of its own, on page boundaries, with whatever happens to stand in it.
    public convenience init(numBytes: Int) {
        let pages = max(1, (numBytes + Self.pageBytes - 1) / Self.pageBytes)
        let bytes = UnsafeMutableRawBufferPointer.allocate(
            byteCount: pages * Self.pageBytes, alignment: Self.pageBytes)
        self.init(bytes) { $0.deallocate() }
    }
}

extension Tensor {
    public var count: Int { shape.reduce(1, *) }

    /// The strides of values that lie row by row, without gaps.
    public static func denseStrides(_ shape: [Int]) -> [Int] {
        var strides = shape
        var step = 1
        for dimension in shape.indices.reversed() {
            strides[dimension] = step
            step *= shape[dimension]
        }
        return strides
    }

    /// Float32 values row by row, in memory of its own.
    public init(floats values: [Float], shape: [Int]) { self.init(copying: values, shape: shape, type: .float32) }

    /// Int32 values row by row, in memory of its own.
    public init(integers values: [Int32], shape: [Int]) { self.init(copying: values, shape: shape, type: .int32) }

    private init<Value>(copying values: [Value], shape: [Int], type: Manifest.ElementType) {
        precondition(values.count == shape.reduce(1, *), "as many values as the shape has")
        let storage = TensorStorage(numBytes: values.count * type.numBytes)
        values.withUnsafeBytes { storage.bytes.copyMemory(from: $0) }
        self.init(shape: shape, strides: Self.denseStrides(shape), type: type, storage: storage)
    }

    /// Whether every value lies in the storage. Of a tensor that somebody else made, ask before reading it.
    public var isWithinStorage: Bool {
        guard shape.count == strides.count, shape.allSatisfy({ $0 >= 1 }), strides.allSatisfy({ $0 >= 0 }) else {
            return false
        }
        var last = 0
        for (size, stride) in zip(shape, strides) {
            let (step, isTooFar) = (size - 1).multipliedReportingOverflow(by: stride)
            let (sum, isTooLarge) = last.addingReportingOverflow(step)
            if isTooFar || isTooLarge { return false }
            last = sum
        }
        return last < storage.numBytes / type.numBytes
    }

    /// All values in Float, row by row, whatever their strides and type. Int32 beyond 2^24 are rounded.
    public func floats() -> [Float] {
        precondition(isWithinStorage, "a tensor's values lie in its storage")
        switch type {
        case .float32: return values(of: Float.self) { $0 }
        case .float16: return values(of: UInt16.self, Half.float)
        case .int32: return values(of: Int32.self) { Float($0) }
        }
    }

    /// The tensor itself if it is of that type; between float32 and float16 its values in memory of their own, row by row;
    /// nil for others. Between blocks of different precision there is no other way.
    public func converted(to wanted: Manifest.ElementType) -> Tensor? {
        switch (type, wanted) {
        case _ where type == wanted: self
        case (.float16, .float32): Tensor(floats: floats(), shape: shape)
        case (.float32, .float16): Tensor(copying: floats().map(Half.bits), shape: shape, type: .float16)
        default: nil
        }
    }

    private func values<Stored>(of _: Stored.Type, _ convert: (Stored) -> Float) -> [Float] {
        let count = count
        return [Float](unsafeUninitializedCapacity: count) { values, initialized in
            defer { withExtendedLifetime(storage) { initialized = count } }
            guard let base = storage.bytes.baseAddress?.assumingMemoryBound(to: Stored.self) else { return }
            let (rowLength, rowStride) = (shape.last ?? 1, strides.last ?? 1)
            var index = [Int](repeating: 0, count: max(0, shape.count - 1))
            var (start, place) = (0, 0)
            while place < count {
                for column in 0..<rowLength { values[place + column] = convert(base[start + column * rowStride]) }
                place += rowLength
                advance(&index, &start)
            }
        }
    }

    /// To where the next row starts.
    private func advance(_ index: inout [Int], _ start: inout Int) {
        for dimension in index.indices.reversed() {
            index[dimension] += 1
            start += strides[dimension]
            if index[dimension] < shape[dimension] { return }
            start -= shape[dimension] * strides[dimension]
            index[dimension] = 0
        }
    }
}

/// Numbers of 16 bits (IEEE 754 binary16), by their bits: Swift has no such type on Intel Macs.
enum Half {
    /// The nearest, of two equally near the even one; too large a number is infinite.
    static func bits(_ value: Float) -> UInt16 {
        let sign = UInt16(truncatingIfNeeded: value.bitPattern >> 16) & 0x8000
        let magnitude = value.bitPattern & 0x7fff_ffff
        if magnitude > Float.infinity.bitPattern { return sign | 0x7e00 }
        if magnitude >= Float(0x1p16).bitPattern { return sign | 0x7c00 }
        if magnitude < Float(0x1p-14).bitPattern {
            return sign | UInt16((Float(bitPattern: magnitude) * 0x1p24).rounded(.toNearestOrEven))
        }
        let rebased = magnitude - (112 << 23)
        return sign | UInt16((rebased + 0xfff + (rebased >> 13 & 1)) >> 13)
    }

    static func float(_ bits: UInt16) -> Float {
        let sign = UInt32(bits & 0x8000) << 16
        let (exponent, fraction) = (UInt32(bits >> 10 & 0x1f), UInt32(bits & 0x3ff))
        switch exponent {
        case 0: return Float(bitPattern: sign | (Float(fraction) * 0x1p-24).bitPattern)
        case 0x1f: return Float(bitPattern: sign | 0x7f80_0000 | fraction << 13)
        default: return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
        }
    }
}
