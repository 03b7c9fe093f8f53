import Foundation

/// Quantities for people, as Python writes them (base/units.py). Inside the code there are only bytes and seconds.
public enum Figures {
    /// Three figures: 3.30 GB, 170 MB, 12.0 kB, of 10^9, 10^6 and 10^3 bytes.
    public static func bytes(_ count: Int) -> String {
        for (factor, unit) in [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")] where Double(count.magnitude) >= factor * 0.9995 {
            return "\(threeFigures(Double(count) / factor)) \(unit)"
        }
        return "\(count) B"
    }

    /// 1 h 05 min, 18 min 44 s, 35.4 s, 12.3 ms.
    public static func seconds(_ seconds: Double) -> String {
        if seconds >= 119.5 {
            let whole = Int(min(seconds, 1e12).rounded(.toNearestOrEven))
            let (hours, minutes) = (whole / 3600, whole / 60 % 60)
            return hours > 0
                ? "\(hours) h \(String(format: "%02d", minutes)) min"
                : "\(minutes) min \(String(format: "%02d", whole % 60)) s"
        }
        return seconds >= 0.9995 || seconds == 0
            ? "\(threeFigures(seconds)) s" : "\(threeFigures(seconds * 1e3)) ms"
    }

    /// A share of one as a percentage with the figures that mean something: 4.2 %, 87 %.
    public static func percent(_ share: Double) -> String {
        String(format: share.magnitude < 0.1 ? "%.1f %%" : "%.0f %%", share * 100)
    }

    /// A number, with a point only if it is not whole: 24, 23.976.
    public static func plain(_ number: Double) -> String { String(format: "%g", number) }

    private static func threeFigures(_ value: Double) -> String {
        let decimals = value.magnitude >= 99.95 ? 0 : value.magnitude >= 9.995 ? 1 : 2
        return String(format: "%.\(decimals)f", value)
    }
}
