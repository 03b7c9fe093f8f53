import Foundation

/// Where the handler of signals writes: a plain number, since little else may be touched there.
private nonisolated(unsafe) var told: Int32 = -1

/// Ctrl-C and SIGTERM call `stop` while the body goes on; a second one ends the program.
///
/// From the first line of the body on, no signal is lost: a plain handler stands at once, where a dispatch source ignores
/// what comes before its queue has begun to listen.
func whenInterrupted<Result>(_ stop: @escaping @Sendable () -> Void, _ body: () throws -> Result) rethrows -> Result {
    let pipe = Pipe()
    let (reading, writing) = (pipe.fileHandleForReading, pipe.fileHandleForWriting)
    told = writing.fileDescriptor
    for number in [SIGINT, SIGTERM] {
        signal(number) { number in
            signal(number, SIG_DFL)
            var byte: UInt8 = 1
            _ = write(told, &byte, 1)
        }
    }
    Thread.detachNewThread {
        if !reading.readData(ofLength: 1).isEmpty { stop() }
    }
    defer {
        signal(SIGINT, SIG_DFL)
        signal(SIGTERM, SIG_DFL)
        try? writing.close()
    }
    return try body()
}

/// Ended by who started it, and what there is.
struct Interrupted: Error {
    let what: String
}
