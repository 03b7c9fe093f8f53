import Foundation

/// The raw values are Apple's.
public enum MLMultiArrayDataType: Int, Sendable {
    case double = 0x10040
    case float32 = 0x10020
    case float16 = 0x10010
    case int32 = 0x20020
}

open class MLMultiArray: NSObject {
    let layout: Layout
    /// By whom it was made.
    let origin: Origin
    private let memory: UnsafeMutableRawPointer
    private let giveBack: (UnsafeMutableRawPointer) -> Void

    enum Origin: String, Sendable {
        /// A prediction's result.
        case returned
        /// Around memory of the caller's.
        case wrapped
        /// For the caller.
        case allocated
    }

    init(_ layout: Layout, _ memory: UnsafeMutableRawPointer, _ origin: Origin, pages: Pages? = nil) {
        self.layout = layout
        self.memory = memory
        self.origin = origin
        giveBack = { _ in pages?.giveBack() }
    }

    public init(shape: [NSNumber], dataType: MLMultiArrayDataType) throws {
        layout = .dense(try Layout.checked(shape), dataType)
        let pages = try Pages(numBytes: layout.numBytes)
        memory = pages.start
        origin = .allocated
        giveBack = { _ in pages.giveBack() }
    }

    public init(
        dataPointer: UnsafeMutableRawPointer, shape: [NSNumber], dataType: MLMultiArrayDataType, strides: [NSNumber],
        deallocator: ((UnsafeMutableRawPointer) -> Void)? = nil
    ) throws {
        guard strides.count == shape.count else {
            throw StandIn.error("\(strides.count) strides for \(shape.count) dimensions")
        }
        layout = Layout(shape: try Layout.checked(shape), strides: strides.map(\.intValue), type: dataType)
        memory = dataPointer
        origin = .wrapped
        giveBack = deallocator ?? { _ in }
    }

    deinit { giveBack(memory) }

    public var dataType: MLMultiArrayDataType { layout.type }

    public var shape: [NSNumber] { layout.shape.map { NSNumber(value: $0) } }

    /// In elements.
    public var strides: [NSNumber] { layout.strides.map { NSNumber(value: $0) } }

    public var dataPointer: UnsafeMutableRawPointer {
        if origin == .returned { StandIn.shared.count { $0.arraysRead += 1 } }
        return memory
    }

    /// For the stand-in's own use: that Core ML reads an array is no copy of the caller's.
    var view: ArrayView { ArrayView(layout: layout, start: memory) }
}
