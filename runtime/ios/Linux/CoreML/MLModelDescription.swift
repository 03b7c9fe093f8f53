import Foundation

open class MLModelDescription: NSObject {
    private let inputs: [String: MLFeatureDescription]
    private let outputs: [String: MLFeatureDescription]

    init(inputs: [Declared], outputs: [Declared]) {
        func descriptions(_ features: [Declared]) -> [String: MLFeatureDescription] {
            Dictionary(features.map { ($0.name, MLFeatureDescription($0)) }) { first, _ in first }
        }
        self.inputs = descriptions(inputs)
        self.outputs = descriptions(outputs)
    }

    public var inputDescriptionsByName: [String: MLFeatureDescription] { inputs }

    public var outputDescriptionsByName: [String: MLFeatureDescription] { outputs }
}

open class MLFeatureDescription: NSObject {
    private let constraint: MLMultiArrayConstraint

    init(_ declared: Declared) { constraint = MLMultiArrayConstraint(declared) }

    public var multiArrayConstraint: MLMultiArrayConstraint? { constraint }
}

open class MLMultiArrayConstraint: NSObject {
    private let declared: Declared

    init(_ declared: Declared) { self.declared = declared }

    public var shape: [NSNumber] { declared.shape.map { NSNumber(value: $0) } }

    public var dataType: MLMultiArrayDataType { declared.type }
}
