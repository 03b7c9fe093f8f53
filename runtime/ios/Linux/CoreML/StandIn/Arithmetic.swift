import Foundation

/// A toy in a package's place: `toy.json` beside its manifest.
///
/// Each value of an output is one of its input, taken round and round, times a number plus another.
struct Toy: Codable, Sendable {
    struct Feature: Codable, Sendable {
        var name: String
        var type: String
        var shape: [Int]
        /// Of an output: the input that it is made of; nil for a constant.
        var from: String?
        var times: Double?
        var plus: Double?

        init(
            _ name: String, _ type: String, _ shape: [Int], from: String? = nil, times: Double? = nil,
            plus: Double? = nil
        ) {
            self.name = name
            self.type = type
            self.shape = shape
            self.from = from
            self.times = times
            self.plus = plus
        }
    }

    struct Function: Codable, Sendable {
        var name: String
        var inputs: [Feature]
        var outputs: [Feature]
        /// What is allocated while it runs.
        var workingBytes: Int?

        init(_ name: String, inputs: [Feature], outputs: [Feature], workingBytes: Int? = nil) {
            self.name = name
            self.inputs = inputs
            self.outputs = outputs
            self.workingBytes = workingBytes
        }
    }

    /// The first is the default.
    var functions: [Function]
    /// What its functions hold in common, while any of them is loaded.
    var residentBytes: Int?

    init(functions: [Function], residentBytes: Int? = nil) {
        self.functions = functions
        self.residentBytes = residentBytes
    }

    static func file(in folder: URL) -> URL { folder.appendingPathComponent("toy.json") }

    /// nil if there is none.
    static func inside(_ folder: URL) throws -> Toy? {
        guard let data = try? Data(contentsOf: file(in: folder)) else { return nil }
        do {
            return try JSONDecoder().decode(Toy.self, from: data)
        } catch {
            throw StandIn.error("\(folder.path): not a toy: \(error)")
        }
    }

    /// Writes a package that holds it.
    func write(to package: URL) throws {
        try FileManager.default.createDirectory(at: package, withIntermediateDirectories: true)
        try JSONEncoder().encode(self).write(to: Self.file(in: package))
        try Data("{}".utf8).write(to: package.appendingPathComponent("Manifest.json"))
    }
}

struct Arithmetic: Provider {
    let toy: Toy

    init(_ toy: Toy) { self.toy = toy }

    func functions(of model: CompiledModel) -> [String] { toy.functions.map(\.name) }

    func load(_ model: CompiledModel, _ function: String?, _ units: MLComputeUnits) throws -> any LoadedFunction {
        guard let found = function == nil ? toy.functions.first : toy.functions.first(where: { $0.name == function })
        else { throw StandIn.error("\(model.name) has no function") }
        return try LoadedToy(
            found, of: model.name, try Weights.of(model.package.path, numBytes: toy.residentBytes ?? 0))
    }
}

/// Memory that the functions of a package share.
final class Weights: @unchecked Sendable {
    private struct Known { weak var weights: Weights? }

    private static let lock = NSLock()
    nonisolated(unsafe) private static var known: [String: Known] = [:]

    private let pages: Pages

    static func of(_ package: String, numBytes: Int) throws -> Weights {
        try lock.withLock {
            if let found = known[package]?.weights { return found }
            let made = try Weights(numBytes: numBytes)
            known[package] = Known(weights: made)
            return made
        }
    }

    private init(numBytes: Int) throws {
        pages = try Pages(numBytes: numBytes, isArray: false)
        pages.fill()
    }

    deinit { pages.giveBack() }
}

final class LoadedToy: LoadedFunction {
    let inputs: [Declared]
    let outputs: [Declared]
    private let function: Toy.Function
    private let package: String
    private var weights: Weights?

    init(_ function: Toy.Function, of package: String, _ weights: Weights) throws {
        self.function = function
        self.package = package
        self.weights = weights
        func declared(_ features: [Toy.Feature]) throws -> [Declared] {
            try features.map { feature in
                guard let type = MLMultiArrayDataType(name: feature.type) else {
                    throw StandIn.error("\(feature.type) is no type")
                }
                return Declared(name: feature.name, type: type, shape: feature.shape)
            }
        }
        inputs = try declared(function.inputs)
        outputs = try declared(function.outputs)
    }

    func predict(_ inputs: [String: ArrayView], into outputs: [String: ArrayView]) throws {
        let working = try Pages(numBytes: function.workingBytes ?? 0, isArray: false)
        defer { working.giveBack() }
        working.fill()
        StandIn.shared.log("works", package, function.name)
        for feature in function.outputs {
            guard let target = outputs[feature.name] else { continue }
            let source = feature.from.flatMap { inputs[$0] }
            let values = source.map(Self.values) ?? []
            let (times, plus) = (feature.times ?? 1, feature.plus ?? 0)
            var index = 0
            target.layout.forEachRow { offset, _ in
                for number in 0..<(target.layout.shape.last ?? 1) {
                    let value = values.isEmpty ? plus : values[index % values.count] * times + plus
                    Self.write(value, target, offset + number * (target.layout.strides.last ?? 1))
                    index += 1
                }
            }
        }
    }

    func giveBack() { weights = nil }

    private static func values(_ view: ArrayView) -> [Double] {
        var found: [Double] = []
        let stride = view.layout.strides.last ?? 1
        view.layout.forEachRow { offset, _ in
            for number in 0..<(view.layout.shape.last ?? 1) { found.append(read(view, offset + number * stride)) }
        }
        return found
    }

    private static func read(_ view: ArrayView, _ offset: Int) -> Double {
        let at = view.start + offset * view.layout.type.numBytes
        switch view.layout.type {
        case .double: return at.load(as: Double.self)
        case .float32: return Double(at.load(as: Float.self))
        case .float16: return Double(at.load(as: Float16.self))
        case .int32: return Double(at.load(as: Int32.self))
        }
    }

    private static func write(_ value: Double, _ view: ArrayView, _ offset: Int) {
        let at = view.start + offset * view.layout.type.numBytes
        switch view.layout.type {
        case .double: at.storeBytes(of: value, as: Double.self)
        case .float32: at.storeBytes(of: Float(value), as: Float.self)
        case .float16: at.storeBytes(of: Float16(value), as: Float16.self)
        case .int32: at.storeBytes(of: Int32(value), as: Int32.self)
        }
    }
}
