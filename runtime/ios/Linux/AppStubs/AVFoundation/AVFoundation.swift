// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The names are Apple's.

@_exported import Dispatch
@_exported import Foundation

private func stub() -> Never { fatalError("a stub of AVFoundation: for type-checking only") }

@MainActor open class AVPlayer: NSObject {
    public init(url: URL) { stub() }
}

// Movies

public typealias CMTimeValue = Int64
public typealias CMTimeScale = Int32
public struct CMTime: Sendable {
    public init(value: CMTimeValue, timescale: CMTimeScale) { stub() }
    public static let zero = CMTime(value: 0, timescale: 1)
}
public struct AVFileType: Hashable, RawRepresentable, Sendable {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    public static let mp4 = AVFileType(rawValue: "public.mpeg-4")
}
public struct AVMediaType: Hashable, RawRepresentable, Sendable {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    public static let video = AVMediaType(rawValue: "vide")
}
public struct AVVideoCodecType: Hashable, RawRepresentable, Sendable {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    public static let h264 = AVVideoCodecType(rawValue: "avc1")
}
public let AVVideoCodecKey = "AVVideoCodecKey"
public let AVVideoWidthKey = "AVVideoWidthKey"
public let AVVideoHeightKey = "AVVideoHeightKey"
public let AVVideoCompressionPropertiesKey = "AVVideoCompressionPropertiesKey"
public let AVVideoAverageBitRateKey = "AverageBitRate"

public struct AVError: Error {
    public enum Code: Int, Sendable {
        case unknown = -11800
        case operationInterrupted = -11847
    }
    public var code: Code { stub() }
}

open class AVAssetWriter: NSObject {
    public enum Status: Int, Sendable { case unknown, writing, completed, failed, cancelled }
    public init(outputURL: URL, fileType outputFileType: AVFileType) throws { stub() }
    public var status: Status { stub() }
    public var error: (any Error)? { stub() }
    public func canAdd(_ input: AVAssetWriterInput) -> Bool { stub() }
    public func add(_ input: AVAssetWriterInput) { stub() }
    public func startWriting() -> Bool { stub() }
    public func startSession(atSourceTime startTime: CMTime) { stub() }
    public func finishWriting(completionHandler handler: @escaping @Sendable () -> Void) { stub() }
    public func cancelWriting() { stub() }
}
open class AVAssetWriterInput: NSObject {
    public init(mediaType: AVMediaType, outputSettings: [String: Any]?) { stub() }
    public var expectsMediaDataInRealTime: Bool {
        get { stub() }
        set { stub() }
    }
    public var isReadyForMoreMediaData: Bool { stub() }
    public func markAsFinished() { stub() }
}
open class AVAssetWriterInputPixelBufferAdaptor: NSObject {
    public init(assetWriterInput input: AVAssetWriterInput, sourcePixelBufferAttributes: [String: Any]? = nil) {
        stub()
    }
    public var pixelBufferPool: CVPixelBufferPool? { stub() }
    public func append(_ pixelBuffer: CVPixelBuffer, withPresentationTime presentationTime: CMTime) -> Bool { stub() }
}

// Pixel buffers

public final class CVPixelBuffer {}
public final class CVPixelBufferPool {}
public final class CFAllocator {}
public typealias OSType = UInt32
public typealias CVReturn = Int32
public struct CVPixelBufferLockFlags: OptionSet, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
}
public let kCVReturnSuccess: CVReturn = 0
public let kCVPixelFormatType_32BGRA: OSType = 0x4247_5241
// CFString there, and `as String` makes a String of them; on Linux there is no such bridge, and `as String` does nothing.
public let kCVPixelBufferPixelFormatTypeKey = "PixelFormatType"
public let kCVPixelBufferWidthKey = "Width"
public let kCVPixelBufferHeightKey = "Height"

public func CVPixelBufferPoolCreatePixelBuffer(
    _ allocator: CFAllocator?, _ pixelBufferPool: CVPixelBufferPool,
    _ pixelBufferOut: UnsafeMutablePointer<CVPixelBuffer?>
) -> CVReturn { stub() }
public func CVPixelBufferLockBaseAddress(_ pixelBuffer: CVPixelBuffer, _ lockFlags: CVPixelBufferLockFlags) -> CVReturn
{
    stub()
}
@discardableResult
public func CVPixelBufferUnlockBaseAddress(_ pixelBuffer: CVPixelBuffer, _ unlockFlags: CVPixelBufferLockFlags)
    -> CVReturn
{ stub() }
public func CVPixelBufferGetBaseAddress(_ pixelBuffer: CVPixelBuffer) -> UnsafeMutableRawPointer? { stub() }
public func CVPixelBufferGetBytesPerRow(_ pixelBuffer: CVPixelBuffer) -> Int { stub() }
