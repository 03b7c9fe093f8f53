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

    public var denoiserS: Double { steps.reduce(0) { $0 + $1.seconds } }

    /// `lapsS` are those of set-up, text encoder, each step and decoder.
    init(request: Request, playback: Playback, steps: [Sampler.Step], lapsS: [Double], totalS: Double) {
        precondition(lapsS.count == steps.count + 3, "a lap for each part")
        self.request = request
        self.playback = playback
        self.totalS = totalS
        (setUpS, textEncoderS, decoderS) = (lapsS[0], lapsS[1], lapsS[lapsS.count - 1])
        self.steps = zip(steps, lapsS.dropFirst(2)).map { Step(step: $0, seconds: $1) }
    }
}
