@preconcurrency import CoreML
import Foundation
import SoraCore

extension Tensor {
    /// What Core ML has returned, where it lies. Its strides count from now on: before the prediction they were others.
    init(_ array: MLMultiArray, _ feature: Manifest.Feature) {
        let strides = array.strides.map(\.intValue)
        let last = zip(feature.shape, strides).reduce(0) { $0 + ($1.0 - 1) * $1.1 }
        let numBytes = (last + 1) * feature.type.numBytes
        let storage = TensorStorage(owner: array, numBytes: numBytes) { array.dataPointer }
        self.init(shape: feature.shape, strides: strides, type: feature.type, storage: storage)
    }

    /// The array that Core ML returned, or one around the tensor's memory, which stays until Core ML is done with it.
    func multiArray() throws -> MLMultiArray {
        if let array = storage.owner as? MLMultiArray, array.dataType == type.ofCoreML,
            array.shape.map(\.intValue) == shape, array.strides.map(\.intValue) == strides
        {
            return array
        }
        guard let start = storage.bytes.baseAddress else { throw CoreMLFailure("a tensor without memory") }
        return try MLMultiArray(
            dataPointer: start, shape: shape.map { NSNumber(value: $0) }, dataType: type.ofCoreML,
            strides: strides.map { NSNumber(value: $0) },
            deallocator: { [storage] _ in withExtendedLifetime(storage) {} }
        )
    }

    /// The tensor itself if it is of that type; between float32 and float16 a copy without gaps; nil for others.
    ///
    /// Blocks of different precision are the one case in which a tensor is copied on its way.
    func converted(to wanted: Manifest.ElementType) -> Tensor? {
        switch (type, wanted) {
        case _ where type == wanted: self
        case (.float32, .float16): copied(Float.self, wanted) { Float16($0) }
        case (.float16, .float32): copied(Float16.self, wanted) { Float($0) }
        default: nil
        }
    }

    private func copied<From, To>(
        _: From.Type, _ wanted: Manifest.ElementType, _ convert: (From) -> To
    ) -> Tensor? {
        guard let source = storage.bytes.baseAddress?.assumingMemoryBound(to: From.self) else { return nil }
        let count = shape.reduce(1, *)
        let target = UnsafeMutablePointer<To>.allocate(capacity: count)
        var position = Array(repeating: 0, count: shape.count)
        var offset = 0
        for index in 0..<count {
            (target + index).initialize(to: convert(source[offset]))
            for dimension in shape.indices.reversed() {
                position[dimension] += 1
                offset += strides[dimension]
                if position[dimension] < shape[dimension] { break }
                offset -= position[dimension] * strides[dimension]
                position[dimension] = 0
            }
        }
        var dense = Array(repeating: 1, count: shape.count)
        for dimension in shape.indices.dropLast().reversed() {
            dense[dimension] = dense[dimension + 1] * shape[dimension + 1]
        }
        let bytes = UnsafeMutableRawBufferPointer(start: target, count: count * MemoryLayout<To>.stride)
        let made = TensorStorage(bytes) { _ in target.deallocate() }
        return Tensor(shape: shape, strides: dense, type: wanted, storage: made)
    }
}

extension Manifest.ElementType {
    var numBytes: Int { self == .float16 ? 2 : 4 }
}
