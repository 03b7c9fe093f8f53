/// A playback as a trace: the document that every engine writes and `ondevice-sora report` opens (records/trace.py).
public struct Trace: Sendable {
    public static let format = "ondevice-sora-trace-1"

    public enum Kind: String, Sendable { case simulated, measured }

    private let schedule: Schedule
    private let playback: Playback
    private let kind: Kind
    private let model: String

    /// `model` is the manifest's `model_name`.
    public init(_ playback: Playback, of schedule: Schedule, kind: Kind, model: String) {
        self.schedule = schedule
        self.playback = playback
        self.kind = kind
        self.model = model
    }

    /// The document's text.
    public var json: String {
        let head: KeyValuePairs = [
            "format": JSONText.text(Self.format), "kind": JSONText.text(kind.rawValue),
            "plan": JSONText.text(schedule.plan), "device": JSONText.text(schedule.device),
            "model": JSONText.text(model), "limit_bytes": "\(max(1, schedule.limitBytes))",
            "conditions": JSONText.object(["peak bytes": JSONText.text("\(playback.peakBytes)")]),
            "spans": JSONText.rows(playback.spans.map(row)), "memory": JSONText.rows(playback.samples.map(row)),
        ]
        return JSONText.object(head) + "\n"
    }

    private func row(_ span: Playback.Span) -> String {
        let block = schedule.block(of: span.visit)
        return JSONText.object([
            "lane": JSONText.text(span.action == .load ? "load" : block.lane.rawValue),
            "action": JSONText.text(span.action.rawValue), "component": JSONText.text(block.component),
            "step": "\(schedule.visits[span.visit].step)", "block": JSONText.text(block.name),
            "variant": JSONText.text(block.variant.rawValue), "start_s": JSONText.number(span.startS),
            "end_s": JSONText.number(span.endS), "bytes": "\(span.bytes)", "cold": "\(span.isFirst)",
        ])
    }

    private func row(_ sample: Playback.Sample) -> String {
        let held = sample.charges
        return JSONText.object([
            "time_s": JSONText.number(sample.timeS), "baseline": "\(held.baseline)", "resident": "\(held.resident)",
            "loading": "\(held.loading)", "working": "\(held.working)", "residual": "\(held.residual)",
        ])
    }
}
