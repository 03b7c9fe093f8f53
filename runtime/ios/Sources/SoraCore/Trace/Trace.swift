/// A playback as a trace: the document that every engine writes and `ondevice-sora report` opens (records/trace.py).
public struct Trace: Sendable {
    public static let format = "ondevice-sora-trace-1"

    public enum Kind: String, Sendable { case simulated, measured }

    /// Where and how a trace was measured.
    public struct Conditions: Sendable {
        /// As the catalogue names it, or in words.
        public let device: String
        /// Where the blocks ran, nil for what the schedule takes them to run on: Core ML does not say.
        public let lane: Schedule.Lane?
        /// Lines by name, such as the system's version.
        public let facts: [String: String]

        public init(device: String, lane: Schedule.Lane? = nil, facts: [String: String] = [:]) {
            self.device = device
            self.lane = lane
            self.facts = facts
        }

        /// Of the system that this runs on; by default its machine is the device.
        public init(_ names: SystemNames, device: String? = nil, lane: Schedule.Lane? = nil) {
            let facts = ["machine": names.machine, "os": names.os, "os build": names.osBuild]
            self.init(device: device ?? names.machine, lane: lane, facts: facts.filter { !$0.value.isEmpty })
        }
    }

    private let schedule: Schedule
    private let playback: Playback
    private let kind: Kind
    private let model: String
    private let conditions: Conditions
    private let limitBytes: Int

    /// What the schedule says of its own device. `model` is the manifest's `model_name`.
    public init(simulated playback: Playback, of schedule: Schedule, model: String) {
        self.schedule = schedule
        self.playback = playback
        kind = .simulated
        self.model = model
        conditions = Conditions(device: schedule.device, facts: ["peak bytes": "\(playback.peakBytes)"])
        limitBytes = schedule.limitBytes
    }

    /// What happened. Memory is the ledger's; `footprint`, where it was sampled, is what the system charged the app.
    public init(measured playback: Playback, of export: Export, _ conditions: Conditions) {
        schedule = export.schedule
        self.playback = playback
        kind = .measured
        model = export.manifest.modelName
        var facts = conditions.facts
        facts["schedule"] = "for \(schedule.device), priced by \(schedule.profile)"
        facts["peak bytes"] = "\(playback.peakBytes)"
        facts["lanes"] = conditions.lane == nil ? "as the schedule has them; Core ML does not say" : nil
        facts["measured peak bytes"] = playback.footprint.map(\.bytes).max().map { "\($0)" }
        self.conditions = Conditions(device: conditions.device, lane: conditions.lane, facts: facts)
        limitBytes = schedule.budgetBytes ?? schedule.limitBytes
    }

    /// What was played, and how it was measured.
    public init(_ played: Played, of export: Export, _ conditions: Conditions) {
        let facts = conditions.facts.merging(played.facts) { told, _ in told }
        self.init(
            measured: played.playback, of: export,
            Conditions(device: conditions.device, lane: conditions.lane, facts: facts))
    }

    /// What was played of a generation that broke off; nil if nothing was.
    public init?(brokenOff playback: Playback, by error: any Error, of export: Export, _ conditions: Conditions) {
        if playback.spans.isEmpty { return nil }
        var facts = conditions.facts
        facts["broke off"] = Driver.reason(error)
        facts["pauses"] = "\(playback.numPauses)"
        facts["memory warnings"] = "\(playback.numMemoryWarnings)"
        self.init(
            measured: playback, of: export,
            Conditions(device: conditions.device, lane: conditions.lane, facts: facts))
    }

    /// The document's text.
    public var json: String {
        let facts = conditions.facts.sorted { $0.key < $1.key }.map {
            "\(JSONText.text($0.key)): \(JSONText.text($0.value))"
        }
        var members = [
            ("format", JSONText.text(Self.format)), ("kind", JSONText.text(kind.rawValue)),
            ("plan", JSONText.text(schedule.plan)), ("device", JSONText.text(conditions.device)),
            ("model", JSONText.text(model)), ("limit_bytes", "\(max(1, limitBytes))"),
            ("conditions", "{\(facts.joined(separator: ", "))}"), ("spans", JSONText.rows(playback.spans.map(row))),
            ("memory", JSONText.rows(playback.samples.map(row))),
        ]
        if !playback.footprint.isEmpty {
            let rows = playback.footprint.map { "[\(JSONText.number($0.timeS)), \($0.bytes)]" }
            members.append(("footprint", JSONText.rows(rows)))
        }
        return "{" + members.map { "\(JSONText.text($0.0)): \($0.1)" }.joined(separator: ", ") + "}\n"
    }

    private func row(_ span: Playback.Span) -> String {
        let block = schedule.block(of: span.visit)
        return JSONText.object([
            "lane": JSONText.text(span.action == .load ? "load" : (conditions.lane ?? block.lane).rawValue),
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
