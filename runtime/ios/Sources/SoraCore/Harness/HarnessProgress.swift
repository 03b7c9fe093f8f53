/// What a capture tells while it goes on.
public enum HarnessProgress: Equatable, Sendable {
    /// One of all functions is measured from here on; `number` counts from 1.
    case measures(BlockFunction, number: Int, of: Int)
    /// It was measured by an earlier session.
    case isMeasured(BlockFunction, number: Int, of: Int)
    /// It has ended the app too often to be tried again.
    case isLeftOut(BlockFunction, number: Int, of: Int)
    /// The device is too hot; so many seconds have been waited.
    case cools(ThermalState, seconds: Double)
    /// A load or a run has ended.
    case acted(Ending.Action, BlockFunction, seconds: Double)
    /// The capture has it.
    case measured(Capture.Block)
    /// The capture has the reason.
    case failed(Capture.Failure)
}
