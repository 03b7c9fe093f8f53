import Foundation
import Testing

@testable import SoraCore
@testable import sora

@Suite("sora profile")
struct ProfileTests {
    private let folder: Folder

    /// What it says, line by line.
    private final class Lines: @unchecked Sendable {
        private let lock = NSLock()
        private var lines: [String] = []
        var all: [String] { lock.withLock { lines } }
        func add(_ line: String) { lock.withLock { lines.append(line) } }
    }

    init() throws { folder = try Folder() }

    private func options(_ more: [String] = []) throws -> ProfileOptions {
        let places = ["export", "-o", folder.file("capture.json"), "--state", folder.file("state"), "--repeats", "1"]
        return try ProfileOptions(places + more)
    }

    private func profile(_ options: ProfileOptions, _ backend: ToyBackend) throws -> [String] {
        let lines = Lines()
        let export = try ToyVideo().export(folder.file("export"))
        try sora.profile(options, export, meter: ToyMeter(), makeBackend: { _ in backend }, say: lines.add)
        return lines.all
    }

    private static func backend() -> ToyBackend { ToyBackend { _, _ in [:] } }

    @Test func everyBlockButTailsIsMeasuredAndTold() throws {
        let backend = Self.backend()
        let lines = try profile(options(), backend)
        let manifest = try ToyVideo().export(folder.file("export")).manifest
        let functions = manifest.blocks.flatMap { block in block.functions.filter { $0.kind != .tail } }
        let capture = try #require(try Capture.read(path: folder.file("capture.json")))
        #expect(capture.blocks.map(\.block.package) == functions.map(\.package))
        #expect(backend.violations == [])
        #expect(backend.inMemory == [])
        #expect(lines.count == functions.count + 2)
        #expect(lines[0] == "measuring 1 of \(functions.count): \(capture.blocks[0].block.name)")
        #expect(
            Array(lines.suffix(2)) == [
                "\(functions.count) of \(functions.count) functions are measured, nothing failed",
                "Wrote \(folder.file("capture.json"))",
            ])
    }

    @Test func whatFailsIsTold() throws {
        let backend = ToyBackend { function, _ in
            if function.package.hasPrefix("decoder.spatial") { throw ToyBackend.Failure(description: "no GPU") }
            return [:]
        }
        let lines = try profile(options(), backend)
        #expect(
            lines.contains {
                $0.hasPrefix("failed: block") && $0.hasSuffix("of decoder.spatial, on all: no GPU")
            })
        #expect(lines.contains { $0.contains("functions are measured, ") && !$0.contains("nothing failed") })
    }

    @Test func howItWasEndedBeforeIsTold() throws {
        let export = try ToyVideo().export(folder.file("export"))
        let block = export.manifest.blocks[1]
        do {
            let session = try JournalKeeper(folder: folder.file("state"), meter: ToyMeter()).begin(.generation)
            _ = try session.begin(.load, BlockFunction(block, block.functions[0]))
        }
        let lines = try profile(options(), Self.backend())
        #expect(lines[0].hasPrefix("The app was ended"))
        #expect(lines[0].contains("while loading block '\(block.name)' of \(block.component)"))
    }

    @Test func aPackageOfAnotherSizeIsNamed() throws {
        let export = try ToyVideo().export(folder.file("export"))
        try Data(count: 2).write(to: URL(fileURLWithPath: "\(export.folder)/denoiser.1.mlpackage/program"))
        let error = #expect(throws: DocumentError.self) {
            try sora.profile(
                options(), export, meter: ToyMeter(), makeBackend: { _ in fatalError("nothing may be loaded") },
                say: { _ in })
        }
        #expect(error?.description.contains("denoiser.1.mlpackage: is not as it was exported (size)") == true)
    }

    @Test(arguments: [
        [], ["export"], ["export", "-o"], ["export", "more", "-o", "c.json"], ["-o", "c.json"],
        ["export", "-o", "c.json", "--repeats", "0"], ["export", "-o", "c.json", "--repeats", "x"],
        ["export", "-o", "c.json", "--units", "gpu"], ["export", "-o", "c.json", "--units"],
        ["export", "-o", "c.json", "--state"], ["export", "-o", "c.json", "--loud"],
    ])
    func argumentsThatAreNotUnderstood(arguments: [String]) {
        #expect(throws: Usage.self) { try ProfileOptions(arguments) }
    }

    @Test func whatIsAskedForIsUnderstood() throws {
        let options = try ProfileOptions([
            "--units", "all", "export", "--units", "cpu_only", "--again", "-o", "c.json", "--repeats", "7", "--units",
            "all",
        ])
        #expect((options.export, options.output, options.state) == ("export", "c.json", nil))
        #expect(options.settings.computeUnits == [.all, .cpuOnly])
        #expect(options.settings.triesAgain && options.settings.repeats == 7)
        let plain = try ProfileOptions(["export", "-o", "c.json"]).settings
        #expect(plain.computeUnits == [] && !plain.triesAgain && plain.repeats == 3)
    }
}
