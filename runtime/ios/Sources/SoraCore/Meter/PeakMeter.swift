import Foundation

/// Reads the footprint every 10 ms on a thread of its own, and keeps the largest between two marks.
///
/// `mark` and `peakBytes` take a sample too, so that what happens at once is seen, and nothing is known before `start`.
public final class PeakMeter: @unchecked Sendable {
    public static let intervalS = 0.01

    private let meter: any Meter
    private let onSample: @Sendable (Int) -> Void
    private let lock = NSLock()
    private var largest: Int?
    private var isOver: DispatchSemaphore?
    private let hasEnded = DispatchSemaphore(value: 0)

    /// `onSample` is told each sample, on whichever thread it was taken.
    public init(_ meter: any Meter, onSample: @escaping @Sendable (Int) -> Void = { _ in }) {
        self.meter = meter
        self.onSample = onSample
    }

    // The thread may be the last that has a hold of it, so this does not wait for the thread.
    deinit { isOver?.signal() }

    /// The thread begins. Nothing happens if it goes on already.
    public func start() {
        let over = DispatchSemaphore(value: 0)
        let isNew = lock.withLock {
            guard isOver == nil else { return false }
            isOver = over
            return true
        }
        guard isNew else { return }
        let thread = Thread { [weak self, hasEnded] in
            while over.wait(timeout: .now() + Self.intervalS) == .timedOut { self?.sample() }
            hasEnded.signal()
        }
        thread.name = "footprint"
        thread.qualityOfService = .userInteractive
        thread.start()
    }

    /// The thread has ended when this returns. Nothing happens if there is none.
    public func stop() {
        let over = lock.withLock {
            defer { isOver = nil }
            return isOver
        }
        guard let over else { return }
        over.signal()
        hasEnded.wait()
    }

    /// The footprint now; the largest is from here on that of what follows. nil where the system does not say.
    @discardableResult
    public func mark() -> Int? {
        let now = meter.footprintBytes()
        lock.withLock { largest = now }
        if let now { onSample(now) }
        return now
    }

    /// The largest since the last mark, in bytes; nil where the system does not say.
    public func peakBytes() -> Int? {
        sample()
        return lock.withLock { largest }
    }

    private func sample() {
        guard let now = meter.footprintBytes() else { return }
        lock.withLock { largest = max(largest ?? now, now) }
        onSample(now)
    }
}
