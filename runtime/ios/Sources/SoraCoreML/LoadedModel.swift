@preconcurrency import CoreML
import Foundation
import SoraCore

/// A function in memory, called as the manifest has it.
final class LoadedModel {
    private let model: MLModel
    private let function: Manifest.Function

    init(_ model: MLModel, _ function: Manifest.Function) {
        self.model = model
        self.function = function
    }

    /// Throws CoreMLFailure unless the model declares the manifest's inputs and outputs.
    func check() throws {
        let description = model.modelDescription
        try compare(function.inputs, with: description.inputDescriptionsByName, "input")
        try compare(function.outputs, with: description.outputDescriptionsByName, "output")
    }

    private func compare(
        _ features: [Manifest.Feature], with declared: [String: MLFeatureDescription], _ kind: String
    ) throws {
        for feature in features {
            let constraint = declared[feature.feature]?.multiArrayConstraint
            let found = constraint.map { ArrayForm(shape: $0.shape, type: $0.dataType) }
            guard let found, found == ArrayForm(feature) else {
                let told = found.map { "\($0)" } ?? "not there"
                throw CoreMLFailure(
                    function, "\(kind) '\(feature.feature)' is \(told); the manifest has \(ArrayForm(feature))")
            }
        }
        if let other = Set(declared.keys).subtracting(features.map(\.feature)).min() {
            throw CoreMLFailure(function, "\(kind) '\(other)' is not in the manifest")
        }
    }

    /// The outputs, in the arrays that Core ML returns. Throws CoreMLFailure.
    func run(_ inputs: [String: Tensor], offersBackings: Bool) throws -> [String: Tensor] {
        let features = try function.inputs.map { ($0.feature, try array(of: inputs[$0.feature], for: $0)) }
        let options = MLPredictionOptions()
        if offersBackings { options.outputBackings = try backings() }
        let result: any MLFeatureProvider
        do {
            let input = try MLDictionaryFeatureProvider(dictionary: Dictionary(uniqueKeysWithValues: features))
            result = try model.prediction(from: input, options: options)
        } catch {
            throw CoreMLFailure(function, "Core ML does not run it", error)
        }
        return Dictionary(uniqueKeysWithValues: try function.outputs.map { ($0.feature, try output($0, in: result)) })
    }

    private func output(_ feature: Manifest.Feature, in result: any MLFeatureProvider) throws -> Tensor {
        guard let array = result.featureValue(for: feature.feature)?.multiArrayValue else {
            throw CoreMLFailure(function, "Core ML returns no output '\(feature.feature)'")
        }
        let found = ArrayForm(shape: array.shape, type: array.dataType)
        guard found == ArrayForm(feature) else {
            throw CoreMLFailure(
                function,
                "Core ML returns output '\(feature.feature)' as \(found); the manifest has \(ArrayForm(feature))")
        }
        return Tensor(array, feature)
    }

    /// The tensor as it lies in memory, unless its type is another.
    private func array(of tensor: Tensor?, for feature: Manifest.Feature) throws -> MLMultiArray {
        guard let tensor else { throw CoreMLFailure(function, "input '\(feature.feature)' is not given") }
        guard tensor.shape == feature.shape, let given = tensor.converted(to: feature.type) else {
            let told = ArrayForm(shape: tensor.shape, type: tensor.type)
            throw CoreMLFailure(
                function, "input '\(feature.feature)' is given as \(told); the manifest has \(ArrayForm(feature))")
        }
        do {
            return try given.multiArray()
        } catch {
            throw CoreMLFailure(function, "Core ML does not take input '\(feature.feature)'", error)
        }
    }

    private func backings() throws -> [String: Any] {
        var made: [String: Any] = [:]
        for feature in function.outputs {
            let shape = feature.shape.map { NSNumber(value: $0) }
            made[feature.feature] = try MLMultiArray(shape: shape, dataType: feature.type.ofCoreML)
        }
        return made
    }
}

/// Shape and type, as they stand in an error.
private struct ArrayForm: Equatable, CustomStringConvertible {
    let shape: [Int]
    let type: MLMultiArrayDataType

    init(shape: [NSNumber], type: MLMultiArrayDataType) {
        self.shape = shape.map(\.intValue)
        self.type = type
    }

    init(shape: [Int], type: Manifest.ElementType) {
        self.shape = shape
        self.type = type.ofCoreML
    }

    init(_ feature: Manifest.Feature) { self.init(shape: feature.shape, type: feature.type) }

    var description: String {
        let name = Manifest.ElementType.allCases.first { $0.ofCoreML == type }?.rawValue
        return "\(name ?? "values of type \(type.rawValue)") \(shape)"
    }
}

extension Manifest.ElementType {
    var ofCoreML: MLMultiArrayDataType {
        switch self {
        case .float32: .float32
        case .float16: .float16
        case .int32: .int32
        }
    }
}
