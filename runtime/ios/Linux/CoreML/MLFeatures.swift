import Foundation

/// An Objective-C protocol on Apple's systems: only classes can conform.
public protocol MLFeatureProvider: AnyObject {
    var featureNames: Set<String> { get }
    func featureValue(for featureName: String) -> MLFeatureValue?
}

open class MLFeatureValue: NSObject {
    private let array: MLMultiArray

    init(_ array: MLMultiArray) { self.array = array }

    public convenience init(multiArray value: MLMultiArray) { self.init(value) }

    public var multiArrayValue: MLMultiArray? { array }
}

open class MLDictionaryFeatureProvider: NSObject, MLFeatureProvider {
    private let values: [String: MLFeatureValue]

    /// Values are MLFeatureValue or MLMultiArray here; Core ML takes more.
    public init(dictionary: [String: Any]) throws {
        values = try dictionary.mapValues { value in
            if let found = value as? MLFeatureValue { return found }
            guard let array = value as? MLMultiArray else {
                throw StandIn.error("a feature cannot be a \(Swift.type(of: value))")
            }
            return MLFeatureValue(array)
        }
    }

    public var featureNames: Set<String> { Set(values.keys) }

    public func featureValue(for featureName: String) -> MLFeatureValue? { values[featureName] }
}
