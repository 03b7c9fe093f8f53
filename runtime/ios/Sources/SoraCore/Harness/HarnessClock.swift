import Foundation

/// What the harness measures time with. Tests have one of their own.
public struct HarnessClock: Sendable {
    /// Seconds from some moment on; it does not stand still nor go back.
    public let now: @Sendable () -> Double
    /// Waits so many seconds.
    public let sleep: @Sendable (Double) -> Void
    public let date: @Sendable () -> Date

    public init(
        now: @escaping @Sendable () -> Double, sleep: @escaping @Sendable (Double) -> Void,
        date: @escaping @Sendable () -> Date
    ) {
        self.now = now
        self.sleep = sleep
        self.date = date
    }

    public static let system = HarnessClock(
        now: { Double(DispatchTime.now().uptimeNanoseconds) / 1e9 },
        sleep: { Thread.sleep(forTimeInterval: $0) }, date: { Date() })
}
