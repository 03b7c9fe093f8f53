import Foundation
import SoraCore
import Testing

@testable import CoreML
@testable import SoraCoreML

private let package = "denoiser.000.mlpackage"
private let second = "denoiser.001.mlpackage"
private let sum = String(repeating: "a", count: 64)

extension CoreMLTests {
    @Suite struct CompiledModelsTests {
        private func twoBlocks(_ faults: [StandIn.Fault: String] = [:]) throws -> World {
            try World([package: .doubling(), second: .doubling()], StandIn.Behaviour(faults: faults))
        }

        private func load(_ world: World, _ models: CompiledModels? = nil) throws {
            let backend = CoreMLBackend(models ?? world.models())
            try backend.load(world.function(package), on: .all)
            try backend.evict(package: package)
        }

        private func names(_ folder: URL) throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
        }

        private func model(in folder: URL) -> URL { folder.appendingPathComponent("denoiser.000-\(sum).mlmodelc") }

        @Test func aModelIsCompiledOnceAndKeptByItsChecksum() throws {
            let world = try twoBlocks()
            for _ in 0..<3 { try load(world) }
            #expect(StandIn.shared.counts.compilations == 1)
            #expect(StandIn.shared.counts.loads == 3)
            #expect(try names(world.kept) == ["denoiser.000-\(sum).mlmodelc", "denoiser.000-\(sum).size"])
        }

        @Test func whatBelongsToNoExportIsLeftOver() throws {
            let world = try twoBlocks()
            try world.models().prepare()
            func bytes(_ manifests: [Manifest]) -> Int {
                CompiledModels.leftoverBytes(besides: manifests, in: world.kept.path)
            }
            #expect(bytes([world.manifest]) == 0)
            let all = bytes([])
            #expect(all > 0)
            let one = try World([package: .doubling()]).manifest
            #expect((1..<all).contains(bytes([one])))
            try Data(count: 7).write(to: world.kept.appendingPathComponent("x-\(sum).mlmodelc.part"))
            #expect(bytes([world.manifest]) == 7)
            CompiledModels.removeLeftovers(besides: [one], in: world.kept.path)
            #expect(try names(world.kept) == ["denoiser.000-\(sum).mlmodelc", "denoiser.000-\(sum).size"])
            #expect(bytes([one]) == 0)
            CompiledModels.removeLeftovers(besides: [], in: world.kept.path)
            #expect(try names(world.kept) == [])
            #expect(CompiledModels.leftoverBytes(besides: [], in: world.folder.path + "/none") == 0)
        }

        @Test func anotherChecksumIsAnotherModel() throws {
            let world = try twoBlocks()
            let other = try World([package: .doubling()], checksum: "b")
            try load(world)
            try load(world, world.models(checksumsOf: other))
            #expect(StandIn.shared.counts.compilations == 2)
            #expect(try names(world.kept).filter { $0.hasSuffix(".mlmodelc") }.count == 2)
        }

        @Test func allAreCompiledBeforehandOneAfterAnotherAndEachIsTold() throws {
            let world = try twoBlocks()
            var told: [String] = []
            try world.models().prepare { told.append($0) }
            #expect(told == [package, second])
            try world.models().prepare { told.append($0) }
            #expect(told == [package, second])
            #expect(StandIn.shared.counts.compilations == 2)
        }

        @Test func whatIsAskedForTwiceAtOnceIsCompiledOnce() throws {
            let world = try twoBlocks()
            let models = world.models()
            let backend = CoreMLBackend(models)
            let function = try world.function(package)
            DispatchQueue.concurrentPerform(iterations: 4) { _ in try? backend.load(function, on: .all) }
            #expect(StandIn.shared.counts.compilations == 1)
            #expect(StandIn.shared.counts.loads == 4)
            try backend.evict(package: package)
        }

        private static let damages: [(String, @Sendable (URL) throws -> Void)] = [
            ("shorter", { try Data("x".utf8).write(to: $0.appendingPathComponent("coremldata.bin")) }),
            ("longer", { try Data("x".utf8).write(to: $0.appendingPathComponent("more")) }),
            ("empty", { for name in ["coremldata.bin", "toy.json"] { try remove($0.appendingPathComponent(name)) } }),
            ("gone", { try remove($0) }),
            (
                "a file",
                {
                    try remove($0)
                    try Data("x".utf8).write(to: $0)
                }
            ),
            ("without its size", { try remove($0.deletingPathExtension().appendingPathExtension("size")) }),
            (
                "with another size",
                { try Data("1".utf8).write(to: $0.deletingPathExtension().appendingPathExtension("size")) }
            ),
            ("half moved", { try FileManager.default.moveItem(at: $0, to: $0.appendingPathExtension("part")) }),
        ]

        private static func remove(_ url: URL) throws { try FileManager.default.removeItem(at: url) }

        @Test(arguments: damages.indices)
        func whatIsDamagedIsMadeAgain(_ index: Int) throws {
            let world = try twoBlocks()
            try load(world)
            let (name, damage) = Self.damages[index]
            try damage(model(in: world.kept))
            try load(world)
            #expect(StandIn.shared.counts.compilations == 2, "\(name)")
            try load(world)
            #expect(StandIn.shared.counts.compilations == 2, "\(name)")
            let left = try names(world.kept)
            #expect(left == ["denoiser.000-\(sum).mlmodelc", "denoiser.000-\(sum).size"], "\(name)")
        }

        @Test func whatIsWholeAndDoesNotLoadIsMadeAgainOnce() throws {
            let world = try twoBlocks()
            try load(world)
            StandIn.shared.behave(StandIn.Behaviour(faults: [.failingLoadOnce: ""]))
            try load(world)
            #expect((StandIn.shared.counts.compilations, StandIn.shared.counts.loads) == (1, 1))
            StandIn.shared.behave(StandIn.Behaviour(faults: [.failingLoad: ""]))
            let models = world.models()
            for _ in 0..<3 { #expect(failure { try load(world, models) }.contains("Core ML does not load it")) }
            #expect((StandIn.shared.counts.compilations, StandIn.shared.counts.loads) == (1, 0))
        }

        @Test func whatWasJustCompiledIsNotCompiledAgainWhenItDoesNotLoad() throws {
            let world = try twoBlocks([.failingLoad: ""])
            #expect(failure { try load(world) }.contains("Core ML does not load it"))
            #expect(StandIn.shared.counts.compilations == 1)
        }

        // Beside the export

        /// Compiled into the export's folder, as `sora compile` does.
        private func compiledBeside(_ world: World) throws -> URL {
            let beside = world.folder.appendingPathComponent(CompiledModels.folderName)
            try CompiledModels(world.manifest, of: world.folder.path, in: beside.path, readsBeside: false).prepare()
            StandIn.shared.behave(StandIn.Behaviour())
            return beside
        }

        @Test func whatLiesBesideTheExportIsReadAndNotMoved() throws {
            let world = try twoBlocks()
            let beside = try compiledBeside(world)
            let before = try names(beside)
            let files = FileManager.default
            for name in before {
                try files.setAttributes(
                    [.posixPermissions: 0o555], ofItemAtPath: beside.appendingPathComponent(name).path)
            }
            try load(world)
            #expect(StandIn.shared.counts.compilations == 0)
            #expect(try names(beside) == before)
            #expect(!files.fileExists(atPath: world.kept.path))
        }

        @Test func whatLiesThereDamagedIsLeftAndMadeInTheAppsFolder() throws {
            let world = try twoBlocks()
            let beside = try compiledBeside(world)
            try Data("x".utf8).write(to: model(in: beside).appendingPathComponent("coremldata.bin"))
            let before = try names(beside)
            try load(world)
            #expect(StandIn.shared.counts.compilations == 1)
            #expect(try names(beside) == before)
            #expect(try Data(contentsOf: model(in: beside).appendingPathComponent("coremldata.bin")) == Data("x".utf8))
            #expect(try names(world.kept).count == 2)
        }

        @Test func withCompiledModelsThePackagesAreNotNeeded() throws {
            let world = try twoBlocks()
            _ = try compiledBeside(world)
            for name in [package, second] { try Self.remove(world.folder.appendingPathComponent(name)) }
            try load(world)
            #expect(StandIn.shared.counts.loads == 1)
        }

        // What cannot be

        @Test func aPackageThatCannotBeCompiledBeforehandIsNamedWithItsBlock() throws {
            let world = try twoBlocks([.failingCompile: second])
            let said = failure { try world.models().prepare() }
            #expect(said.hasPrefix("block 'u1' of denoiser: /"))
            #expect(said.contains("/\(second): Core ML does not compile it: Failed to compile"))
        }

        @Test func aPackageThatIsMissingIsNamed() throws {
            let world = try twoBlocks()
            try Self.remove(world.folder.appendingPathComponent(package))
            let said = failure { try load(world) }
            #expect(said.contains("/\(package): Core ML does not compile it: "))
            #expect(said.contains("(com.apple.CoreML 3)"))
        }

        @Test func aPackageThatTheExportDoesNotHaveIsRefused() throws {
            let world = try twoBlocks()
            let other = try World(["x.mlpackage": .doubling()])
            let said = failure { try world.backend().load(other.function("x.mlpackage"), on: .all) }
            #expect(said == "x.mlpackage: the export has no such package")
        }

        @Test func aFolderThatCannotBeMadeIsNamed() throws {
            let world = try twoBlocks()
            try Data().write(to: world.kept)
            let said = failure { try load(world) }
            #expect(
                said.contains("\(world.kept.path)/denoiser.000-\(sum).mlmodelc: the compiled model cannot be kept here")
            )
            #expect(!said.contains("\n"))
        }

        @Test func nothingIsLeftInTheFolderForTemporaryFiles() throws {
            func leftovers() throws -> Int {
                try names(FileManager.default.temporaryDirectory).filter { $0.hasPrefix("denoiser.000_") }.count
            }
            let before = try leftovers()
            let world = try twoBlocks()
            try load(world)
            try? Self.remove(world.kept)
            try Data().write(to: world.kept)
            #expect(failure { try load(world) } != "nothing")
            #expect(try leftovers() == before)
        }
    }
}
