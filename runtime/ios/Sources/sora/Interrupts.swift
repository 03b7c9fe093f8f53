import Foundation

/// Ctrl-C and SIGTERM call `stop` while the body goes on; a second one ends the program.
func whenInterrupted<Result>(_ stop: @escaping @Sendable () -> Void, _ body: () throws -> Result) rethrows -> Result {
    let sources = [SIGINT, SIGTERM].map { number in
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        source.setEventHandler {
            signal(number, SIG_DFL)
            stop()
        }
        source.activate()
        return source
    }
    defer {
        sources.forEach { $0.cancel() }
        signal(SIGINT, SIG_DFL)
        signal(SIGTERM, SIG_DFL)
    }
    return try body()
}

/// Ended by who started it, and what there is.
struct Interrupted: Error {
    let what: String
}
