import Foundation

/// Where the handler of signals writes, and when the first came, in nanoseconds: plain numbers, since little else may be
/// touched there.
private nonisolated(unsafe) var told: Int32 = -1
private nonisolated(unsafe) var firstCame: Int = 0

/// One Ctrl-C may arrive more than once: from the terminal, and from a program in between that passes it on.
private let burst = 200_000_000

/// Ctrl-C and SIGTERM call `stop` while the body goes on; a later Ctrl-C ends the program. A later SIGTERM does not:
/// `timeout` sends it twice. One that the program was started to ignore, as a script starts its jobs in the background,
/// stays ignored. All of this is as in base/interrupts.py.
///
/// From the first line of the body on, no signal is lost: a plain handler stands at once, where a dispatch source ignores
/// what comes before its queue has begun to listen.
func whenInterrupted<Result>(_ stop: @escaping @Sendable () -> Void, _ body: () throws -> Result) rethrows -> Result {
    let pipe = Pipe()
    let (reading, writing) = (pipe.fileHandleForReading, pipe.fileHandleForWriting)
    (told, firstCame) = (writing.fileDescriptor, 0)
    let noted = [SIGINT, SIGTERM].filter { !isIgnored($0) }
    for number in noted { signal(number, take) }
    Thread.detachNewThread {
        if !reading.readData(ofLength: 1).isEmpty { stop() }
    }
    defer {
        for number in noted { signal(number, SIG_DFL) }
        try? writing.close()
    }
    return try body()
}

private func isIgnored(_ number: Int32) -> Bool {
    var action = sigaction()
    return sigaction(number, nil, &action) == 0 && handler(of: action) == 1
}

/// The handler as a number: SIG_DFL is 0, SIG_IGN is 1.
private func handler(of action: sigaction) -> Int {
    #if canImport(Darwin)
        unsafeBitCast(action.__sigaction_u.__sa_handler, to: Int.self)
    #else
        unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
    #endif
}

/// The handler of signals. The one at hand is held back until it returns.
private func take(_ number: Int32) {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    let now = time.tv_sec * 1_000_000_000 + time.tv_nsec
    if firstCame == 0 {
        firstCame = now
        var byte: UInt8 = 1
        _ = write(told, &byte, 1)
    } else if number == SIGINT, now - firstCame >= burst {
        signal(number, SIG_DFL)
        raise(number)
    }
}

/// Ended by who started it, and what there is.
struct Interrupted: Error {
    let what: String
}
