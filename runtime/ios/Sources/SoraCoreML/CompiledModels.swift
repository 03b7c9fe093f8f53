@preconcurrency import CoreML
import Foundation
import SoraCore

/// The compiled models of an export's packages: made once, and kept.
///
/// Each is called after its package and the package's checksum, so that another export's is another. Beside it lies how
/// large it is: what is not so large, or has nothing beside it, was not finished or is damaged, and is made again.
public final class CompiledModels: @unchecked Sendable {
    /// Where `sora compile` puts them: the folder beside an export's packages, which is only read here.
    public static let folderName = "compiled"

    private let export: URL
    private let folder: URL
    private let readsBeside: Bool
    private let packages: [String: (package: Manifest.Package, block: Manifest.Block)]
    /// One model is compiled after another: it takes memory.
    private let lock = NSLock()
    /// Under `lock`: what has been found to be whole, and made by this object.
    private var known: [String: URL] = [:]
    private var made: Set<String> = []

    /// Of an export in the folder `export`. They are kept in `folder`, which is made when it is needed; by default in the
    /// app's own. Without `readsBeside` those beside the packages are not looked for.
    public init(_ manifest: Manifest, of export: String, in folder: String? = nil, readsBeside: Bool = true) {
        self.export = URL(fileURLWithPath: export, isDirectory: true)
        self.readsBeside = readsBeside
        self.folder = Self.place(folder)
        let all = manifest.blocks.flatMap { block in block.packages.map { ($0.file, ($0, block)) } }
        packages = Dictionary(all, uniquingKeysWith: { first, _ in first })
    }

    private static var ofApp: URL {
        let support = FileManager.default.urls(for: .applicationSupportDirectory, in: .userDomainMask)
        return (support.first ?? FileManager.default.temporaryDirectory)
            .appendingPathComponent("ondevice-sora").appendingPathComponent(folderName)
    }

    /// Compiles what is not compiled yet; `tell` is called before each of those, with its package, and may end it by a
    /// CancellationError.
    ///
    /// Throws that, or CoreMLFailure, which names the block.
    public func prepare(_ tell: (_ package: String) throws -> Void = { _ in }) throws {
        for (package, (_, block)) in packages.sorted(by: { $0.key < $1.key }) {
            do {
                try autoreleasepool { _ = try url(of: package, tell) }
            } catch let error as CancellationError {
                throw error
            } catch {
                throw CoreMLFailure("block '\(block.name)' of \(block.component): \(error)")
            }
        }
    }

    /// Bytes of the models in the app's own folder, or in another one, that belong to none of these exports.
    public static func leftoverBytes(besides manifests: [Manifest], in folder: String? = nil) -> Int {
        leftovers(manifests, place(folder)).reduce(0) { sum, item in
            if let bytes = Files.numBytes(item.path) { return sum + bytes }
            return sum + ((try? Files.below(item.path)) ?? []).reduce(0) { $0 + $1.numBytes }
        }
    }

    /// Deletes them, as far as they can be. Nothing may be compiled meanwhile.
    public static func removeLeftovers(besides manifests: [Manifest], in folder: String? = nil) {
        for item in leftovers(manifests, place(folder)) { try? FileManager.default.removeItem(at: item) }
    }

    private static func leftovers(_ manifests: [Manifest], _ folder: URL) -> [URL] {
        let packages = manifests.flatMap(\.blocks).flatMap(\.packages)
        let models = packages.map { folder.appendingPathComponent(name(of: $0.file, $0.checksum)) }
        let kept = Set((models + models.map(sizeFile)).map(\.lastPathComponent))
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.filter { !kept.contains($0) }.map { folder.appendingPathComponent($0) }
    }

    private static func place(_ folder: String?) -> URL {
        folder.map { URL(fileURLWithPath: $0, isDirectory: true) } ?? ofApp
    }

    /// The packages whose models are compiled already: these packages need not be there.
    public func compiledPackages() -> Set<String> {
        Set(packages.keys.filter { package in (try? name(of: package)).flatMap(found) != nil })
    }

    /// Uses the compiled model of a package. If that fails with one that was found, it is made again: another version of
    /// the system may have made it. Throws CoreMLFailure, and what `use` throws.
    func open<Model>(_ package: String, _ use: (URL) throws -> Model) throws -> Model {
        let found = try url(of: package) { _ in }
        do {
            return try use(found)
        } catch {
            guard let again = try? makeAgain(package) else { throw error }
            return try use(again)
        }
    }

    private func url(of package: String, _ tell: (String) throws -> Void) throws -> URL {
        try lock.withLock {
            if let url = known[package] { return url }
            let name = try name(of: package)
            if let found = found(name) {
                known[package] = found
                return found
            }
            try tell(package)
            return try make(package, name)
        }
    }

    private func found(_ name: String) -> URL? {
        let places = (readsBeside ? [export.appendingPathComponent(Self.folderName)] : []) + [folder]
        return places.map { $0.appendingPathComponent(name) }.first(where: Self.isWhole)
    }

    /// nil if this object has made it already.
    private func makeAgain(_ package: String) throws -> URL? {
        try lock.withLock { made.contains(package) ? nil : try make(package, name(of: package)) }
    }

    /// Such as denoiser.003-<checksum>.mlmodelc.
    private func name(of package: String) throws -> String {
        guard let found = packages[package] else {
            throw CoreMLFailure("\(package): the export has no such package")
        }
        return Self.name(of: package, found.package.checksum)
    }

    private static func name(of package: String, _ checksum: String) -> String {
        let stem = URL(fileURLWithPath: package).deletingPathExtension().lastPathComponent
        return "\(stem)-\(checksum).mlmodelc"
    }

    private func make(_ package: String, _ name: String) throws -> URL {
        let source = export.appendingPathComponent(package)
        let compiled: URL
        do {
            compiled = try Self.compiled(source)
        } catch {
            throw CoreMLFailure(source.path, "Core ML does not compile it", error)
        }
        let target = folder.appendingPathComponent(name)
        do {
            try keep(compiled, at: target)
        } catch {
            try? FileManager.default.removeItem(at: compiled)
            throw CoreMLFailure(target.path, "the compiled model cannot be kept here", error)
        }
        known[package] = target
        made.insert(package)
        return target
    }

    /// Core ML's own file, in a folder for temporary ones.
    private static func compiled(_ package: URL) throws -> URL {
        final class Outcome: @unchecked Sendable { var result: Result<URL, any Error>? }
        let outcome = Outcome()
        let isDone = DispatchSemaphore(value: 0)
        MLModel.compileModel(at: package) {
            outcome.result = $0
            isDone.signal()
        }
        isDone.wait()
        guard let result = outcome.result else { throw CoreMLFailure("\(package.path): Core ML does not answer") }
        return try result.get()
    }

    /// Under another name first: the temporary folder may be on another disk.
    private func keep(_ compiled: URL, at target: URL) throws {
        let files = FileManager.default
        try files.createDirectory(at: folder, withIntermediateDirectories: true)
        var values = URLResourceValues()
        values.isExcludedFromBackup = true
        var folder = folder
        try folder.setResourceValues(values)
        let (size, part) = (Self.sizeFile(of: target), target.appendingPathExtension("part"))
        for old in [size, part, target] where Files.exists(old.path) { try files.removeItem(at: old) }
        try files.moveItem(at: compiled, to: part)
        let told = try Self.size(of: part)
        try files.moveItem(at: part, to: target)
        try told.write(to: size, atomically: true, encoding: .utf8)
    }

    private static func isWhole(_ model: URL) -> Bool {
        guard let told = try? String(contentsOf: sizeFile(of: model), encoding: .utf8) else { return false }
        return told == (try? size(of: model))
    }

    private static func sizeFile(of model: URL) -> URL { model.deletingPathExtension().appendingPathExtension("size") }

    private static func size(of model: URL) throws -> String {
        let files = try Files.below(model.path)
        return "\(files.reduce(0) { $0 + $1.numBytes }) bytes in \(files.count) files\n"
    }
}
