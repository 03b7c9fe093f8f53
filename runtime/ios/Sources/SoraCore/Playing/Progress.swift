/// What a generation tells while it goes on. Times are seconds from its start.
public enum Progress: Sendable {
    /// A pass of a component has begun.
    case began(component: String, step: Int)
    /// A load, a run or an eviction has ended.
    case acted(Playback.Span)
    /// What is charged by the ledger from now on, and what the system says, if it does.
    case memory(timeS: Double, charges: Charges, footprintBytes: Int?)
    /// The sampler has taken a step.
    case stepped(Sampler.Step)
    /// So many frames of the video have been written.
    case decoded(numFrames: Int, of: Int)
    /// A load has taken so long and goes on: Core ML does not say how far it is.
    case waits(block: String, seconds: Double)
    case paused
    case resumed
}
