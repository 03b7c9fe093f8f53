import Foundation

/// A folder that `compileModel` has made of a package: it names the package, and holds what a toy computes.
struct CompiledModel {
    private static let mark = "coremldata.bin"
    private static let head = "stand-in for a compiled model\n"

    let package: URL
    let provider: any Provider
    private let toy: Toy?

    /// Such as denoiser.003.mlpackage.
    var name: String { package.lastPathComponent }

    /// Throws unless it is such a folder.
    init(_ url: URL) throws {
        let path = url.appendingPathComponent(Self.mark)
        guard url.pathExtension == "mlmodelc", let text = try? String(contentsOf: path, encoding: .utf8),
            text.hasPrefix(Self.head), text.hasSuffix("\n")
        else {
            throw StandIn.error(
                "Unable to load model: \(url.absoluteString). Compile the model with Xcode or "
                    + "`MLModel.compileModel(at:)`.", code: 3)
        }
        package = URL(fileURLWithPath: String(text.dropFirst(Self.head.count).dropLast()))
        toy = try Toy.inside(url)
        provider = toy.map { Arithmetic($0) } ?? Reference.shared
    }

    /// A folder made of a package, in a folder for temporary files.
    static func make(of package: URL) throws -> URL {
        try StandIn.shared.beforeCompile(of: package.lastPathComponent)
        let files = FileManager.default
        guard package.pathExtension == "mlpackage",
            files.fileExists(atPath: package.appendingPathComponent("Manifest.json").path)
        else { throw StandIn.error("A valid manifest does not exist at path: \(package.path)/Manifest.json", code: 3) }
        let stem = package.deletingPathExtension().lastPathComponent
        let made = files.temporaryDirectory.appendingPathComponent("\(stem)_\(UUID().uuidString).mlmodelc")
        try files.createDirectory(at: made, withIntermediateDirectories: true)
        let text = "\(head)\(package.standardizedFileURL.path)\n"
        try text.write(to: made.appendingPathComponent(mark), atomically: false, encoding: .utf8)
        if try Toy.inside(package) != nil {
            try files.copyItem(at: Toy.file(in: package), to: Toy.file(in: made))
        }
        return made
    }

    /// Which of the package's functions is asked for; nil for the default. Core ML has no name for a function that is
    /// alone.
    func function(called name: String?) throws -> String? {
        guard let name else { return nil }
        let known = try provider.functions(of: self)
        if !known.contains(name) || known.count == 1 && StandIn.shared.isOn(.refusesMain) {
            throw StandIn.error("The model \(self.name) has no function named \(name).")
        }
        return name
    }
}

/// What makes predictions, behind Core ML's interface.
protocol Provider {
    func functions(of model: CompiledModel) throws -> [String]
    /// nil for the package's default function.
    func load(_ model: CompiledModel, _ function: String?, _ units: MLComputeUnits) throws -> any LoadedFunction
}

protocol LoadedFunction: AnyObject {
    var inputs: [Declared] { get }
    var outputs: [Declared] { get }
    /// Writes those outputs that are asked for.
    func predict(_ inputs: [String: ArrayView], into outputs: [String: ArrayView]) throws
    /// Once, when the model is gone.
    func giveBack()
}
