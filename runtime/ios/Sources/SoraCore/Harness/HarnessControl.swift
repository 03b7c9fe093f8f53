import Foundation

/// Pauses and ends a capture, from any thread.
public final class HarnessControl: @unchecked Sendable {
    private let condition = NSCondition()
    private var isPaused = false
    private var isEnding = false
    private var pauses = 0
    private var follower: (@Sendable (Bool) -> Void)?
    private var note: (@Sendable (_ isPaused: Bool) -> Void)?

    public init() {}

    /// Begin nothing more: the app is shown no more. What was being measured is measured anew afterwards.
    public func pause() {
        let told = condition.withLock {
            if !isPaused { pauses += 1 }
            isPaused = true
            return follower
        }
        told?(true)
    }

    public func resume() {
        let told = condition.withLock {
            isPaused = false
            condition.broadcast()
            return follower
        }
        told?(false)
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

    /// `told` hears whether it is paused, if it is and whenever that changes; nil for nobody any more.
    func follow(_ told: (@Sendable (Bool) -> Void)?) {
        let isToBeTold = condition.withLock {
            follower = told
            return isPaused
        }
        if isToBeTold { told?(true) }
    }

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
