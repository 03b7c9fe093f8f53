/// What the JSON beside a video says: everything needed to make it again, and how it came about.
public struct Sidecar: Sendable {
    public static let format = "ondevice-sora-played-1"

    private let played: Played
    private let export: Export
    private let video: String
    private let how: String

    /// `video` is the file's name, `how` a sentence about what ran it, and where.
    public init(_ played: Played, of export: Export, video: String, how: String) {
        self.played = played
        self.export = export
        self.video = video
        self.how = how
    }

    /// The document's text.
    public var json: String {
        let (manifest, schedule, request) = (export.manifest, export.schedule, played.request)
        let size: KeyValuePairs = [
            "file": JSONText.text(video), "width": "\(manifest.decoding.width)",
            "height": "\(manifest.decoding.height)",
            "frames": "\(manifest.decoding.numFrames)", "fps": JSONText.number(manifest.sampling.fps),
        ]
        let document: KeyValuePairs = [
            "format": JSONText.text(Self.format), "how": JSONText.text(how),
            "prompt": request.prompt.map(JSONText.text) ?? "null", "input_ids": "\(request.ids)",
            "attention_mask": "\(request.mask)", "seed": "\(request.seed)", "model": JSONText.text(manifest.modelName),
            "weights": JSONText.text(manifest.weights), "plan": JSONText.text(schedule.plan),
            "plan_sha256": JSONText.text(schedule.planSHA256),
            "manifest_sha256": JSONText.text(schedule.manifestSHA256),
            "schedule_for": JSONText.text(schedule.device), "profile_sha256": JSONText.text(schedule.profileSHA256),
            "video": JSONText.object(size), "solver": JSONText.text(manifest.sampling.solver.rawValue),
            "num_evaluations": "\(played.steps.count)",
            "leap_step": played.steps.last.flatMap { $0.step.leapt ? "\($0.step.number)" : nil } ?? "null",
            "steps": JSONText.rows(played.steps.map(row)), "set_up_s": JSONText.number(played.setUpS),
            "text_encoder_s": JSONText.number(played.textEncoderS), "denoiser_s": JSONText.number(played.denoiserS),
            "decoder_s": JSONText.number(played.decoderS), "total_s": JSONText.number(played.totalS),
        ]
        return JSONText.object(document) + "\n"
    }

    private func row(_ step: Played.Step) -> String {
        JSONText.object([
            "step": "\(step.step.number)", "timestep": JSONText.number(step.step.time), "leapt": "\(step.step.leapt)",
            "cosine": number(step.step.cosine), "estimated_error": number(step.step.error),
            "seconds": JSONText.number(step.seconds),
        ])
    }

    private func number(_ number: Double?) -> String {
        number.flatMap { $0.isFinite ? JSONText.number($0) : nil } ?? "null"
    }
}
