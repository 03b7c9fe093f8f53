import Foundation

open class MLModel: NSObject {
    private let loaded: LoadedFunction
    private let name: String
    private let function: String

    /// Throws unless `url` is a model that `compileModel` has made.
    public convenience init(contentsOf url: URL, configuration: MLModelConfiguration) throws {
        let compiled = try CompiledModel(url)
        try StandIn.shared.beforeLoad(of: compiled.name)
        let function = try compiled.function(called: configuration.functionName)
        let loaded = try compiled.provider.load(compiled, function, configuration.computeUnits)
        StandIn.shared.count { $0.units = configuration.computeUnits }
        self.init(loaded, compiled.name, function ?? "main")
    }

    init(_ loaded: LoadedFunction, _ name: String, _ function: String) {
        self.loaded = loaded
        self.name = name
        self.function = function
        super.init()
        StandIn.shared.count {
            $0.loads += 1
            $0.liveModels += 1
        }
        StandIn.shared.log("load", name, function)
        Pools.handOut(self)
    }

    deinit {
        loaded.giveBack()
        StandIn.shared.count { $0.liveModels -= 1 }
        StandIn.shared.log("evict", name, function)
    }

    public class func load(
        contentsOf url: URL, configuration: MLModelConfiguration = MLModelConfiguration()
    ) async throws -> MLModel {
        try MLModel(contentsOf: url, configuration: configuration)
    }

    @available(*, deprecated)
    public class func compileModel(at modelURL: URL) throws -> URL { try CompiledModel.make(of: modelURL) }

    public class func compileModel(at url: URL) async throws -> URL { try CompiledModel.make(of: url) }

    public class func compileModel(
        at url: URL, completionHandler handler: @escaping (Result<URL, any Error>) -> Void
    ) {
        let made = Result { try CompiledModel.make(of: url) }
        nonisolated(unsafe) let told = handler
        DispatchQueue.global().async { told(made) }
    }

    public var modelDescription: MLModelDescription {
        let told = StandIn.shared.described(loaded.inputs, loaded.outputs, by: name)
        return MLModelDescription(inputs: told.inputs, outputs: told.outputs)
    }

    public func prediction(from input: any MLFeatureProvider) throws -> any MLFeatureProvider {
        try prediction(from: input, options: MLPredictionOptions())
    }

    public func prediction(
        from input: any MLFeatureProvider, options: MLPredictionOptions
    ) throws -> any MLFeatureProvider {
        Pools.handOut(self)
        try StandIn.shared.beforeRun(of: name)
        var given: [String: MLMultiArray] = [:]
        for declared in loaded.inputs {
            guard let value = input.featureValue(for: declared.name) else {
                throw StandIn.error("Feature \(declared.name) is required but not specified.")
            }
            guard let array = value.multiArrayValue, declared.fits(array.layout) else {
                let found = value.multiArrayValue.map { "\($0.layout)" } ?? "no multi-array"
                throw StandIn.error("Feature \(declared.name) is \(found); the model wants \(declared.layout).")
            }
            given[declared.name] = array
            Pools.handOut(array)
        }
        let returned = try loaded.outputs.compactMap { declared in
            try StandIn.shared.output(declared, of: name, into: options.outputBackings[declared.name])
        }
        let arrays = Dictionary(uniqueKeysWithValues: returned.map { ($0.name, $0) })
        try loaded.predict(given.mapValues(\.view), into: arrays.mapValues(\.view))
        let outputs = try MLDictionaryFeatureProvider(dictionary: arrays.mapValues { $0.finished() })
        StandIn.shared.noteRun(name, function, inputs: given)
        Pools.handOut(outputs)
        return outputs
    }

    public func prediction(
        from input: any MLFeatureProvider, options: MLPredictionOptions = MLPredictionOptions()
    ) async throws -> any MLFeatureProvider {
        let predict: () throws -> any MLFeatureProvider = { try self.prediction(from: input, options: options) }
        return try predict()
    }
}
