import Foundation
import SoraCore
import Testing

@testable import CoreML
@testable import SoraCoreML

private let input: [Float] = [1, 2, 3, 4, 5, 6]
private let doubled: [Float] = [3, 5, 7, 9, 11, 13]
private let twiceDoubled: [Float] = [7, 11, 15, 19, 23, 27]
private let package = "denoiser.000.mlpackage"
private let second = "denoiser.001.mlpackage"

extension CoreMLTests {
    @Suite struct BackendTests {
        /// Two blocks after each other, all loaded, run and evicted: what the second makes.
        private func chain(_ world: World, offersBackings: Bool = false) throws -> [Float] {
            let backend = world.backend(offersBackings: offersBackings)
            let functions = try [world.function(package), world.function(second)]
            var tensor = Tensor.dense(input, [2, 3])
            for function in functions { try backend.load(function, on: .all) }
            for function in functions {
                tensor = try #require(try backend.run(function, on: .all, ["x": tensor])["y_out"])
            }
            for function in functions { try backend.evict(package: function.package) }
            return tensor.values
        }

        private func twoBlocks(_ behaviour: StandIn.Behaviour = StandIn.Behaviour()) throws -> World {
            try World([package: .doubling(), second: .doubling()], behaviour)
        }

        @Test func withEverythingAgainstItTheResultIsRight() throws {
            #expect(try chain(twoBlocks()) == twiceDoubled)
        }

        @Test(arguments: StandIn.Trait.allCases)
        func withOneTraitTheResultIsRight(_ trait: StandIn.Trait) throws {
            #expect(try chain(twoBlocks(StandIn.Behaviour(traits: [trait]))) == twiceDoubled)
        }

        @Test(arguments: StandIn.Trait.allCases)
        func withoutOneTraitTheResultIsRight(_ trait: StandIn.Trait) throws {
            let traits = Set(StandIn.Trait.allCases).subtracting([trait])
            #expect(try chain(twoBlocks(StandIn.Behaviour(traits: traits))) == twiceDoubled)
        }

        /// What each fault must come to, with the second block: a part of the error, nil for the right result.
        private static let ends: [StandIn.Fault: String?] = [
            .slowLoad: nil,
            .failingCompile: "Core ML does not compile it: Failed to compile denoiser.001.mlpackage",
            .failingLoad: "Core ML does not load it: Failed to build the model execution plan",
            .failingLoadOnce: nil,
            .failingRun: "Core ML does not run it: Unable to compute the prediction",
            .failingRunOnce: "Core ML does not run it: Unable to compute the prediction",
            .missingOutput: "Core ML returns no output 'y_out'",
            .otherShape: "returns output 'y_out' as float32 [2, 4]; the manifest has float32 [2, 3]",
            .otherType: "returns output 'y_out' as values of type 65600 [2, 3]; the manifest has float32 [2, 3]",
            .otherName: "Core ML returns no output 'y_out'",
            .otherDescription: "input 'x' is float32 [2, 3, 7]; the manifest has float32 [2, 3]",
        ]

        @Test(arguments: StandIn.Fault.allCases)
        func eachFaultEndsInTheRightResultOrAnErrorThatNamesThePackage(_ fault: StandIn.Fault) throws {
            let world = try twoBlocks(StandIn.Behaviour(faults: [fault: "001"]))
            let expected = try #require(Self.ends[fault])
            // What is found compiled is made again once: so that this may help, it is compiled before.
            if fault == .failingLoadOnce { try world.models().prepare() }
            guard let expected else {
                #expect(try chain(world) == twiceDoubled)
                return
            }
            let said = failure { _ = try chain(world) }
            #expect(said.contains(expected))
            #expect(said.contains(second))
            #expect(!said.contains("\n"))
        }

        @Test func anErrorOfTheSystemHasItsDomainAndCode() throws {
            let world = try twoBlocks(StandIn.Behaviour(faults: [.failingRun: second]))
            let said = failure { _ = try chain(world) }
            #expect(said.hasPrefix("function 'main' of \(second): "))
            #expect(said.hasSuffix(" (com.apple.CoreML 0)"))
        }

        // Between blocks

        @Test func betweenBlocksNothingIsCopiedAndNothingIsRead() throws {
            let world = try twoBlocks()
            let backend = world.backend()
            let functions = try [world.function(package), world.function(second)]
            for function in functions { try backend.load(function, on: .all) }
            var tensors = ["x": Tensor.dense(input, [2, 3])]
            for _ in 0..<5 {
                for function in functions {
                    tensors["x"] = try backend.run(function, on: .all, tensors)["y_out"]
                }
            }
            let counts = StandIn.shared.counts
            #expect((counts.inputsWrapped, counts.inputsReturned, counts.inputsAllocated) == (1, 9, 0))
            #expect(counts.arraysRead == 0)
        }

        @Test func outputsHaveTheStridesThatCoreMLChose() throws {
            let world = try twoBlocks()
            let backend = world.backend()
            let function = try world.function(package)
            try backend.load(function, on: .all)
            let tensor = try #require(try backend.run(function, on: .all, ["x": .dense(input, [2, 3])])["y_out"])
            #expect(tensor.strides == [16, 1])
            #expect(tensor.storage.numBytes == 19 * 4)
            #expect(tensor.values == doubled)
        }

        @Test func aTensorWithGapsIsTakenAsItLies() throws {
            let world = try twoBlocks()
            let backend = world.backend()
            let function = try world.function(package)
            try backend.load(function, on: .all)
            let wide = Tensor.dense([1, 0, 2, 0, 3, 0, -1, -1, 4, 0, 5, 0, 6, 0, -1, -1], [16])
            let tensor = Tensor(shape: [2, 3], strides: [8, 2], type: .float32, storage: wide.storage)
            #expect(try backend.run(function, on: .all, ["x": tensor])["y_out"]?.values == doubled)
        }

        @Test func anotherViewOfAReturnedArrayIsWrappedAndKeepsTheArray() throws {
            let shapes = [package: Toy.doubling(), second: .doubling([6])]
            let world = try World(shapes, StandIn.Behaviour(traits: [.readOnly, .pooled]))
            let backend = world.backend()
            for name in [package, second] { try backend.load(world.function(name), on: .all) }
            func flat() throws -> Tensor {
                let made = try backend.run(world.function(package), on: .all, ["x": .dense(input, [2, 3])])["y_out"]
                let storage = try #require(made).storage
                return Tensor(shape: [6], strides: [1], type: .float32, storage: storage)
            }
            let made = try backend.run(world.function(second), on: .all, ["x": flat()])["y_out"]
            #expect(made?.values == twiceDoubled)
        }

        @Test func memoryOfOursStaysUntilCoreMLIsDoneWithIt() throws {
            final class Flag { var isSet = false }
            let released = Flag()
            var array: MLMultiArray? = try Tensor.dense(input, [2, 3]) { released.isSet = true }.multiArray()
            #expect(!released.isSet)
            #expect(array?.dataPointer.load(fromByteOffset: 20, as: Float.self) == 6)
            array = nil
            #expect(released.isSet)
        }

        // Types

        @Test func float16StaysFloat16BetweenBlocks() throws {
            let world = try World([package: .doubling([2, 3], "float16"), second: .doubling([2, 3], "float16")])
            #expect(try chain(world) == twiceDoubled)
            let counts = StandIn.shared.counts
            #expect((counts.inputsWrapped, counts.inputsReturned, counts.arraysRead) == (1, 1, 1))
        }

        @Test func float32InPlaceOfFloat16IsRefused() throws {
            let behaviour = StandIn.Behaviour(traits: [.padded, .readOnly])
            let world = try World([package: .doubling([2, 3], "float16"), second: .doubling()], behaviour)
            let said = failure { _ = try chain(world) }
            #expect(said.contains("function 'main' of \(package): Core ML returns output 'y_out' as float32 [2, 3]"))
        }

        @Test(arguments: [("float32", "float16"), ("float16", "float32")])
        func blocksOfDifferentPrecisionAreJoined(_ first: String, _ other: String) throws {
            let world = try World([package: .doubling([2, 3], first), second: .doubling([2, 3], other)])
            #expect(try chain(world) == twiceDoubled)
        }

        @Test func aConversionRoundsAsTheProcessorDoes() throws {
            var state: UInt32 = 1
            var values: [Float] = [
                0, -0, 65504, 65519, 65520, 65536, 1e30, .infinity, -.infinity, 0x1p-24, 0x1p-25, 6e-8,
            ]
            while values.count < 100_000 {
                state = state &* 1_664_525 &+ 1_013_904_223
                values.append(Float(bitPattern: state))  // among them all halves between two
                values.append(Float(Float16(bitPattern: UInt16(state >> 16))) * (1 + 0x1p-11))
            }
            values = values.filter { !$0.isNaN }
            let made = try #require(Tensor.dense(values, [1, values.count]).converted(to: .float16))
            #expect(made.values == values.map { Float(Float16($0)) })
            #expect(made.converted(to: .float32)?.values == made.values)
            let none = try #require(Tensor.dense([.nan], [1]).converted(to: .float16))
            #expect(none.values[0].isNaN)
        }

        @Test func aConversionGoesByStrides() throws {
            let wide = Tensor.dense([1, 2, 3, -1, 4, 5, 6, -1], [8])
            let tensor = Tensor(shape: [3, 2], strides: [1, 4], type: .float32, storage: wide.storage)
            #expect(tensor.converted(to: .float16)?.values == [1, 4, 2, 5, 3, 6])
        }

        @Test func integersAreNotTakenForNumbersWithFractions() throws {
            let world = try twoBlocks()
            let backend = world.backend()
            let function = try world.function(package)
            try backend.load(function, on: .all)
            let given = Tensor.dense(input, [2, 3])
            let whole = Tensor(shape: [2, 3], strides: [3, 1], type: .int32, storage: given.storage)
            let said = failure { _ = try backend.run(function, on: .all, ["x": whole]) }
            #expect(said.contains("input 'x' is given as int32 [2, 3]; the manifest has float32 [2, 3]"))
        }

        @Test func integersGoIn() throws {
            let toy = Toy(functions: [
                Toy.Function(
                    "main", inputs: [Toy.Feature("x", "int32", [1, 4])],
                    outputs: [Toy.Feature("y_out", "float32", [1, 4], from: "x", times: 0.5)])
            ])
            let world = try World([package: toy])
            let backend = world.backend()
            let function = try world.function(package)
            try backend.load(function, on: .cpuOnly)
            let memory = UnsafeMutableBufferPointer<Int32>.allocate(capacity: 4)
            _ = memory.initialize(from: [3, -1, 7, 2_000_000_000])
            let storage = TensorStorage(UnsafeMutableRawBufferPointer(memory)) { $0.deallocate() }
            let ids = Tensor(shape: [1, 4], strides: [4, 1], type: .int32, storage: storage)
            let made = try backend.run(function, on: .cpuOnly, ["x": ids])["y_out"]
            #expect(made?.values == [1.5, -0.5, 3.5, 1e9])
        }

        // What is asked wrongly

        @Test func anInputOfAnotherShapeOrNoneIsToldByItsName() throws {
            let world = try twoBlocks()
            let backend = world.backend()
            let function = try world.function(package)
            try backend.load(function, on: .all)
            let missing = failure { _ = try backend.run(function, on: .all, [:]) }
            #expect(missing == "function 'main' of \(package): input 'x' is not given")
            let flat = failure { _ = try backend.run(function, on: .all, ["x": .dense(input, [6])]) }
            #expect(flat.contains("input 'x' is given as float32 [6]; the manifest has float32 [2, 3]"))
        }

        @Test func aPackageThatIsNotInMemoryIsNotRun() throws {
            let world = try twoBlocks()
            let backend = world.backend()
            let function = try world.function(package)
            let never = failure { _ = try backend.run(function, on: .all, ["x": .dense(input, [2, 3])]) }
            #expect(never == "function 'main' of \(package): is run, but its package is not in memory")
            try backend.load(function, on: .all)
            try backend.evict(package: package)
            let after = failure { _ = try backend.run(function, on: .all, ["x": .dense(input, [2, 3])]) }
            #expect(after == never)
        }

        @Test func aModelThatIsNotTheManifestsIsRefusedAtItsLoad() throws {
            let others: [(Toy, String)] = [
                (.doubling([3, 2]), "input 'x' is float32 [3, 2]; the manifest has float32 [2, 3]"),
                (.doubling([2, 3], "float16"), "input 'x' is float16 [2, 3]; the manifest has float32 [2, 3]"),
                (.doubling([2, 3], output: "float16"), "output 'y_out' is float16 [2, 3]"),
            ]
            for (other, told) in others {
                let world = try twoBlocks()
                try other.write(to: world.folder.appendingPathComponent(package))
                let said = failure { try world.backend().load(world.function(package), on: .all) }
                #expect(said.contains("function 'main' of \(package): \(told)"))
            }
        }

        @Test func inputsAndOutputsThatTheManifestDoesNotKnowAreRefused() throws {
            let names = [
                (["x", "z"], ["y_out"], "input 'z' is not in the manifest"),
                (["z"], ["y_out"], "input 'x' is not there; the manifest has float32 [2, 3]"),
                (["x"], ["y_out", "w"], "output 'w' is not in the manifest"),
                (["x"], ["w"], "output 'y_out' is not there"),
            ]
            for (inputs, outputs, told) in names {
                let world = try twoBlocks()
                let toy = Toy(functions: [
                    Toy.Function(
                        "main", inputs: inputs.map { Toy.Feature($0, "float32", [2, 3]) },
                        outputs: outputs.map { Toy.Feature($0, "float32", [2, 3], from: inputs[0]) })
                ])
                try toy.write(to: world.folder.appendingPathComponent(package))
                let said = failure { try world.backend().load(world.function(package), on: .all) }
                #expect(said.contains(told))
            }
        }

        // Functions and compute units

        @Test func theOnlyFunctionOfAPackageIsAskedForWithoutAName() throws {
            let world = try twoBlocks()
            try world.backend().load(world.function(package), on: .all)
            #expect(StandIn.shared.counts.loads == 1)
        }

        @Test func theOthersAreLoadedWhenTheyAreFirstRun() throws {
            let world = try World([package: .twice()])
            let backend = world.backend()
            try backend.load(world.function(package, "plain"), on: .all)
            #expect(StandIn.shared.counts.loads == 1)
            for _ in 0..<2 {
                let made = try backend.run(
                    world.function(package, "tdtm"), on: .all, ["x": .dense(input, [2, 3])])
                #expect(made["y_out"]?.values == [4, 7, 10, 13, 16, 19])
                #expect(StandIn.shared.counts.loads == 2)
            }
            let plain = try backend.run(world.function(package, "plain"), on: .all, ["x": .dense(input, [2, 3])])
            #expect(plain["y_out"]?.values == doubled)
        }

        @Test func aFunctionThatThePackageDoesNotHaveIsNamed() throws {
            let world = try World([package: .twice()])
            try Toy.doubling().write(to: world.folder.appendingPathComponent(package))
            let said = failure { try world.backend().load(world.function(package, "tdtm"), on: .all) }
            #expect(said.contains("function 'tdtm' of \(package)"))
            #expect(said.contains("has no function named tdtm"))
        }

        @Test(arguments: [
            (Manifest.ComputeUnits.cpuOnly, MLComputeUnits.cpuOnly), (.cpuAndGPU, .cpuAndGPU),
            (.cpuAndNeuralEngine, .cpuAndNeuralEngine), (.all, .all),
        ])
        func itsComputeUnitsAreThePlans(_ planned: Manifest.ComputeUnits, _ told: MLComputeUnits) throws {
            let world = try twoBlocks()
            try world.backend().load(world.function(package), on: planned)
            #expect(StandIn.shared.counts.units == told)
        }

        // Memory

        @Test func anEvictionGivesAllFunctionsAndArraysBack() throws {
            let before = StandIn.shared.counts
            let world = try World([package: .twice(), second: .twice()])
            let backend = world.backend()
            for name in [package, second] { try backend.load(world.function(name, "plain"), on: .all) }
            for name in ["plain", "tdtm"] {
                let made = try backend.run(world.function(package, name), on: .all, ["x": .dense(input, [2, 3])])
                #expect(made.count == 1)
            }
            #expect(StandIn.shared.counts.liveModels == before.liveModels + 3)
            try backend.evict(package: package)
            #expect(StandIn.shared.counts.liveModels == before.liveModels + 1)
            try backend.evict(package: second)
            #expect(StandIn.shared.counts.liveModels == before.liveModels)
            #expect(StandIn.shared.counts.liveArrayBytes == before.liveArrayBytes)
        }

        @Test func nothingIsLeftInPoolsThatNeverEnd() throws {
            #expect(try chain(twoBlocks()) == twiceDoubled)
            #expect(StandIn.shared.counts.handedOutWithoutPool == 0)
        }

        @Test(arguments: [StandIn.Fault.failingRun, .missingOutput, .otherShape, .otherDescription, .failingLoad])
        func afterAFailureNothingIsHeldOnceItIsEvicted(_ fault: StandIn.Fault) throws {
            let before = StandIn.shared.counts
            let world = try twoBlocks(StandIn.Behaviour(faults: [fault: "001"]))
            let backend = world.backend()
            let said = failure {
                for name in [package, second] { try backend.load(world.function(name), on: .all) }
                var tensor = Tensor.dense(input, [2, 3])
                for name in [package, second] {
                    tensor = try #require(try backend.run(world.function(name), on: .all, ["x": tensor])["y_out"])
                }
            }
            #expect(said.contains(second))
            for name in [package, second] { try backend.evict(package: name) }
            #expect(StandIn.shared.counts.liveModels == before.liveModels)
            #expect(StandIn.shared.counts.liveArrayBytes == before.liveArrayBytes)
        }

        @Test func evictingWhatIsNotInMemoryDoesNothing() throws {
            let backend = try twoBlocks().backend()
            try backend.evict(package: package)
            try backend.evict(package: "no.mlpackage")
            #expect(StandIn.shared.counts.loads == 0)
        }

        @Test func aTensorOutlivesTheModelThatMadeIt() throws {
            let before = StandIn.shared.counts.liveArrayBytes
            let world = try twoBlocks()
            let backend = world.backend()
            try backend.load(world.function(package), on: .all)
            var tensor = try backend.run(world.function(package), on: .all, ["x": .dense(input, [2, 3])])["y_out"]
            try backend.evict(package: package)
            #expect(tensor?.values == doubled)
            #expect(StandIn.shared.counts.liveArrayBytes > before)
            tensor = nil
            #expect(StandIn.shared.counts.liveArrayBytes == before)
        }

        @Test func aRunGoesOnBesideALoad() throws {
            let world = try twoBlocks()
            let backend = world.backend()
            let (function, other) = try (world.function(package), world.function(second))
            try backend.load(function, on: .all)
            let (begun, isRun, isLoaded) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0), DispatchGroup())
            var behaviour = StandIn.Behaviour()
            // The load waits until a run is over that begins after it.
            behaviour.onLoad = { _ in
                begun.signal()
                _ = isRun.wait(timeout: .now() + 600)
            }
            StandIn.shared.behave(behaviour)
            DispatchQueue.global().async(group: isLoaded) { try? backend.load(other, on: .all) }
            begun.wait()
            let made = try backend.run(function, on: .all, ["x": .dense(input, [2, 3])])
            #expect(StandIn.shared.counts.loads == 0)
            isRun.signal()
            isLoaded.wait()
            #expect(made["y_out"]?.values == doubled)
            #expect(StandIn.shared.counts.loads == 1)
        }

        // Output backings

        @Test func backingsAreNotOfferedUnlessAskedFor() throws {
            let world = try twoBlocks(StandIn.Behaviour(traits: [.readOnly, .pooled]))
            #expect(try chain(world) == twiceDoubled)
            #expect(StandIn.shared.counts.backingsUsed == 0)
        }

        @Test(arguments: [true, false])
        func backingsMayBeTakenOrNot(_ areIgnored: Bool) throws {
            let traits: Set<StandIn.Trait> = areIgnored ? [.padded, .ignoresBackings] : [.padded]
            let world = try twoBlocks(StandIn.Behaviour(traits: traits))
            #expect(try chain(world, offersBackings: true) == twiceDoubled)
            #expect(StandIn.shared.counts.backingsUsed == (areIgnored ? 0 : 2))
        }

        @Test func withBackingsAnInputIsNeverWrittenTo() throws {
            let world = try World([package: .doubling()], StandIn.Behaviour(traits: []))
            let backend = world.backend(offersBackings: true)
            let function = try world.function(package)
            try backend.load(function, on: .all)
            let first = try #require(try backend.run(function, on: .all, ["x": .dense(input, [2, 3])])["y_out"])
            let other = try #require(try backend.run(function, on: .all, ["x": first])["y_out"])
            #expect(first.values == doubled)
            #expect(other.values == twiceDoubled)
        }
    }
}
