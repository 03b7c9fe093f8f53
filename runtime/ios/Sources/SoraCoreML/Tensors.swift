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
}
