@preconcurrency import CoreML
import Foundation
import SoraCore

/// Loads and runs an export's packages with Core ML.
///
/// Each call ends what it has taken from Core ML: a pool is around it, in which Core ML leaves its results. Which block
/// a call is for, who calls knows; errors say which package and function.
public final class CoreMLBackend: BlockBackend, @unchecked Sendable {
    private let models: CompiledModels
    private let offersBackings: Bool
    private let lock = NSLock()
    /// Of the package, by its functions; under `lock`.
    private var loaded: [String: [String: LoadedModel]] = [:]

    /// With `offersBackings` Core ML is offered memory of ours for each output; whether it takes it, it decides.
    public init(_ models: CompiledModels, offersBackings: Bool = false) {
        self.models = models
        self.offersBackings = offersBackings
    }

    public func load(_ function: Manifest.Function, on units: Manifest.ComputeUnits) throws {
        try autoreleasepool { _ = try loadedModel(function, units) }
    }

    public func run(
        _ function: Manifest.Function, on units: Manifest.ComputeUnits, _ inputs: [String: Tensor]
    ) throws -> [String: Tensor] {
        try autoreleasepool {
            let functions = lock.withLock { loaded[function.package] }
            guard let functions else {
                throw CoreMLFailure(function, "is run, but its package is not in memory")
            }
            let model = try functions[function.function] ?? loadedModel(function, units)
            return try model.run(inputs, offersBackings: offersBackings)
        }
    }

    public func evict(package: String) throws {
        autoreleasepool {
            let functions = lock.withLock { loaded.removeValue(forKey: package) }
            withExtendedLifetime(functions) {}
        }
    }

    private func loadedModel(_ function: Manifest.Function, _ units: Manifest.ComputeUnits) throws -> LoadedModel {
        let model = try models.open(function.package) { url in
            LoadedModel(try Self.model(at: url, function, units), function)
        }
        try model.check()
        lock.withLock { loaded[function.package, default: [:]][function.function] = model }
        return model
    }

    private static func model(
        at url: URL, _ function: Manifest.Function, _ units: Manifest.ComputeUnits
    ) throws -> MLModel {
        let configuration = MLModelConfiguration()
        configuration.computeUnits =
            switch units {
            case .cpuOnly: .cpuOnly
            case .cpuAndGPU: .cpuAndGPU
            case .cpuAndNeuralEngine: .cpuAndNeuralEngine
            case .all: .all
            }
        // A package's only function has no name.
        configuration.functionName = function.function == "main" ? nil : function.function
        configuration.modelDisplayName = "\(function.package) \(function.function)"
        do {
            return try MLModel(contentsOf: url, configuration: configuration)
        } catch {
            throw CoreMLFailure(function, "Core ML does not load it", error)
        }
    }
}

/// What Core ML refused, or did otherwise than the manifest says. `description` is one line.
public struct CoreMLFailure: Error, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }

    /// `error` is what the system said.
    init(_ place: String, _ what: String, _ error: any Error) {
        let told = error as NSError
        let reason = told.localizedDescription.split(whereSeparator: \.isNewline).joined(separator: " ")
        description = "\(place): \(what): \(reason) (\(told.domain) \(told.code))"
    }

    init(_ function: Manifest.Function, _ what: String) {
        description = "\(Self.place(function)): \(what)"
    }

    init(_ function: Manifest.Function, _ what: String, _ error: any Error) {
        self.init(Self.place(function), what, error)
    }

    private static func place(_ function: Manifest.Function) -> String {
        "function '\(function.function)' of \(function.package)"
    }
}
