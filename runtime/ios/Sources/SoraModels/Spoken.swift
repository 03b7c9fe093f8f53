import Foundation
import SoraCore

/// Texts as VoiceOver should say them.
public enum Spoken {
    /// Parts as sentences; empty ones are left out.
    public static func sentence(_ parts: [String]) -> String {
        parts.filter { !$0.isEmpty }.map { units($0) }.joined(separator: ". ")
    }

    private static let words = [
        "GB": "gigabytes", "MB": "megabytes", "kB": "kilobytes", "B": "bytes", "h": "hours", "min": "minutes",
        "s": "seconds", "ms": "milliseconds", "%": "percent", "x": "by",
    ]

    /// Units behind numbers written out: "2.52 GB" becomes "2.52 gigabytes".
    static func units(_ text: String) -> String {
        var said: [String] = []
        for part in text.split(separator: " ", omittingEmptySubsequences: false) {
            let bare = part.trimmingCharacters(in: CharacterSet(charactersIn: ".,:;()"))
            let isBehindANumber = said.last?.last.map { $0.isNumber } ?? false
            guard isBehindANumber, let word = words[bare] else {
                said.append(String(part))
                continue
            }
            said.append(part.replacingOccurrences(of: bare, with: word))
        }
        return said.joined(separator: " ").replacingOccurrences(of: " ·", with: ",")
    }
}
