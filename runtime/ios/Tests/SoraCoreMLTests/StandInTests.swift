import Foundation
import Testing

@testable import CoreML

/// That the stand-in behaves as we read Apple's documents. Only a Mac can tell whether that reading is right.
extension CoreMLTests {
    @Suite struct StandInTests {
        private let package = "p.mlpackage"

        private func compiled(_ world: World) throws -> URL {
            try CompiledModel.make(of: world.folder.appendingPathComponent(package))
        }

        private func model(_ world: World, function: String? = nil) throws -> MLModel {
            let configuration = MLModelConfiguration()
            configuration.functionName = function
            let url = try compiled(world)
            defer { try? FileManager.default.removeItem(at: url) }
            return try MLModel(contentsOf: url, configuration: configuration)
        }

        private func array(_ values: [Float], _ shape: [Int], _ type: MLMultiArrayDataType = .float32) throws
            -> MLMultiArray
        {
            let made = try MLMultiArray(shape: shape.map { NSNumber(value: $0) }, dataType: type)
            made.dataPointer.copyMemory(from: values, byteCount: min(made.layout.numBytes, values.count * 4))
            return made
        }

        private func input(_ array: MLMultiArray, _ name: String = "x") throws -> MLDictionaryFeatureProvider {
            try MLDictionaryFeatureProvider(dictionary: [name: array])
        }

        private func predicted(_ model: MLModel, _ options: MLPredictionOptions = MLPredictionOptions()) throws
            -> MLMultiArray
        {
            let given = try input(array([1, 2, 3, 4, 5, 6], [2, 3]))
            let result = try model.prediction(from: given, options: options)
            #expect(result.featureNames == ["y_out"])
            return try #require(result.featureValue(for: "y_out")?.multiArrayValue)
        }

        private func doubling(_ traits: Set<StandIn.Trait> = Set(StandIn.Trait.allCases)) throws -> World {
            try World([package: .doubling()], StandIn.Behaviour(traits: traits))
        }

        @Test func aPackageThatIsNotCompiledDoesNotLoad() throws {
            let world = try doubling()
            let said = failure {
                _ = try MLModel(
                    contentsOf: world.folder.appendingPathComponent(package), configuration: MLModelConfiguration())
            }
            #expect(said.contains("Compile the model with Xcode or `MLModel.compileModel(at:)`."))
        }

        @Test func compilingMakesATemporaryFolderAndLeavesThePackage() throws {
            let world = try doubling()
            let made = try compiled(world)
            defer { try? FileManager.default.removeItem(at: made) }
            #expect(made.pathExtension == "mlmodelc")
            #expect(made.path.hasPrefix(FileManager.default.temporaryDirectory.path))
            #expect(FileManager.default.fileExists(atPath: world.folder.appendingPathComponent(package).path))
            #expect(failure { _ = try CompiledModel.make(of: made) }.contains("A valid manifest does not exist"))
        }

        @Test func aFunctionThatIsAloneHasNoName() throws {
            #expect(failure { _ = try model(doubling(), function: "main") }.contains("no function named main"))
            _ = try model(doubling([]), function: "main")
            #expect(failure { _ = try model(doubling([]), function: "other") }.contains("no function named other"))
        }

        @Test func ofSeveralFunctionsTheFirstIsTheDefault() throws {
            let world = try World([package: .twice()])
            for (name, expected) in [(nil, 3), ("plain", 3), ("tdtm", 4)] as [(String?, Float)] {
                let made = try predicted(model(world, function: name))
                #expect(made.dataPointer.load(as: Float.self) == expected)
            }
        }

        @Test func rowsOfOutputsHaveGaps() throws {
            #expect(try predicted(model(doubling())).strides.map(\.intValue) == [16, 1])
            #expect(try predicted(model(doubling([]))).strides.map(\.intValue) == [3, 1])
        }

        @Test func outputsCannotBeWrittenTo() throws {
            func permissions(_ array: MLMultiArray) throws -> String {
                let file = try #require(FileHandle(forReadingAtPath: "/proc/self/maps"))
                let maps = String(decoding: try file.readToEnd() ?? Data(), as: UTF8.self)
                let address = UInt(bitPattern: array.dataPointer)
                let found = maps.split(separator: "\n").first { line in
                    let ends = line.prefix { $0 != " " }.split(separator: "-").compactMap { UInt($0, radix: 16) }
                    return ends.count == 2 && ends[0] <= address && address < ends[1]
                }
                return String(try #require(found).split(separator: " ")[1])
            }
            #expect(try permissions(predicted(model(doubling()))) == "r--p")
            #expect(try permissions(predicted(model(doubling([])))) == "rw-p")
        }

        @Test func outputsHaveTheTypesThatAreDeclared() throws {
            let toy = Toy.doubling([2, 3], output: "float16")
            #expect(try predicted(model(World([package: toy]))).dataType == .float16)
            #expect(try predicted(model(World([package: toy], StandIn.Behaviour(traits: [])))).dataType == .float32)
        }

        @Test func aModelDescribesItsFunction() throws {
            let description = try model(World([package: .doubling([2, 3], output: "float16")])).modelDescription
            let declared = try #require(description.inputDescriptionsByName["x"]?.multiArrayConstraint)
            #expect((declared.shape.map(\.intValue), declared.dataType) == ([2, 3], .float32))
            let made = try #require(description.outputDescriptionsByName["y_out"]?.multiArrayConstraint)
            #expect((made.shape.map(\.intValue), made.dataType) == ([2, 3], .float16))
        }

        @Test func inputsOfAnotherNameShapeOrTypeAreRefused() throws {
            let model = try model(doubling())
            let values: [Float] = [1, 2, 3, 4, 5, 6]
            let wrong: [(MLDictionaryFeatureProvider, String)] = [
                (try input(array(values, [2, 3]), "z"), "Feature x is required but not specified."),
                (try input(array(values, [3, 2])), "Feature x is float32 [3, 2]; the model wants float32 [2, 3]."),
                (try input(array(values, [2, 3], .int32)), "Feature x is int32 [2, 3]"),
            ]
            for (given, told) in wrong {
                #expect(failure { _ = try model.prediction(from: given) }.contains(told))
            }
        }

        @Test func anArrayWithoutValuesOrWithTooFewStridesIsNone() throws {
            #expect(failure { _ = try MLMultiArray(shape: [], dataType: .float32) }.contains("is no shape"))
            #expect(failure { _ = try MLMultiArray(shape: [2, 0], dataType: .float32) }.contains("is no shape"))
            let memory = UnsafeMutableRawPointer.allocate(byteCount: 16, alignment: 16)
            defer { memory.deallocate() }
            let said = failure {
                _ = try MLMultiArray(dataPointer: memory, shape: [2, 2], dataType: .float32, strides: [1])
            }
            #expect(said.contains("1 strides for 2 dimensions"))
        }

        @Test func aFeatureThatIsNoArrayIsRefused() {
            #expect(failure { _ = try MLDictionaryFeatureProvider(dictionary: ["x": 3]) }.contains("cannot be a Int"))
        }

        @Test func backingsAreIgnoredOrTheResultItself() throws {
            let options = MLPredictionOptions()
            let backing = try array([], [2, 3])
            options.outputBackings = ["y_out": backing]
            #expect(try predicted(model(doubling()), options) !== backing)
            #expect(try predicted(model(doubling([])), options) === backing)
            #expect(backing.dataPointer.load(fromByteOffset: 20, as: Float.self) == 13)
            options.outputBackings = ["y_out": try array([], [3, 2])]
            let said = failure { _ = try predicted(model(doubling([])), options) }
            #expect(said.contains("The output backing of y_out is float32 [3, 2]"))
        }

        @Test func whatIsHandedOutLivesUntilThePoolEnds() throws {
            let world = try doubling()
            let before = StandIn.shared.counts
            try autoreleasepool {
                try autoreleasepool { _ = try predicted(model(world)) }
                #expect(StandIn.shared.counts.liveModels == before.liveModels)
                _ = try predicted(model(world))
                #expect(StandIn.shared.counts.liveModels == before.liveModels + 1)
                #expect(StandIn.shared.counts.liveArrayBytes > before.liveArrayBytes)
            }
            #expect(StandIn.shared.counts.liveModels == before.liveModels)
            #expect(StandIn.shared.counts.liveArrayBytes == before.liveArrayBytes)
            #expect(StandIn.shared.counts.handedOutWithoutPool == 0)
        }

        @Test func aPoolEndsAlsoWhenItsBodyThrows() throws {
            let world = try doubling()
            let before = StandIn.shared.counts.liveModels
            let said = failure {
                try autoreleasepool {
                    _ = try predicted(model(world))
                    throw StandIn.error("enough")
                }
            }
            #expect(said == "enough")
            #expect(StandIn.shared.counts.liveModels == before)
        }

        @Test func withoutAPoolItIsToldThatSomethingStays() throws {
            _ = try predicted(model(doubling()))
            #expect(StandIn.shared.counts.handedOutWithoutPool > 0)
        }

        @Test func inAsynchronousCodeTheOtherFormsAreTaken() async throws {
            let world = try doubling()
            let url = try await MLModel.compileModel(at: world.folder.appendingPathComponent(package))
            defer { try? FileManager.default.removeItem(at: url) }
            let model = try await MLModel.load(contentsOf: url)
            let result = try await model.prediction(from: input(array([1, 2, 3, 4, 5, 6], [2, 3])))
            let made = try #require(result.featureValue(for: "y_out")?.multiArrayValue)
            #expect(made.dataPointer.load(as: Float.self) == 3)
        }

        @Test func itsBehaviourCanBeWrittenInWords() {
            let told = StandIn.Behaviour("no-padded,failing-load=denoiser.003,slow-load=")
            #expect(told.traits == Set(StandIn.Trait.allCases).subtracting([.padded]))
            #expect(told.faults == [.failingLoad: "denoiser.003", .slowLoad: ""])
            #expect(StandIn.Behaviour("").traits == Set(StandIn.Trait.allCases))
        }
    }

    /// The other process, played by the shell: descriptor 3 is for loads, 4 for runs.
    @Suite struct ReferenceTests {
        private func load(_ command: String?, times: Int = 1) throws -> String {
            let world = try World(["p.mlpackage": Toy.doubling()])
            let package = world.folder.appendingPathComponent("p.mlpackage")
            let url = try CompiledModel.make(of: package)
            defer { try? FileManager.default.removeItem(at: url) }
            let model = try CompiledModel(url)
            let reference = Reference(command)
            var said = ""
            for _ in 0..<times { said = failure { _ = try reference.load(model, "plain", .all) } }
            return said
        }

        @Test func withoutACommandItIsSaidWhatThisIs() throws {
            #expect(try load(nil).contains("this is a stand-in for Core ML, and SORA_STANDIN_COMMAND names nothing"))
        }

        @Test(arguments: ["true", "no-such-program-anywhere 2>/dev/null", "sh -c 'read line <&3'"])
        func aProcessThatEndsIsToldAndNotAwaited(_ command: String) throws {
            #expect(try load(command, times: 2).contains("the process of SORA_STANDIN_COMMAND has ended"))
        }

        @Test func whatItSaysWentWrongIsTheError() throws {
            let answers = #"sh -c 'while read line <&3; do echo "{\"error\": \"no room for $line\"}" >&3; done'"#
                .replacingOccurrences(of: "$line", with: "it")
            #expect(try load(answers, times: 2) == "no room for it")
        }

        @Test func anAnswerThatIsNoneIsAnError() throws {
            #expect(try load("sh -c 'read line <&3; echo nonsense >&3; read line <&3'") != "nothing")
        }
    }
}
