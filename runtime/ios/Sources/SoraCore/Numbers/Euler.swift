/// Steps along a rectified flow, with guidance. The velocity points from noise to data.
public enum Euler {
    /// The guided drift, [latentChannels, rest], of a velocity [batch, channels, rest] of which the first
    /// `latentChannels` channels count: v_uncond + guidance (v_cond - v_uncond), the conditional sample first; of a
    /// batch of one, which a guidance of 1 has, v_cond. `rest` is the number of values of a channel.
    public static func drift(
        velocity: [Float], batch: Int, latentChannels: Int, rest: Int, guidance: Double
    ) -> [Float] {
        precondition(batch >= 1 && velocity.count % batch == 0, "a velocity is a batch of samples")
        let count = latentChannels * rest
        let sample = velocity.count / batch
        precondition(count <= sample, "a velocity has at least the latent's channels")
        let conditional = velocity[..<count]
        guard batch > 1 else { return Array(conditional) }
        let scale = Float(guidance)
        return zip(conditional, velocity[sample..<sample + count]).map { conditional, unconditional in
            unconditional + scale * (conditional - unconditional)
        }
    }

    /// What a two-step Adams-Bashforth step goes along: the drift as it is expected to be in the middle of the step.
    /// Both lengths are differences of times, of this step and of the one before.
    public static func ahead(drift: [Float], previous: [Float], length: Double, previousLength: Double) -> [Float] {
        let weight = Float(length / (2 * previousLength))
        return zip(drift, previous).map { $0 + ($0 - $1) * weight }
    }

    /// The latent at `timeAfter`, 0 after the last step: z + v (time - timeAfter) / timeScale, in Float.
    public static func step(
        latent: [Float], drift: [Float], time: Double, timeAfter: Double, timeScale: Double
    ) -> [Float] {
        let length = Float((time - timeAfter) / timeScale)
        return zip(latent, drift).map { $0 + $1 * length }
    }
}
