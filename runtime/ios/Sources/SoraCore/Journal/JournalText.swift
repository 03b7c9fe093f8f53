import Foundation

/// The lines of a journal.
enum JournalText {
    static let head = line(["format": JSONText.text(Journal.format)])
    static let closed = line(["closed": "true"])

    static func session(_ purpose: Ending.Purpose, date: Date) -> String {
        session(purpose, date: self.date(date))
    }

    /// ISO 8601, with milliseconds: no two sessions of an app begin in one.
    static func date(_ date: Date) -> String {
        date.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }

    private static func session(_ purpose: Ending.Purpose, date: String) -> String {
        line(["session": JSONText.text(purpose.rawValue), "date": JSONText.text(date)])
    }

    static func begin(_ number: Int, _ begun: Ending.Begun, footprint: Int?, limit: Int?) -> String {
        let told = JSONText.members(["begin": "\(number)", "action": JSONText.text(begun.action.rawValue)])
        let measured = JSONText.members([
            "footprint_bytes": footprint.map(String.init) ?? "null",
            "limit_bytes": limit.map(String.init) ?? "null",
        ])
        return "{\(told), \(JSONText.members(begun.block.members)), \(measured)}\n"
    }

    static func end(_ number: Int) -> String { line(["end": "\(number)"]) }

    static func footprint(_ bytes: Int) -> String { line(["footprint_bytes": "\(bytes)"]) }

    static func background(_ flag: Bool) -> String { line(["background": "\(flag)"]) }

    /// A journal of these endings and nothing else.
    static func journal(_ endings: some Sequence<Ending>) -> String {
        head + endings.map(ended).joined()
    }

    private static func ended(_ ending: Ending) -> String {
        let rows = ending.begun.enumerated().map { number, begun in
            begin(number + 1, begun, footprint: ending.footprintBytes, limit: ending.limitBytes)
        }
        let place = ending.isInBackground ? background(true) : ""
        return session(ending.purpose, date: ending.date) + rows.joined() + place
    }

    private static func line(_ members: KeyValuePairs<String, String>) -> String { JSONText.object(members) + "\n" }
}
