import Foundation

/// How values lie in memory: strides are in elements.
struct Layout: Equatable, CustomStringConvertible {
    let shape: [Int]
    let strides: [Int]
    let type: MLMultiArrayDataType

    /// Row by row, without gaps.
    static func dense(_ shape: [Int], _ type: MLMultiArrayDataType) -> Layout {
        Layout(shape: shape, strides: strides(shape, row: shape.last ?? 1), type: type)
    }

    /// Rows begin at multiples of 64 bytes, with a gap before each.
    static func padded(_ shape: [Int], _ type: MLMultiArrayDataType) -> Layout {
        let aligned = 64 / type.numBytes
        let row = ((shape.last ?? 1) / aligned + 1) * aligned
        return Layout(shape: shape, strides: strides(shape, row: row), type: type)
    }

    private static func strides(_ shape: [Int], row: Int) -> [Int] {
        var strides = Array(repeating: 1, count: shape.count)
        var next = row
        for index in shape.indices.dropLast().reversed() {
            strides[index] = next
            next *= shape[index]
        }
        return strides
    }

    static func checked(_ shape: [NSNumber]) throws -> [Int] {
        let sizes = shape.map(\.intValue)
        guard !sizes.isEmpty, sizes.allSatisfy({ $0 > 0 }) else { throw StandIn.error("\(sizes) is no shape") }
        return sizes
    }

    var count: Int { shape.reduce(1, *) }

    /// From the first value to the last.
    var numBytes: Int { (1 + zip(shape, strides).reduce(0) { $0 + ($1.0 - 1) * $1.1 }) * type.numBytes }

    var description: String { "\(type.name) \(shape)" }

    /// Where the rows begin: in memory, and among the values; in elements.
    func forEachRow(_ body: (_ offset: Int, _ index: Int) throws -> Void) rethrows {
        let length = shape.last ?? 1
        var position = Array(repeating: 0, count: max(0, shape.count - 1))
        for row in 0..<(count / length) {
            try body(zip(position, strides).reduce(0) { $0 + $1.0 * $1.1 }, row * length)
            for index in position.indices.reversed() {
                position[index] += 1
                if position[index] < shape[index] { break }
                position[index] = 0
            }
        }
    }
}

/// Values in memory.
struct ArrayView {
    let layout: Layout
    let start: UnsafeMutableRawPointer

    /// Writes the values without gaps.
    func copy(toDense target: UnsafeMutableRawPointer) {
        forEachRun { offset, index, bytes in
            target.advanced(by: index).copyMemory(from: start + offset, byteCount: bytes)
        }
    }

    /// Takes values that lie without gaps.
    func copy(fromDense source: UnsafeRawPointer) {
        forEachRun { offset, index, bytes in (start + offset).copyMemory(from: source + index, byteCount: bytes) }
    }

    /// What lies together, in bytes.
    private func forEachRun(_ body: (_ offset: Int, _ index: Int, _ numBytes: Int) -> Void) {
        let size = layout.type.numBytes
        let (length, stride) = (layout.shape.last ?? 1, layout.strides.last ?? 1)
        layout.forEachRow { offset, index in
            if stride == 1 { return body(offset * size, index * size, length * size) }
            for number in 0..<length { body((offset + number * stride) * size, (index + number) * size, size) }
        }
    }
}

extension MLMultiArrayDataType {
    private static let named: [(String, MLMultiArrayDataType, Int)] = [
        ("float32", .float32, 4), ("float16", .float16, 2), ("int32", .int32, 4), ("double", .double, 8),
    ]

    /// nil for a name that is none.
    init?(name: String) {
        guard let found = Self.named.first(where: { $0.0 == name }) else { return nil }
        self = found.1
    }

    var name: String { Self.named.first { $0.1 == self }?.0 ?? "\(rawValue)" }

    var numBytes: Int { Self.named.first { $0.1 == self }?.2 ?? 1 }
}

/// An input or output as a model declares it.
struct Declared: Equatable, Sendable {
    var name: String
    var type: MLMultiArrayDataType
    var shape: [Int]

    var layout: Layout { .dense(shape, type) }

    func fits(_ layout: Layout) -> Bool { layout.type == type && layout.shape == shape }
}

/// Memory of its own, in whole pages: it can be made read-only, and the system sees when it is given back.
final class Pages: @unchecked Sendable {
    let start: UnsafeMutableRawPointer
    private let numBytes: Int
    private let isArray: Bool

    /// Zeros, which take memory once they are written to.
    init(numBytes: Int, isArray: Bool = true) throws {
        self.numBytes = max(1, numBytes)
        self.isArray = isArray
        let made = mmap(nil, self.numBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let made, made != MAP_FAILED else { throw StandIn.error("no memory for \(numBytes) bytes") }
        start = made
        count(self.numBytes)
    }

    private func count(_ change: Int) {
        if isArray { StandIn.shared.count { $0.liveArrayBytes += change } }
    }

    /// Takes the memory that it stands for.
    func fill() { memset(start, 1, numBytes) }

    func makeReadOnly() { mprotect(start, numBytes, PROT_READ) }

    /// Once.
    func giveBack() {
        munmap(start, numBytes)
        count(-numBytes)
    }
}
