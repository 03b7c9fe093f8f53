import Foundation
import Testing
import ToyBlocks

@testable import SoraCore

/// A harness over toy blocks, in a folder of its own.
private struct World {
    let folder: Folder
    let toy = ToyBlocks()
    var export = ToyExport()
    var settings = Harness.Settings()
    var names = SystemNames(machine: "iPhone16,1", os: "iOS 18.1", osBuild: "22B83")

    init(numBlocks: Int = 3, hasMerging: Bool = false) throws {
        folder = try Folder()
        export = ToyExport(numBlocks: numBlocks, hasMerging: hasMerging)
    }

    var path: String { folder.file("capture.json") }

    func harness(_ toy: ToyBlocks? = nil) throws -> Harness {
        let toy = toy ?? self.toy
        let keeper = try JournalKeeper(folder: folder.file("state"), meter: toy)
        return Harness(
            try export.manifest(), backend: toy, meter: toy, keeper: keeper, names: names, clock: toy.clock,
            settings: settings)
    }

    @discardableResult
    func capture(
        _ toy: ToyBlocks? = nil, control: HarnessControl = HarnessControl(),
        tell: @escaping @Sendable (HarnessProgress) -> Void = { _ in }
    ) throws -> Capture { try harness(toy).capture(to: path, control: control, tell: tell) }

    var written: Capture? { get throws { try Capture.read(path: path) } }

    /// As if the app had been ended while it did this to a block.
    func end(_ action: Ending.Action, _ number: Int, footprint: Int? = nil, isInBackground: Bool = false) throws {
        let keeper = try JournalKeeper(folder: folder.file("state"), meter: toy)
        let session = try keeper.begin(.profile)
        let block = try export.manifest().blocks[number]
        _ = try session.begin(action, BlockFunction(block, try #require(block.function(.plain))))
        if let footprint { session.note(footprintBytes: footprint) }
        if isInBackground { session.note(isInBackground: true) }
    }
}

/// What is told, from any thread.
private final class Log<Value: Sendable>: @unchecked Sendable {
    private let lock = NSLock()
    private var values: [Value] = []
    func add(_ value: Value) { lock.withLock { values.append(value) } }
    var all: [Value] { lock.withLock { values } }
}

@Suite("What the harness measures")
struct HarnessTests {
    @Test func loadsAndRunsAloneTakeWhatTheyTake() throws {
        let block = try World(numBlocks: 1).capture().blocks[0]
        #expect(block.firstLoadS == [2])
        #expect(block.laterLoadS == [2, 2, 2])
        #expect(block.firstRunS == [1, 1, 1, 1])
        #expect(block.laterRunS == [0.5, 0.5, 0.5, 0.5])
        #expect(block.unloadS == [0.25, 0.25, 0.25, 0.25])
        #expect(block.loadWhileRunningS == [] && block.runWhileLoadingS == [])
    }

    @Test func memoryIsReadAroundEachLoad() throws {
        let block = try World(numBlocks: 1).capture().blocks[0]
        #expect(block.memory.count == 4)
        #expect(block.memory.allSatisfy { ($0.beforeLoad, $0.afterLoad, $0.afterEvict) == (1_000, 1_100, 1_000) })
    }

    /// The toy's load holds 30 bytes more while it lasts; the thread that reads is held until it has read.
    @Test func peaksAreThoseOfTheLoadAndOfTheRuns() throws {
        let world = try World(numBlocks: 1)
        world.toy.reallyS = 0.05
        let block = try world.capture().blocks[0]
        #expect(block.memory.map(\.loadPeak).max() == 1_130)
        #expect(block.memory.map(\.runPeak).max() == 1_110)
        #expect(block.memory.allSatisfy { (1_100...1_130).contains($0.loadPeak) })
        #expect(block.memory.allSatisfy { (1_100...1_110).contains($0.runPeak) })
    }

    @Test func withoutAFootprintMemoryIsLeftOut() throws {
        let world = try World(numBlocks: 1)
        world.toy.tellsFootprint = false
        let capture = try world.capture()
        #expect(capture.blocks[0].memory == [])
        #expect(capture.baselineBytes == [])
        #expect(capture.blocks[0].laterLoadS.count == 3)
        #expect(try !world.folder.text("capture.json").contains("memory"))
    }

    @Test func theBaselineIsReadWithNothingInMemory() throws {
        #expect(try World().capture().baselineBytes == [1_000])
    }

    @Test func whatLingersAfterAnEvictionIsWaitedFor() throws {
        let world = try World(numBlocks: 1)
        world.toy.lingering = [90_000_000, 60_000_000, 30_000_000]
        #expect(try world.capture().blocks[0].memory.map(\.afterEvict) == [1_000, 1_000, 1_000, 1_000])
    }

    @Test func whatStaysIsWaitedForTwoSeconds() throws {
        let world = try World(numBlocks: 1)
        world.toy.lingering = (0..<1_000).map { 10_000_000_000 - $0 * 2_000_000 }
        let left = try #require(try world.capture().blocks[0].memory.first?.afterEvict)
        #expect(left > 9_000_000_000)
    }

    @Test func besideARunLoadsAreTimedAndTheOtherWayRound() throws {
        let world = try World()
        world.toy.loadsOutlastRuns = true
        let blocks = try world.capture().blocks
        #expect(blocks.map(\.loadWhileRunningS.count) == [3, 3, 3])
        #expect(blocks.map(\.runWhileLoadingS.count) == [3, 3, 3])
        #expect(world.toy.mostLoads == 1)
        #expect(world.toy.mostRuns == 1)
    }

    @Test func whatDoesNotGoOnThroughoutIsNoSample() throws {
        let world = try World()
        world.toy.limitBytes = 1_000 + 100 + 4 * 90
        let blocks = try world.capture().blocks
        #expect(blocks.map(\.runWhileLoadingS) == [[], [], []], "there is no room to load another")
        #expect(blocks.map(\.loadWhileRunningS.count) == [3, 3, 3])
    }

    @Test func noNeighbourIsInMemoryWhileABlockIsMeasuredAlone() throws {
        let world = try World()
        try world.capture()
        var held: Set<String> = []
        var numAlone = 0
        for event in world.toy.events.prefix(4 * 4) {
            switch event {
            case .load(let package, _):
                #expect(held.isEmpty)
                held.insert(package)
            case .run(let package, _):
                #expect(held == [package])
                numAlone += 1
            case .evict(let package): held.remove(package)
            }
        }
        #expect(numAlone == 8)
    }

    /// A block that is loaded as another's neighbour first would have none.
    @Test func everyPackageHasAFirstLoad() throws {
        let capture = try World(hasMerging: true).capture()
        let first = capture.blocks.filter { $0.block.kind == .plain }
        #expect(first.map(\.firstLoadS) == [[2], [2], [2]])
        #expect(capture.blocks.filter { $0.block.kind == .tdtm }.map(\.firstLoadS) == [[], [], []])
        #expect(capture.blocks.map(\.loadWhileRunningS.count) == Array(repeating: 3, count: 6))
    }

    @Test func inTheEndNothingIsInMemory() throws {
        let world = try World(hasMerging: true)
        try world.capture()
        #expect(world.toy.inMemory == [])
    }

    @Test func everyFunctionOnEveryChoiceOfUnitsIsMeasured() throws {
        var world = try World(numBlocks: 2, hasMerging: true)
        world.settings.computeUnits = [.cpuAndGPU, .all]
        world.settings.repeats = 1
        let capture = try world.capture()
        #expect(
            capture.blocks.map { "\($0.block.package) \($0.block.function) \($0.block.computeUnits.rawValue)" } == [
                "b0.mlpackage plain cpu_and_gpu", "b0.mlpackage plain all", "b0.mlpackage tdtm cpu_and_gpu",
                "b0.mlpackage tdtm all", "b1.mlpackage plain cpu_and_gpu", "b1.mlpackage plain all",
                "b1.mlpackage tdtm cpu_and_gpu", "b1.mlpackage tdtm all",
            ])
        #expect(capture.blocks[0].firstLoadS == [2])
        #expect(capture.blocks[0].laterLoadS == [2])
        #expect(capture.blocks[1].firstLoadS == [], "its package has been loaded, on other units")
        #expect(capture.blocks[1].laterLoadS == [2], "nor is that load a later one")
    }

    @Test func repeatsAreThoseThatWereAskedFor() throws {
        var world = try World()
        world.settings.repeats = 5
        let block = try #require(try world.capture().blocks.first { $0.block.package == "b1.mlpackage" })
        #expect((block.firstLoadS.count, block.laterLoadS.count, block.firstRunS.count) == (1, 5, 6))
        #expect(block.loadWhileRunningS.count == 5)
    }

    @Test func aPackageThatThisInstallHasLoadedHasNoFirstLoad() throws {
        let world = try World(numBlocks: 1)
        try world.capture()
        try FileManager.default.removeItem(atPath: world.path)
        let block = try world.capture().blocks[0]
        #expect(block.firstLoadS == [])
        #expect(block.laterLoadS == [2, 2, 2])
    }

    @Test func inputsAreTheSameForTheSameSeed() throws {
        let function = try #require(try ToyExport().manifest().blocks[0].function(.plain))
        func values(_ seed: UInt64) -> [String: [Float]] {
            RandomInputs.make(for: function, seed: seed).mapValues { $0.floats() }
        }
        #expect(values(7) == values(7))
        #expect(values(7) != values(8))
    }

    @Test func inputsAreOfTheDeclaredShapesAndTypes() throws {
        let function = Manifest.Function(
            kind: .plain, package: "a.mlpackage", function: "main",
            inputs: [
                Manifest.Feature(feature: "f", tensor: "f", type: .float32, shape: [2, 3, 4]),
                Manifest.Feature(feature: "h", tensor: "h", type: .float16, shape: [5]),
                Manifest.Feature(feature: "i", tensor: "i", type: .int32, shape: [40]),
            ], outputs: [])
        let inputs = RandomInputs.make(for: function, seed: 3)
        let f = try #require(inputs["f"])
        #expect((f.shape, f.strides, f.type) == ([2, 3, 4], [12, 4, 1], .float32))
        let floats = Array(f.storage.bytes.bindMemory(to: Float.self).prefix(24))
        #expect(floats.allSatisfy { (0.5..<1).contains($0.magnitude) })
        #expect(Set(floats).count == 24 && floats.contains { $0 < 0 } && floats.contains { $0 > 0 })
        let halves = try #require(inputs["h"]).storage.bytes.bindMemory(to: UInt16.self)
        #expect(halves.prefix(5).allSatisfy { ($0 >> 10) & 0x1f == 14 }, "the exponent of 1/2")
        let ids = try #require(inputs["i"]).storage.bytes.bindMemory(to: Int32.self).prefix(40)
        #expect(Set(ids) == [0, 1])
    }

    @Test func conditionsSayWhatMeasuredWhere() throws {
        let world = try World(numBlocks: 1)
        world.toy.thermalStates = [.fair]
        world.toy.isLowPower = true
        world.toy.limitBytes = 10_000
        let conditions = try world.capture().conditions
        #expect((conditions.deviceModel, conditions.os, conditions.osBuild) == ("iPhone16,1", "iOS 18.1", "22B83"))
        #expect((conditions.thermalState, conditions.isLowPowerMode, conditions.freeBytes) == (.fair, true, 9_000))
        #expect(conditions.tools == ["harness": "1"])
        #expect(conditions.date == "2027-01-15T08:00:00.000Z")
    }

    @Test func heatIsWaitedForAndToldBeforeAndAfter() throws {
        let world = try World(numBlocks: 1)
        world.toy.thermalStates = [.nominal, .critical, .serious, .fair, .fair, .serious]
        let log = Log<HarnessProgress>()
        let capture = try world.capture { log.add($0) }
        #expect(capture.conditions.thermalState == .nominal)
        #expect(capture.blocks[0].thermalStates == [.fair, .serious])
        #expect(log.all.prefix(2) == [.cools(.critical, seconds: 0), .cools(.serious, seconds: 5)])
    }

    @Test func heatThatStaysIsNotWaitedForForEver() throws {
        var world = try World(numBlocks: 1)
        world.toy.thermalStates = [.critical]
        world.settings.longestCoolingS = 20
        let log = Log<HarnessProgress>()
        let capture = try world.capture { log.add($0) }
        #expect(capture.blocks[0].thermalStates == [.critical, .critical])
        #expect(log.all.count { if case .cools = $0 { true } else { false } } == 4)
    }

    @Test func progressSaysWhichOfHowMany() throws {
        let world = try World(numBlocks: 2)
        let log = Log<HarnessProgress>()
        let capture = try world.capture { log.add($0) }
        let named = log.all.compactMap { progress -> String? in
            switch progress {
            case .measures(let block, let number, let count): "\(block.package) \(number)/\(count)"
            case .measured(let block): "done \(block.block.package)"
            default: nil
            }
        }
        #expect(named == ["b0.mlpackage 1/2", "done b0.mlpackage", "b1.mlpackage 2/2", "done b1.mlpackage"])
        #expect(log.all.contains(.acted(.load, capture.blocks[0].block, seconds: 2)))
    }
}

@Suite("A capture goes on where it was")
struct HarnessGoingOnTests {
    @Test func whatIsMeasuredIsNotMeasuredAgain() throws {
        let world = try World()
        let before = try world.capture()
        let again = ToyBlocks()
        let log = Log<HarnessProgress>()
        let after = try world.capture(again) { log.add($0) }
        #expect(again.events == [])
        #expect(after.blocks == before.blocks)
        #expect(after.baselineBytes == [1_000, 1_000])
        #expect(log.all.count == 3)
        #expect(log.all.first == .isMeasured(before.blocks[0].block, number: 1, of: 3))
    }

    @Test func itIsWrittenAfterEachBlock() throws {
        let world = try World()
        let log = Log<Int>()
        let path = world.path
        try world.capture { progress in
            if case .measures = progress { log.add((try? Capture.read(path: path))??.blocks.count ?? 0) }
        }
        #expect(log.all == [0, 1, 2])
    }

    @Test func stoppedItKeepsWhatThereIs() throws {
        let world = try World()
        let control = HarnessControl()
        let capture = try world.capture(control: control) { progress in
            if case .measures(_, 2, _) = progress { control.stop() }
        }
        #expect(capture.blocks.map(\.block.package) == ["b0.mlpackage"])
        #expect(try world.written == capture)
        #expect(world.toy.inMemory == [])
        #expect(try world.capture().blocks.count == 3)
    }

    @Test func stoppedWhileItMeasuresNothingStaysInMemory() throws {
        let world = try World()
        let control = HarnessControl()
        let capture = try world.capture(control: control) { progress in
            if case .acted(.run, _, _) = progress { control.stop() }
        }
        #expect(capture.blocks == [])
        #expect(world.toy.inMemory == [])
        #expect(try world.written == nil)
    }

    @Test func afterAPauseABlockIsMeasuredAnew() throws {
        let world = try World(numBlocks: 1)
        let control = HarnessControl()
        let log = Log<Int>()
        let capture = try world.capture(control: control) { progress in
            guard case .acted(.run, _, _) = progress else { return }
            log.add(1)
            if log.all.count == 1 {
                control.pause()
                control.resume()
            }
        }
        #expect(capture.blocks[0].laterRunS.count == 3, "measured again, when no load was the first any more")
        #expect(capture.blocks[0].firstLoadS == [])
        #expect(log.all.count == 8 + 6)
    }

    @Test func whatFailsWhilePausedIsDoneAgain() throws {
        let world = try World(numBlocks: 1)
        let control = HarnessControl()
        let log = Log<Int>()
        world.toy.failure = { event in
            guard case .run = event, log.all.isEmpty else { return nil }
            log.add(1)
            control.pause()
            DispatchQueue.global().async { control.resume() }
            return "no GPU in the background"
        }
        let capture = try world.capture(control: control)
        #expect(capture.failures == [])
        #expect(capture.blocks.count == 1)
    }

    /// iOS ends apps in the background for less: such an end says nothing of the limit.
    @Test func whilePausedTheJournalSaysThatTheAppIsNotShown() throws {
        let world = try World(numBlocks: 1)
        let control = HarnessControl()
        let log = Log<Int>()
        try world.capture(control: control) { progress in
            guard case .acted(.load, _, _) = progress, log.all.isEmpty else { return }
            log.add(1)
            control.pause()
            control.resume()
        }
        let lines = try world.folder.text("state/journal.jsonl").split(separator: "\n").map(String.init)
        let places = ["{\"background\": true}", "{\"background\": false}"].map { lines.firstIndex(of: $0) }
        let (left, back) = (try #require(places[0]), try #require(places[1]))
        #expect(back == left + 1)
        control.pause()
        #expect(try world.folder.text("state/journal.jsonl").split(separator: "\n").count == lines.count)
    }

    @Test func aPackageThatHasChangedIsMeasuredAgain() throws {
        var world = try World()
        try world.capture()
        let sums = world.export.checksum
        world.export.checksum = { $0 == 1 ? String(repeating: "b", count: 64) : sums($0) }
        let again = ToyBlocks()
        let capture = try world.capture(again)
        #expect(capture.blocks.count == 3)
        #expect(capture.blocks[1].block.checksum == String(repeating: "b", count: 64))
        #expect(again.events.first == .load("b1.mlpackage", "main"))
    }

    @Test(arguments: [
        (SystemNames(machine: "iPhone17,1", os: "iOS 18.1", osBuild: "22B83"), "another device: iPhone16,1, now"),
        (SystemNames(machine: "iPhone16,1", os: "iOS 18.2", osBuild: "22C1"), "another system: iOS 18.1 22B83, now"),
    ])
    func ofAnotherSystemItIsRefused(names: SystemNames, words: String) throws {
        var world = try World(numBlocks: 1)
        try world.capture()
        world.names = names
        let error = #expect(throws: DocumentError.self) { try world.capture() }
        #expect(error?.description.contains("begun with \(words)") == true, "\(error?.description ?? "")")
    }

    @Test func countsAreKnownBeforehand() throws {
        let world = try World()
        do {
            let counts = try world.harness().counts(in: world.path)
            #expect(counts == (3, 0))
        }
        try world.capture()
        let counts = try world.harness().counts(in: world.path)
        #expect(counts == (3, 3))
    }

    @Test(arguments: ["{}", "", "[1]", "{\"format\": \"ondevice-sora-capture-2\"}", "\u{0}"])
    func aFileThatIsNoCaptureIsKept(text: String) throws {
        let world = try World(numBlocks: 1)
        try world.folder.write("capture.json", text)
        let error = #expect(throws: DocumentError.self) { try world.capture() }
        #expect(error?.description.contains("Choose another file for the capture") == true)
        #expect(try world.folder.text("capture.json") == text)
    }

    @Test func aFolderInItsPlaceIsOneMessage() throws {
        let world = try World(numBlocks: 1)
        try Files.makeFolder(world.path)
        let error = #expect(throws: DocumentError.self) { try world.capture() }
        #expect(error?.description.contains("capture.json: this is not a file") == true)
    }

    @Test func aFolderThatIsGoneIsOneMessageAndNothingStaysInMemory() throws {
        let world = try World()
        let keeper = try JournalKeeper(folder: world.folder.file("state"), meter: world.toy)
        let harness = Harness(
            try world.export.manifest(), backend: world.toy, meter: world.toy, keeper: keeper, names: world.names,
            clock: world.toy.clock)
        let error = #expect(throws: DocumentError.self) {
            try harness.capture(to: world.folder.file("nowhere/capture.json"))
        }
        #expect(error?.description.contains("nowhere/capture.json: cannot be written: there is no such folder") == true)
        #expect(world.toy.inMemory == [])
    }
}

@Suite("What fails, and what ended the app, is in the capture")
struct HarnessFailureTests {
    @Test func aBlockThatDoesNotLoadIsLeftOut() throws {
        let world = try World()
        world.toy.failure = { $0 == .load("b1.mlpackage", "main") ? "no such\nmodel" : nil }
        let capture = try world.capture()
        let failure = try #require(capture.failures.first { $0.block.package == "b1.mlpackage" })
        #expect(capture.blocks.map(\.block.package) == ["b0.mlpackage", "b2.mlpackage"])
        #expect((failure.action, failure.hasEndedApp) == (.load, false))
        #expect(failure.reason == "no such\\u000amodel")
        #expect(world.toy.inMemory == [])
    }

    @Test func aBlockThatDoesNotRunIsGivenBack() throws {
        let world = try World(numBlocks: 1)
        world.toy.failure = { $0 == .run("b0.mlpackage", "main") ? "out of memory" : nil }
        let capture = try world.capture()
        #expect(capture.blocks == [])
        #expect(capture.failures.map(\.reason) == ["out of memory"])
        #expect(capture.failures[0].action == .run)
        #expect(world.toy.inMemory == [])
        #expect(try world.written == capture)
    }

    @Test func whatFailsBesideAnotherCostsThoseSamplesAlone() throws {
        let world = try World(numBlocks: 2)
        let log = Log<Int>()
        world.toy.failure = { event in
            guard event == .load("b1.mlpackage", "main") else { return nil }
            log.add(1)
            return log.all.count == 5 ? "busy" : nil
        }
        let capture = try world.capture()
        #expect(capture.blocks.map(\.laterLoadS.count) == [3, 3])
        #expect(capture.measured(try toyBlock(0))?.loadWhileRunningS == [])
        #expect(capture.measured(try toyBlock(1))?.loadWhileRunningS.count == 3)
        #expect(capture.failures.map(\.block.package) == ["b0.mlpackage"])
        #expect(
            capture.failures[0].reason
                == "beside it, block 'spatial_1..temporal_1' of denoiser, on cpu_and_gpu: busy")
    }

    @Test func anEvictionThatFailsIsTold() throws {
        let world = try World(numBlocks: 1)
        world.toy.failure = { $0 == .evict("b0.mlpackage") ? "busy" : nil }
        #expect(try world.capture().failures.map(\.reason) == ["giving it back failed: busy"])
    }

    @Test func whatFailedIsTriedAgainAndForgottenOnceItIsMeasured() throws {
        let world = try World()
        world.toy.failure = { $0 == .run("b1.mlpackage", "main") ? "no" : nil }
        #expect(try world.capture().failures.contains { $0.block.package == "b1.mlpackage" })
        let capture = try world.capture(ToyBlocks())
        #expect(capture.failures.contains { $0.block.package == "b1.mlpackage" } == false)
        #expect(capture.blocks.count == 3)
    }

    @Test func whatFailedBesideAnotherIsTriedAgain() throws {
        let world = try World(numBlocks: 2)
        let log = Log<Int>()
        world.toy.failure = { event in
            guard event == .load("b1.mlpackage", "main") else { return nil }
            log.add(1)
            return log.all.count == 5 ? "busy" : nil
        }
        try world.capture()
        let again = ToyBlocks()
        let capture = try world.capture(again)
        #expect(capture.failures == [])
        #expect(capture.blocks.allSatisfy { $0.loadWhileRunningS.count == 3 })
        #expect(again.events.first == .load("b1.mlpackage", "main"), "beside it alone, as nothing else is missing")
    }

    /// What was measured alone is in the capture before the block is measured beside another.
    @Test func anEndBesideAnotherCostsThoseSamplesAlone() throws {
        let world = try World(numBlocks: 2)
        let path = world.path
        let log = Log<[Int]>()
        world.toy.failure = { event in
            if event == .load("b0.mlpackage", "main"), let capture = (try? Capture.read(path: path)) ?? nil {
                log.add(capture.blocks.map(\.laterLoadS.count))
            }
            return nil
        }
        try world.capture()
        #expect(log.all.first == [3, 3])
    }

    @Test func anEndOfTheAppIsAFailureWithItsFootprint() throws {
        let world = try World()
        world.toy.limitBytes = 3_300_000_000
        try world.end(.load, 1, footprint: 3_290_000_000)
        let failure = try #require(try world.capture().failures.first)
        #expect((failure.action, failure.hasEndedApp, failure.reason) == (.load, true, "the app was ended"))
        #expect((failure.footprintBytes, failure.limitBytes) == (3_290_000_000, 3_300_000_000))
        #expect(failure.block.package == "b1.mlpackage")
    }

    @Test func itIsAddedOnce() throws {
        let world = try World()
        try world.end(.load, 1)
        try world.capture()
        try world.capture()
        #expect(try world.capture().failures.count == 1)
    }

    @Test func itStaysThoughTheBlockIsMeasuredAfterAll() throws {
        let world = try World()
        try world.end(.run, 1)
        let capture = try world.capture()
        #expect(capture.blocks.count == 3)
        #expect(capture.failures.count == 1)
    }

    @Test func aBlockThatHasEndedTheAppTwiceIsLeftOut() throws {
        let world = try World()
        try world.end(.load, 1)
        try world.end(.run, 1)
        let log = Log<HarnessProgress>()
        let capture = try world.capture { log.add($0) }
        #expect(capture.blocks.map(\.block.package) == ["b0.mlpackage", "b2.mlpackage"])
        #expect(capture.failures.map(\.action) == [.load, .run])
        #expect(log.all.contains { if case .isLeftOut(_, 2, 3) = $0 { true } else { false } })
    }

    @Test func unlessItIsAskedFor() throws {
        var world = try World()
        try world.end(.load, 1)
        try world.end(.run, 1)
        world.settings.triesAgain = true
        #expect(try world.capture().blocks.count == 3)
    }

    @Test func anEndOfAGenerationIsOneToo() throws {
        let world = try World()
        do {
            let keeper = try JournalKeeper(folder: world.folder.file("state"), meter: world.toy)
            let block = try world.export.manifest().blocks[2]
            let session = try keeper.begin(.generation)
            _ = try session.begin(.run, BlockFunction(block, block.functions[0]))
        }
        #expect(try world.capture().failures.map(\.block.package) == ["b2.mlpackage"])
    }

    @Test func whatGoesOnBesideIsTold() throws {
        let world = try World()
        do {
            let keeper = try JournalKeeper(folder: world.folder.file("state"), meter: world.toy)
            let session = try keeper.begin(.generation)
            let blocks = try world.export.manifest().blocks
            _ = try session.begin(.run, BlockFunction(blocks[0], blocks[0].functions[0]))
            _ = try session.begin(.load, BlockFunction(blocks[1], blocks[1].functions[0]))
        }
        let failure = try #require(try world.capture().failures.first)
        #expect(failure.block.package == "b1.mlpackage")
        #expect(failure.reason.hasPrefix("the app was ended, also running block 'spatial_0..temporal_0' of denoiser"))
    }

    @Test func inTheBackgroundItSaysNothingOfTheLimit() throws {
        let world = try World()
        try world.end(.load, 1, isInBackground: true)
        #expect(try world.capture().failures == [])
    }

    @Test func endsAtBlocksOfAnotherExportAreNotOfThisCapture() throws {
        var world = try World()
        try world.end(.load, 1)
        world.export.checksum = { _ in String(repeating: "c", count: 64) }
        #expect(try world.capture().failures == [])
    }
}

@Suite("A capture is written as it is read")
struct CaptureTests {
    private func written() throws -> String {
        let world = try World(hasMerging: true)
        world.toy.limitBytes = 10_000
        world.toy.isLowPower = false
        try world.end(.load, 1)
        try world.capture()
        return try world.folder.text("capture.json")
    }

    @Test func nothingIsLostOnTheWay() throws {
        let text = try written()
        let capture = try Capture.read(Array(text.utf8), file: "c")
        #expect(capture.blocks.count == 6 && capture.failures.count == 1)
        #expect(capture.json == text)
    }

    @Test func whatWasNotMeasuredIsLeftOut() throws {
        var world = try World(numBlocks: 1)
        world.names = SystemNames(machine: "x", os: "y", osBuild: "")
        try world.capture()
        let text = try world.folder.text("capture.json")
        for key in ["while_running_s", "while_loading_s", "low_power_mode", "free_bytes", "os_build", "failures"] {
            #expect(!text.contains(key), "\(key)")
        }
        #expect(!text.contains("null") && !text.contains("\"\""))
    }

    @Test(arguments: [
        ("\"first_unit\": \"spatial_0\"", "\"first_unit\": \"a/b\"", "blocks[0].first_unit: expected a name"),
        ("\"variant\": \"plain\"", "\"variant\": \"best\"", "blocks[0].variant: expected one of plain"),
        ("\"loads\": {", "\"loads\": {\"frist_s\": [1], ", "blocks[0].loads.frist_s: this key is not known"),
        ("\"first_s\": [2.0]", "\"first_s\": [-2.0]", "blocks[0].loads.first_s[0]: expected a number from 0"),
        ("\"before_load\": [1000, ", "\"before_load\": [", "blocks[0].memory: lists of different lengths"),
        ("\"app_ended\": true", "\"app_ended\": 1", "failures[0].app_ended: expected true or false"),
        ("\"blocks\": [", "\"device\": \"iphone15pro\", \"blocks\": [", "device: this key is not known"),
        ("\"model\"", "\"modle\"", "modle: this key is not known"),
        ("\"low_power_mode\": false", "\"low_power_mode\": \"no\"", "conditions.low_power_mode: expected true or"),
    ])
    func oneThingWrong(before: String, after: String, words: String) throws {
        let text = try written()
        #expect(text.contains(before))
        let error = #expect(throws: DocumentError.self) {
            try Capture.read(Array(text.replacingFirst(before, with: after).utf8), file: "c")
        }
        #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }

    @Test func noCaptureEndsTheProgram() throws {
        var random = SplitMix(state: 20)
        let document = Array(try written().utf8)
        var numTaken = 0
        for _ in 0..<1_000 {
            var bytes = document
            let at = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<3, using: &random) {
            case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes.removeSubrange(at..<min(bytes.count, at + 5))
            default: bytes.insert(UInt8.random(in: 0x20...0x7e, using: &random), at: at)
            }
            do {
                numTaken += try Capture.read(bytes, file: "c").blocks.count > 0 ? 1 : 0
            } catch { #expect(error is DocumentError) }
        }
        #expect((1...900).contains(numTaken), "some still are captures, most are not: \(numTaken)")
    }
}
