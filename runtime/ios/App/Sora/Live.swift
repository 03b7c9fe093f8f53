import Foundation
import SoraCore
import SoraCoreML
import SoraModels

/// What the app works with on a phone: Core ML, the system's meter, and the folders of its container.
enum Live {
    static func world() -> AppModel.World {
        let documents = folder(.documentDirectory)
        let support = folder(.applicationSupportDirectory)
        let device = Device(state: "\(support)/journal") { export in
            CoreMLBackend(CompiledModels(export.manifest, of: export.folder))
        }
        return AppModel.World(device, bundle: Bundle.main.resourcePath.map { "\($0)/Exports" }, documents: documents)
    }

    /// Of the app's container.
    private static func folder(_ kind: FileManager.SearchPathDirectory) -> String {
        let found = FileManager.default.urls(for: kind, in: .userDomainMask).first
        return (found ?? FileManager.default.temporaryDirectory).path
    }
}
