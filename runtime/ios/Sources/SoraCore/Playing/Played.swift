/// What was played: the steps, how long each part took, and what a trace is made of. Times are seconds.
public struct Played: Sendable {
    public struct Step: Sendable {
        public let step: Sampler.Step
        /// Of the network's evaluation and what follows it.
        public let seconds: Double
    }

    public let request: Request
    public let playback: Playback
    public let steps: [Step]
    /// Loading what the schedule expects in memory.
    public let setUpS: Double
    public let textEncoderS: Double
    public let decoderS: Double
    /// From the first to the last, until the video was whole.
    public let totalS: Double

    /// What the meter said before and after.
    public let thermalBefore: ThermalState
    public let thermalAfter: ThermalState
    /// nil where there is no such mode.
    public let isLowPowerMode: Bool?

    /// What a trace tells of them.
    public var facts: [String: String] {
        var facts = ["set-up": "\(Self.milliseconds(setUpS))", "total with set-up": "\(Self.milliseconds(totalS))"]
        let changes = playback.heat.dropFirst().map { ", \($0.state.rawValue) from \(Self.milliseconds($0.timeS))" }
        facts["thermal state"] =
            "\(thermalBefore.rawValue) before\(changes.joined()), \(thermalAfter.rawValue) after"
        facts["low power mode"] = isLowPowerMode.map { $0 ? "on" : "off" }
        facts["pauses"] = "\(playback.numPauses), \(Self.milliseconds(playback.pausedS))"
        facts["memory warnings"] = "\(playback.numMemoryWarnings)"
        if playback.savesMemory { facts["loads"] = "none beside a run, to save memory" }
        return facts
    }

    private static func milliseconds(_ seconds: Double) -> String { "\((seconds * 1000).rounded() / 1000) s" }

    public var denoiserS: Double { steps.reduce(0) { $0 + $1.seconds } }

    /// `lapsS` are those of set-up, text encoder, each step and decoder.
    init(
        request: Request, playback: Playback, steps: [Sampler.Step], lapsS: [Double], totalS: Double,
        thermal: (before: ThermalState, after: ThermalState), isLowPowerMode: Bool?
    ) {
        precondition(lapsS.count == steps.count + 3, "a lap for each part")
        self.request = request
        self.playback = playback
        self.totalS = totalS
        (thermalBefore, thermalAfter) = thermal
        self.isLowPowerMode = isLowPowerMode
        (setUpS, textEncoderS, decoderS) = (lapsS[0], lapsS[1], lapsS[lapsS.count - 1])
        self.steps = zip(steps, lapsS.dropFirst(2)).map { Step(step: $0, seconds: $1) }
    }
}
