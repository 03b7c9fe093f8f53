// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The names are Apple's.

// What of Apple's module os is used: signposts, and how much memory is left.

private func stub() -> Never { fatalError("a stub of os: for type-checking only") }

public struct OSLogPrivacy {
    public static var `public`: OSLogPrivacy { stub() }
    public static var auto: OSLogPrivacy { stub() }
}
public struct OSLogInterpolation: StringInterpolationProtocol {
    public init(literalCapacity: Int, interpolationCount: Int) { stub() }
    public mutating func appendLiteral(_ literal: String) { stub() }
    public mutating func appendInterpolation(
        _ argumentString: @autoclosure @escaping () -> String, privacy: OSLogPrivacy = .auto
    ) { stub() }
}
public struct OSLogMessage: ExpressibleByStringInterpolation, ExpressibleByStringLiteral {
    public init(stringInterpolation: OSLogInterpolation) { stub() }
    public init(stringLiteral value: String) { stub() }
}
public typealias SignpostMetadata = OSLogMessage

public final class OSLog: @unchecked Sendable {
    public struct Category: Sendable {
        public static let pointsOfInterest = Category()
    }
}
public struct OSSignpostID: Sendable {
    public static let exclusive = OSSignpostID()
}
public struct OSSignposter: Sendable {
    public init(subsystem: String, category: OSLog.Category) { stub() }
    public func makeSignpostID() -> OSSignpostID { stub() }
    public func withIntervalSignpost<T>(
        _ name: StaticString, id: OSSignpostID = .exclusive, _ message: SignpostMetadata, around task: () throws -> T
    ) rethrows -> T { stub() }
}

public func os_proc_available_memory() -> Int { stub() }
