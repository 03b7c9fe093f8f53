/// Walks one latent from noise to data: a velocity at each step, until the last or a leap.
public struct Sampler: Sendable {
    /// What one step did. `time` is on the scale of the manifest's time steps.
    public struct Step: Equatable, Sendable {
        public let number: Int
        public let time: Double
        public let leapt: Bool
        public let cosine: Double?
        /// The estimated error of leaping, relative to the result.
        public let error: Double?
    }

    private let sampling: Manifest.Sampling
    private var watcher: LeapWatcher
    private var before: (drift: [Float], length: Double)?
    /// [latentShape], row by row.
    public private(set) var latent: [Float]
    /// The step that comes next, counted from 0; nil at the end.
    public private(set) var nextStep: Int? = 0

    /// From the noise of a seed, or from other values of the same shape.
    public init(_ sampling: Manifest.Sampling, leap: Schedule.Leap, seed: UInt64) {
        let noise = Noise.values(seed: seed, count: sampling.latentShape.reduce(1, *))
        self.init(sampling, leap: leap, noise: noise)
    }

    init(_ sampling: Manifest.Sampling, leap: Schedule.Leap, noise: [Float]) {
        self.sampling = sampling
        watcher = LeapWatcher(leap, latentShape: sampling.latentShape)
        latent = noise
    }

    /// What the network reads as the time of the next step; nil at the end.
    public var time: Double? { nextStep.map { sampling.timesteps[$0] } }

    /// Takes the network's velocity at the next step, [branches, channels, frames, rows, columns]. At the end, and for a
    /// velocity of another size than the manifest's, nil.
    public mutating func take(velocity: [Float]) -> Step? {
        let rest = sampling.latentShape.dropFirst().reduce(1, *)
        let count = sampling.latentChannels * rest
        guard let step = nextStep, latent.count == count, velocity.count % sampling.branches == 0,
            velocity.count / sampling.branches >= count
        else { return nil }
        let time = sampling.timesteps[step]
        let drift = Euler.drift(
            velocity: velocity, batch: sampling.branches, latentChannels: sampling.latentChannels, rest: rest,
            guidance: sampling.guidance)
        let verdict = watcher.observe(step: step, time: time / sampling.timeScale, latent: latent, drift: drift)
        let isLast = verdict.leaps || step == sampling.timesteps.count - 1
        let timeAfter = isLast ? 0 : sampling.timesteps[step + 1]
        var along = verdict.leaps ? verdict.drift : drift
        if sampling.solver == .ab2 {
            if let before, !verdict.leaps {
                along = Euler.ahead(
                    drift: drift, previous: before.drift, length: time - timeAfter, previousLength: before.length)
            }
            before = (drift, time - timeAfter)
        }
        latent = Euler.step(
            latent: latent, drift: along, time: time, timeAfter: timeAfter, timeScale: sampling.timeScale)
        nextStep = isLast ? nil : step + 1
        return Step(number: step, time: time, leapt: verdict.leaps, cosine: verdict.cosine, error: verdict.error)
    }
}
