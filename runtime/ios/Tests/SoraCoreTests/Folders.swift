import Foundation
import Testing

/// A folder of a test's own, removed after it. In memory where there is such a place: nothing there waits for a disk.
final class Folder {
    let path: String

    init() throws {
        let memory = URL(fileURLWithPath: "/dev/shm")
        let isThere = FileManager.default.isWritableFile(atPath: memory.path)
        let place = isThere ? memory : FileManager.default.temporaryDirectory
        let found = place.appendingPathComponent("sora-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: found, withIntermediateDirectories: true)
        path = found.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    func text(_ name: String) throws -> String { try String(contentsOfFile: file(name), encoding: .utf8) }

    func write(_ name: String, _ text: String) throws {
        try text.write(toFile: file(name), atomically: false, encoding: .utf8)
    }

    func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: path).sorted() }
}
