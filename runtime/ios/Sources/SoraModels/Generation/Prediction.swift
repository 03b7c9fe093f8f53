import SoraCore

/// When each pass of a schedule is predicted to end.
///
/// The schedule tells its seconds and its total. Played in virtual time it ends a little sooner, because there loads and
/// runs do not slow each other; what that gives is stretched to the total.
public struct Prediction: Equatable, Sendable {
    /// Seconds from the start, one for each pass: the end of its last run.
    public let passEndS: [Double]
    public let totalS: Double

    /// Throws PlayerError if the schedule cannot be played.
    public init(_ schedule: Schedule) throws {
        let playback = try VirtualTime.play(schedule)
        var runEndS = [Double](repeating: 0, count: schedule.visits.count)
        for span in playback.spans where span.action == .run { runEndS[span.visit] = span.endS }
        let endS = playback.spans.map(\.endS).max() ?? 0
        let stretch = endS > 0 ? schedule.predictedTotalS / endS : 1
        passEndS = schedule.passes.map { runEndS[$0.visits.upperBound - 1] * stretch }
        totalS = schedule.predictedTotalS
    }

    /// How long a pass is predicted to take, in seconds: from the end of the one before.
    public func seconds(ofPass number: Int) -> Double {
        passEndS[number] - (number > 0 ? passEndS[number - 1] : 0)
    }
}
