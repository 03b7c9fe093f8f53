import Foundation
import SoraCore
import SoraCoreML
import SoraModels

/// What the app works with on a phone: Core ML, the system's meter, and the folders of its container.
enum Live {
    static func world() -> AppModel.World {
        let documents = folder(.documentDirectory)
        let device = Device(CoreMLBackends(), state: JournalKeeper.standardFolder)
        return AppModel.World(device, bundle: Bundle.main.resourcePath.map { "\($0)/Exports" }, documents: documents)
    }

    /// Of the app's container.
    private static func folder(_ kind: FileManager.SearchPathDirectory) -> String {
        let found = FileManager.default.urls(for: kind, in: .userDomainMask).first
        return (found ?? FileManager.default.temporaryDirectory).path
    }
}

/// Core ML, with the models that it has compiled kept in the app's support folder.
struct CoreMLBackends: Backends {
    private func models(of export: Export) -> CompiledModels { CompiledModels(export.manifest, of: export.folder) }

    func compiledPackages(of export: Export) -> Set<String> { models(of: export).compiledPackages() }

    func prepare(_ export: Export, _ tell: (_ package: String) throws -> Void) throws {
        try models(of: export).prepare(tell)
    }

    func leftoverBytes(besides exports: [Export]) -> Int {
        CompiledModels.leftoverBytes(besides: exports.map(\.manifest))
    }

    func removeLeftovers(besides exports: [Export]) {
        CompiledModels.removeLeftovers(besides: exports.map(\.manifest))
    }

    func backend(for export: Export) throws -> any BlockBackend { CoreMLBackend(models(of: export)) }
}
