/// Memory that tensors lie in: given back when the last tensor in it is gone.
public final class TensorStorage: @unchecked Sendable {
    public let bytes: UnsafeMutableRawBufferPointer
    /// Whom the memory belongs to, kept alive with it: a Core ML array, or nobody.
    public let owner: AnyObject?
    private let release: (UnsafeMutableRawBufferPointer) -> Void

    /// Memory of somebody else, who is kept alive, or told to release it.
    public init(
        _ bytes: UnsafeMutableRawBufferPointer, owner: AnyObject? = nil,
        release: @escaping (UnsafeMutableRawBufferPointer) -> Void = { _ in }
    ) {
        self.bytes = bytes
        self.owner = owner
        self.release = release
    }

    deinit { release(bytes) }
}

/// Values on the way from block to block. Nothing is copied: a tensor lies where it was made, as it was made.
public struct Tensor: @unchecked Sendable {
    public let shape: [Int]
    /// In elements, from one index to the next of each dimension.
    public let strides: [Int]
    public let type: Manifest.ElementType
    public let storage: TensorStorage

    public init(shape: [Int], strides: [Int], type: Manifest.ElementType, storage: TensorStorage) {
        self.shape = shape
        self.strides = strides
        self.type = type
        self.storage = storage
    }
}
