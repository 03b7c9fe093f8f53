import Foundation

/// Pauses and ends a capture, from any thread.
public final class HarnessControl: @unchecked Sendable {
    private let condition = NSCondition()
    private var isPaused = false
    private var isEnding = false
    private var pauses = 0
    private var note: (@Sendable (_ isPaused: Bool) -> Void)?

    public init() {}

    /// Begin nothing more, as for an app that is shown no more. What was being measured is measured anew afterwards.
    public func pause() {
        condition.withLock {
            if !isPaused { pauses += 1 }
            isPaused = true
            note?(true)
        }
    }

    public func resume() {
        condition.withLock {
            isPaused = false
            note?(false)
            condition.broadcast()
        }
    }

    /// The capture ends after what is under way, with what there is.
    public func stop() {
        condition.withLock {
            isEnding = true
            condition.broadcast()
        }
    }

    /// Who is to know of pauses from now on, also of one that goes on already; nil for nobody.
    func listen(_ note: (@Sendable (_ isPaused: Bool) -> Void)?) {
        condition.withLock {
            self.note = note
            if isPaused { note?(true) }
        }
    }

    public var isStopped: Bool { condition.withLock { isEnding } }

    /// Whether something new may begin at once.
    var isGoing: Bool { condition.withLock { !isPaused && !isEnding } }

    var numPauses: Int { condition.withLock { pauses } }

    /// Waits while it is paused. Throws Stopped.
    func check() throws {
        try condition.withLock {
            while isPaused && !isEnding { condition.wait() }
            if isEnding { throw Stopped() }
        }
    }
}

/// Whoever asked for the capture wants it no more.
struct Stopped: Error {}
