/// Memory that tensors lie in: given back when the last tensor in it is gone.
public final class TensorStorage: @unchecked Sendable {
    /// Whom the memory belongs to, kept alive with it: a Core ML array, or nobody.
    public let owner: AnyObject?
    public let numBytes: Int
    private let place: () -> UnsafeMutableRawPointer?
    private let release: () -> Void

    /// Memory of somebody else, who is kept alive, or told to release it.
    public init(
        _ bytes: UnsafeMutableRawBufferPointer, owner: AnyObject? = nil,
        release: @escaping (UnsafeMutableRawBufferPointer) -> Void = { _ in }
    ) {
        self.owner = owner
        numBytes = bytes.count
        place = { bytes.baseAddress }
        self.release = { release(bytes) }
    }

    /// Memory whose owner is asked where it is only when somebody reads it: that may bring it from another processor.
    public init(owner: AnyObject, numBytes: Int, place: @escaping () -> UnsafeMutableRawPointer) {
        self.owner = owner
        self.numBytes = numBytes
        self.place = place
        release = {}
    }

    public var bytes: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: place(), count: numBytes)
    }

    deinit { release() }
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
