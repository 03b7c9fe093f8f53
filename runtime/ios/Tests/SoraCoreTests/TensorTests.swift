import Testing

@testable import SoraCore

/// A tensor over memory of its own that is laid out as the strides say; what no index reaches holds `gap`.
func strided(_ values: [Float], shape: [Int], strides: [Int], gap: Float = .nan) -> Tensor {
    let size = zip(shape, strides).reduce(1) { $0 + ($1.0 - 1) * $1.1 }
    let storage = TensorStorage(numBytes: size * 4)
    let places = storage.bytes.bindMemory(to: Float.self)
    for place in 0..<size { places[place] = gap }
    for (place, value) in zip(offsets(shape, strides), values) { places[place] = value }
    return Tensor(shape: shape, strides: strides, type: .float32, storage: storage)
}

/// Where each value lies, row by row.
private func offsets(_ shape: [Int], _ strides: [Int]) -> [Int] {
    zip(shape, strides).reduce([0]) { starts, dimension in
        starts.flatMap { start in (0..<dimension.0).map { start + $0 * dimension.1 } }
    }
}

/// Whether its memory has been given back.
final class Released: @unchecked Sendable {
    private(set) var isReleased = false
    fileprivate func release() { isReleased = true }
}

/// A tensor whose memory tells when it is given back.
func watched(_ values: [Float], shape: [Int]) -> (Tensor, Released) {
    let released = Released()
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: values.count * 4, alignment: 16)
    values.withUnsafeBytes { bytes.copyMemory(from: $0) }
    let storage = TensorStorage(bytes) {
        $0.deallocate()
        released.release()
    }
    return (Tensor(shape: shape, strides: Tensor.denseStrides(shape), type: .float32, storage: storage), released)
}

@Suite("Tensors are read whatever their strides and types")
struct TensorTests {
    static let layouts: [(shape: [Int], strides: [Int])] = [
        ([], []), ([1], [1]), ([5], [1]), ([5], [3]), ([2, 3], [3, 1]), ([2, 3], [8, 1]), ([2, 3], [1, 2]),
        ([2, 3, 4], [12, 4, 1]), ([2, 3, 4], [64, 16, 1]), ([2, 3, 4], [4, 8, 1]), ([2, 3, 4], [48, 16, 4]),
        ([3, 1, 2, 2], [100, 7, 32, 16]), ([2, 2, 2, 2, 2], [16, 8, 4, 2, 1]), ([2, 2, 2, 2, 2], [1, 2, 4, 8, 16]),
        ([4, 1], [64, 64]), ([3, 2], [0, 1]), ([2, 3], [1, 0]),
    ]

    @Test(arguments: layouts)
    func valuesAreReadRowByRow(shape: [Int], strides: [Int]) {
        let count = shape.reduce(1, *)
        var values = (0..<count).map { Float($0) + 0.5 }
        let tensor = strided(values, shape: shape, strides: strides)
        if strides.contains(0) {  // the same memory for several indices: the last value that was put there
            let last = Dictionary(zip(offsets(shape, strides), values)) { $1 }
            values = offsets(shape, strides).map { last[$0] ?? .nan }
        }
        #expect(tensor.isWithinStorage)
        #expect(tensor.floats() == values)
    }

    @Test func wholeNumbersBecomeFloats() {
        let tensor = Tensor(integers: [Int32.min, -1, 0, 7, 1 << 24], shape: [5])
        #expect(tensor.floats() == [-2_147_483_648, -1, 0, 7, 16_777_216])
    }

    /// All 65,536, by the definition: (-1)^s 2^(e - 15) (1 + f / 1024), and the numbers near zero and beyond.
    @Test func everyHalfIsRead() {
        var wrong: [UInt16] = []
        for bits in UInt16.min...UInt16.max {
            let (exponent, fraction) = (Int(bits >> 10 & 31), Float(bits & 1023))
            var scale: Float = 1
            for _ in 0..<abs(exponent - 15) { scale *= exponent > 15 ? 2 : 0.5 }
            let size: Float =
                switch exponent {
                case 0: fraction / 1024 / 16384
                case 31: fraction == 0 ? .infinity : .nan
                default: scale * (1 + fraction / 1024)
                }
            let told = bits >> 15 == 1 ? -size : size
            let found = Half.float(bits)
            let isSame = found == told || found.isNaN && told.isNaN
            if !isSame || found.sign != (bits >> 15 == 1 ? .minus : .plus) { wrong.append(bits) }
        }
        #expect(wrong == [])
    }

    @Test func halvesWithGapsBetweenRows() {
        let storage = TensorStorage(numBytes: 64)
        let places = storage.bytes.bindMemory(to: UInt16.self)
        for place in 0..<32 { places[place] = 0x7e00 }
        for (place, bits) in [(0, 0x3c00), (1, 0xc000), (16, 0x3800), (17, 0x7bff)] as [(Int, UInt16)] {
            places[place] = bits
        }
        let tensor = Tensor(shape: [2, 2], strides: [16, 1], type: .float16, storage: storage)
        #expect(tensor.floats() == [1, -2, 0.5, 65504])
    }

    @Test func madeTensorsAreDenseAndOnPageBoundaries() throws {
        let tensor = Tensor(floats: [1, 2, 3, 4, 5, 6], shape: [1, 2, 3])
        #expect(tensor.strides == [6, 3, 1])
        #expect(tensor.count == 6)
        let address = try #require(tensor.storage.bytes.baseAddress)
        #expect(Int(bitPattern: address) % 16_384 == 0)
        #expect(tensor.storage.bytes.count % 16_384 == 0)
        #expect(tensor.floats() == [1, 2, 3, 4, 5, 6])
    }

    @Test(arguments: [
        ([2, 3], [3, 1], 20), ([2, 3], [3, 1], 0), ([2, 3], [100, 1], 1000), ([2, 3], [-3, 1], 1000),
        ([2, 3], [3], 1000), ([0, 3], [3, 1], 1000), ([3, 3], [Int.max, 1], 1000), ([2, 2], [Int.max, Int.max], 1000),
    ])
    func valuesOutsideTheMemoryAreNoticed(shape: [Int], strides: [Int], numBytes: Int) {
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: numBytes, alignment: 16)
        let storage = TensorStorage(bytes) { $0.deallocate() }
        let isWithin = Tensor(shape: shape, strides: strides, type: .float32, storage: storage).isWithinStorage
        #expect(isWithin == (strides == [100, 1]))
    }

    @Test func memoryIsGivenBackWithTheLastTensorInIt() {
        var (first, released) = watched([1, 2], shape: [2])
        var second: Tensor? = Tensor(shape: [1], strides: [1], type: .float32, storage: first.storage)
        first = Tensor(floats: [0], shape: [1])
        #expect(!released.isReleased && second != nil)
        second = nil
        #expect(released.isReleased)
    }

    @Test func anOwnerLivesAsLongAsItsMemoryIsUsed() {
        final class Owner {}
        var owner: Owner? = Owner()
        weak let seen = owner
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 4, alignment: 4)
        defer { bytes.deallocate() }
        var storage: TensorStorage? = TensorStorage(bytes, owner: owner)
        owner = nil
        #expect(seen != nil && storage != nil)
        storage = nil
        #expect(seen == nil)
    }
}
