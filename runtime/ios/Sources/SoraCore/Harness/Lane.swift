import Dispatch
import Foundation

/// One thing after another, beside what another lane does. Each has a pool of its own for what Core ML leaves.
final class Lane: Sendable {
    private let queue: DispatchQueue

    init(_ name: String) { queue = DispatchQueue(label: name, qos: .userInitiated) }

    /// Does the work and waits for it.
    func now<Result>(_ work: () throws -> Result) rethrows -> Result {
        try queue.sync { try autoreleasepool(invoking: work) }
    }

    /// Does the work beside what follows.
    func beside(_ work: @escaping @Sendable (Beside) throws -> Void) -> Beside {
        let beside = Beside(queue)
        queue.async {
            beside.end(Result { try work(beside) })
        }
        return beside
    }
}

/// Work that goes on in a lane.
final class Beside: @unchecked Sendable {
    private let queue: DispatchQueue
    private let lock = NSLock()
    private let hasBegun = DispatchSemaphore(value: 0)
    private let hasEnded = DispatchSemaphore(value: 0)
    private var result: Result<Void, any Error>?
    private var isToEnd = false

    fileprivate init(_ queue: DispatchQueue) { self.queue = queue }

    /// The work itself asks whether it is to end.
    var isWanted: Bool { lock.withLock { !isToEnd } }

    /// The work says that what others wait for goes on from here.
    func begin() { hasBegun.signal() }

    fileprivate func end(_ result: Result<Void, any Error>) {
        lock.withLock { self.result = result }
        hasBegun.signal()
        hasEnded.signal()
    }

    /// Waits until the work has said so, or has ended. Once.
    func waitForBegin() { hasBegun.wait() }

    /// Tells it to end, waits until it has and has let go of what it used, and throws what it has thrown. Once.
    func finish() throws {
        lock.withLock { isToEnd = true }
        hasEnded.wait()
        queue.sync {}
        try lock.withLock { result }?.get()
    }
}
