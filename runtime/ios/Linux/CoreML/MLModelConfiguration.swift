import Foundation

public enum MLComputeUnits: Int, Sendable {
    case cpuOnly = 0
    case cpuAndGPU = 1
    case all = 2
    case cpuAndNeuralEngine = 3
}

open class MLModelConfiguration: NSObject {
    public var computeUnits = MLComputeUnits.all
    /// nil for the package's default function.
    public var functionName: String?
    /// What Instruments calls the model; nothing else depends on it.
    public var modelDisplayName: String?

    override public init() { super.init() }
}

open class MLPredictionOptions: NSObject {
    /// Arrays to write outputs to, by their names. Core ML may write elsewhere.
    public var outputBackings: [String: Any] = [:]

    override public init() { super.init() }
}
