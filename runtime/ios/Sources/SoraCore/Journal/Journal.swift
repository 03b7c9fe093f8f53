/// What was being done in the app, by sessions: generations and captures of profiles. A file of JSON, one value a line.
///
///     {"format": "ondevice-sora-journal-1"}
///     {"session": "profile", "date": "2026-11-20T10:00:00.000Z"}
///     {"begin": 1, "action": "load", "component": "denoiser", …, "footprint_bytes": 41000000, "limit_bytes": 3300000000}
///     {"footprint_bytes": 230000000}
///     {"end": 1}
///     {"background": true}
///     {"closed": true}
///
/// The system ends an app without a word. What had begun in a session that was neither closed nor goes on was being done
/// when that happened.
struct Journal: Equatable, Sendable {
    static let format = "ondevice-sora-journal-1"
    static let maxFileBytes = 50_000_000
    static let mend = "It is set aside, and a new one begun"

    struct Session: Equatable, Sendable {
        struct Open: Equatable {
            let number: Int
            let begun: Ending.Begun
        }

        let purpose: Ending.Purpose
        let date: String
        fileprivate(set) var isClosed = false
        fileprivate(set) var isInBackground = false
        /// What has begun and not ended, in the order in which it began.
        fileprivate(set) var open: [Open] = []
        /// As it was written last.
        fileprivate(set) var footprintBytes: Int?
        fileprivate(set) var limitBytes: Int?

        /// nil if it was closed, or if something was under way.
        var cutShort: CutShort? {
            isClosed || !open.isEmpty ? nil : CutShort(purpose: purpose, isInBackground: isInBackground)
        }

        /// How it ended, if the app was ended while something went on.
        var ending: Ending? {
            guard !isClosed, !open.isEmpty else { return nil }
            return Ending(
                purpose: purpose, date: date, begun: open.map(\.begun), footprintBytes: footprintBytes,
                limitBytes: limitBytes, isInBackground: isInBackground)
        }
    }

    private(set) var sessions: [Session] = []

    /// How the app was ended, from the first time on.
    var endings: [Ending] { sessions.compactMap(\.ending) }

    /// The journal that `bytes` hold, and how many of them count: a last line that breaks off was being written when the
    /// app was ended, and what it would have said had not begun. Throws DocumentError for anything else.
    static func read(_ bytes: [UInt8], file: String) throws -> (journal: Journal, numBytes: Int) {
        var journal = Journal()
        let lines = JSONLines.whole(bytes)
        for (row, line) in lines.rows.enumerated() {
            let node = try JSONLines.node(line, row: row, file: file, mend: mend)
            if row == 0 {
                let found = try node.record(["format"])("format")
                guard found.value == .text(format) else { throw found.error("not a journal: expected '\(format)'") }
            } else {
                try journal.take(node)
            }
        }
        return (journal, lines.numBytes)
    }

    private mutating func take(_ node: Node) throws {
        guard case .object(let members) = node.value, let first = members.first?.key else {
            throw node.error("expected an object, found \(node.value.shown)")
        }
        if first.isExactly("session") {
            let all = try node.record(["session", "date"])
            sessions.append(Session(purpose: try all("session").choice(), date: try all("date").text(.line)))
            return
        }
        guard var session = sessions.popLast() else { throw node.error("nothing can happen before a session") }
        defer { sessions.append(session) }
        if session.isClosed { throw node.error("the session is closed") }
        switch first {
        case "begin":
            let all = try node.record(["begin", "action"] + BlockFunction.keys + ["footprint_bytes", "limit_bytes"])
            let number = try all("begin").integer(1...Int.max)
            if session.open.contains(where: { $0.number == number }) { throw node.error("\(number) has begun already") }
            let begun = Ending.Begun(action: try all("action").choice(), block: try BlockFunction(all))
            session.footprintBytes = try all("footprint_bytes").optional { try $0.integer(Schedule.bytes) }
            session.limitBytes = try all("limit_bytes").optional { try $0.integer(Schedule.bytes) }
            session.open.append(Session.Open(number: number, begun: begun))
        case "end":
            let number = try node.record(["end"])("end").integer(1...Int.max)
            guard let index = session.open.firstIndex(where: { $0.number == number }) else {
                throw node.error("\(number) has not begun")
            }
            session.open.remove(at: index)
        case "footprint_bytes":
            session.footprintBytes = try node.record(["footprint_bytes"])("footprint_bytes").integer(Schedule.bytes)
        case "background":
            session.isInBackground = try node.record(["background"])("background").flag()
        case "closed":
            guard try node.record(["closed"])("closed").flag() else { throw node.error("expected true") }
            session.isClosed = true
        default: throw node.error("'\(first.shortened(to: 60))' is nothing that a journal tells")
        }
    }
}
