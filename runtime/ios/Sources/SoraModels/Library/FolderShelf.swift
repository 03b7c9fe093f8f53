import Foundation
import SoraCore

/// Exports in folders: each place itself, and the folders in it, two levels deep, that have a manifest.
public struct FolderShelf: Shelf {
    private static let depth = 2

    public let bundle: String?
    public let documents: String

    private let mayLack: @Sendable (Export) -> Set<String>

    /// Paths of folders. `bundle` is that of the app's resources. `mayLack` gives the packages of an export that need not
    /// be there.
    public init(
        bundle: String?, documents: String, mayLack: @escaping @Sendable (Export) -> Set<String> = { _ in [] }
    ) {
        self.bundle = bundle
        self.documents = documents
        self.mayLack = mayLack
    }

    public func exports(readingAll: Bool) async -> [FoundExport] {
        let places = [(bundle, LibraryEntry.Place.bundle), (documents, .documents)]
        return places.flatMap { folder, place in
            (folder.map { Self.exports(in: $0, depth: Self.depth) } ?? []).map {
                open($0, place: place, readingAll: readingAll)
            }
        }
    }

    /// Folders with a manifest, by name. What lies inside an export is not looked at.
    private static func exports(in folder: String, depth: Int) -> [String] {
        if FileManager.default.fileExists(atPath: "\(folder)/\(Manifest.fileName)") { return [folder] }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        guard depth > 0 else { return [] }
        return names.sorted().filter { !$0.hasPrefix(".") }.flatMap { name in
            var isFolder: ObjCBool = false
            let path = "\(folder)/\(name)"
            guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue else {
                return [String]()
            }
            return exports(in: path, depth: depth - 1)
        }
    }

    /// Gigabytes that some computer has as well. What another user owns, as all that devicectl has copied, stays as it is.
    private static func keepFromBackups(_ folder: String) {
        var url = URL(fileURLWithPath: folder, isDirectory: true)
        var values = URLResourceValues()
        values.isExcludedFromBackup = true
        try? url.setResourceValues(values)
    }

    private func open(_ folder: String, place: LibraryEntry.Place, readingAll: Bool) -> FoundExport {
        let name = (folder as NSString).lastPathComponent
        if place == .documents { Self.keepFromBackups(folder) }
        do {
            let export = try Export.open(folder)
            let problems = export.problems(readingAll: readingAll, mayLack: mayLack(export)).map { problem in
                DocumentError(
                    file: (problem.file as NSString).lastPathComponent, pointer: problem.pointer, what: problem.what
                ).description
            }
            return FoundExport(
                folder: folder, name: name, place: place, content: .success(try LibraryEntry.Playable(export)),
                problems: problems, isReadWhole: readingAll)
        } catch let error as DocumentError {
            let inside = DocumentError(
                file: (error.file as NSString).lastPathComponent, pointer: error.pointer, what: error.what,
                mend: error.mend)
            return FoundExport(
                folder: folder, name: name, place: place, content: .failure(FoundExport.Refusal(inside)))
        } catch {
            return FoundExport(
                folder: folder, name: name, place: place, content: .failure(FoundExport.Refusal(error)))
        }
    }
}
