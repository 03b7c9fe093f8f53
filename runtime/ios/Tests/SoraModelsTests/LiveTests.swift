import Foundation
import Testing
import ToyBlocks

@testable import SoraCore
@testable import SoraModels

/// Blocks that write zeros, as many as the manifest says. `before` is called as something begins, and may throw.
struct ZeroBackend: BlockBackend {
    var before: @Sendable (_ action: String, _ package: String) throws -> Void = { _, _ in }

    func load(_ function: Manifest.Function, on units: Manifest.ComputeUnits) throws {
        try before("load", function.package)
    }

    func run(_ function: Manifest.Function, on units: Manifest.ComputeUnits, _ inputs: [String: Tensor]) throws
        -> [String: Tensor]
    {
        try before("run", function.package)
        return Dictionary(
            uniqueKeysWithValues: function.outputs.map { output in
                let zeros = [Float](repeating: 0, count: output.shape.reduce(1, *))
                return (output.feature, Tensor(floats: zeros, shape: output.shape))
            })
    }

    func evict(package: String) throws { try before("evict", package) }
}

/// One backend for all, of which some packages are to be compiled, or are already.
struct TestBackends: Backends {
    let backend: any BlockBackend
    var compiled: Set<String> = []
    var uncompiled: [String] = []
    var whileCompiling: @Sendable () throws -> Void = {}
    var leftovers = Leftovers()

    /// 3 GB of exports that are gone, until they are deleted.
    final class Leftovers: @unchecked Sendable {
        private let lock = NSLock()
        private var isThere = true
        private var known: [[String]] = []
        /// The exports that were told to be here, whenever it was asked.
        var asked: [[String]] { lock.withLock { known } }
        func bytes(besides exports: [Export]) -> Int {
            lock.withLock {
                known.append(exports.map(\.folder))
                return isThere ? 3_000_000_000 : 0
            }
        }
        func remove() { lock.withLock { isThere = false } }
    }

    func compiledPackages(of export: Export) -> Set<String> { compiled }
    func leftoverBytes(besides exports: [Export]) -> Int { leftovers.bytes(besides: exports) }
    func removeLeftovers(besides exports: [Export]) { leftovers.remove() }
    func prepare(_ export: Export, _ tell: (_ package: String) throws -> Void) throws {
        for package in uncompiled {
            try tell(package)
            try whileCompiling()
        }
    }
    func backend(for export: Export) throws -> any BlockBackend { backend }
}

/// A container as the app has one, with an export in its documents.
struct TestContainer {
    let folder: TestFolder
    let export: Export

    init(_ test: TestExport = TestExport()) throws {
        folder = try TestFolder()
        try test.write(to: folder("docs/toy"))
        export = try Export.open(folder("docs/toy").path)
    }

    func device(
        _ backend: any BlockBackend = ZeroBackend(), meter: any Meter = TestMeter(footprint: 500, available: 2000)
    ) -> Device {
        device(TestBackends(backend: backend), meter: meter)
    }

    func device(_ backends: TestBackends, meter: any Meter = TestMeter(footprint: 500, available: 2000)) -> Device {
        Device(
            backends, state: folder("state").path, meter: meter,
            names: SystemNames(machine: "toy1,1", os: "iOS 18.1", osBuild: "22B83"),
            date: { Date(timeIntervalSince1970: 1_800_000_000) })
    }

    func generation(_ device: Device) -> LiveGeneration { LiveGeneration(device, folder: folder("docs/Videos").path) }

    func profiling(_ device: Device, _ toy: ToyBlocks) -> LiveProfiling {
        LiveProfiling(device, folder: folder("docs/Captures").path, clock: toy.clock)
    }

    /// What a generation tells until its end.
    func told(
        _ engine: LiveGeneration, prompt: String = "a red circle",
        _ meanwhile: (any RunningGeneration) -> Void = { _ in }
    ) async -> [GenerationEvent] {
        let (events, continuation) = AsyncStream<GenerationEvent>.makeStream()
        let running = engine.start(GenerationRequest(export: export, prompt: prompt, seed: 3)) { event in
            continuation.yield(event)
            if event.isLast { continuation.finish() }
        }
        meanwhile(running)
        var told: [GenerationEvent] = []
        for await event in events { told.append(event) }
        return told
    }

    func files(_ path: String) -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: folder(path).path).sorted()) ?? []
    }
}

@MainActor @Suite("What is left of other exports")
struct LeftoversTests {
    @Test func itIsMeasuredAndDeletedWhileNothingIsUnderWay() async throws {
        let container = try TestContainer()
        let backends = TestBackends(backend: ZeroBackend())
        let model = AppModel(
            AppModel.World(container.device(backends), bundle: nil, documents: container.folder("docs").path))
        #expect(!model.canRemoveLeftovers)
        await model.refresh()
        #expect(model.leftoverBytes == 3_000_000_000 && model.canRemoveLeftovers)
        #expect(backends.leftovers.asked == [[container.export.folder]])
        #expect(Texts.Library.removeLeftovers(model.leftoverBytes).hasSuffix("(3.00 GB)"))
        let generation = try #require(model.screens.first?.generation)
        generation.useExample()
        generation.start()
        #expect(!model.canRemoveLeftovers)
        await model.removeLeftovers()
        await generation.listening?.value
        #expect(model.leftoverBytes == 3_000_000_000)
        await model.removeLeftovers()
        #expect(model.leftoverBytes == 0 && !model.canRemoveLeftovers)
    }
}

@Suite("Generating with what a device has")
struct LiveGenerationTests {
    /// Of a block that fails before anything was played there is nothing to tell.
    @Test func whereNothingWasPlayedThereIsNoTrace() async throws {
        let container = try TestContainer()
        let backend = ZeroBackend { action, _ in if action == "load" { throw SomeError(description: "no") } }
        let told = await container.told(container.generation(container.device(backend)))
        #expect(Failure(try error(of: told)).trace == nil)
        #expect(container.files("docs/Videos") == [])
    }

    private func error(of told: [GenerationEvent]) throws -> any Error {
        guard case .failed(let error)? = told.last else { throw SomeError(description: "\(told)") }
        return error
    }

    @Test func videoTraceAndSidecarLieInTheDocuments() async throws {
        let container = try TestContainer()
        let told = await container.told(container.generation(container.device()))
        guard case .finished(let video)? = told.last else { throw SomeError(description: "\(told)") }
        #expect(video.numFrames == 20)
        #expect(video.totalS > 0)
        let name = "toy-2027-01-15T080000Z"
        let endings = [VideoFile.suffix, "json", "trace.json"]
        #expect(container.files("docs/Videos") == endings.map { "\(name).\($0)" }.sorted())
        #expect((video.video as NSString).lastPathComponent == "\(name).\(VideoFile.suffix)")
        let trace = try String(contentsOfFile: video.trace, encoding: .utf8)
        #expect(trace.contains("\"kind\": \"measured\"") && trace.contains("\"device\": \"toy1,1\""))
        for fact in [
            "\"os\": \"iOS 18.1\"", "\"os build\": \"22B83\"", "\"thermal state\"", "\"low power mode\"", "\"pauses\"",
        ] {
            #expect(trace.contains(fact))
        }
        let began = told.compactMap { event -> String? in
            guard case .progress(.began(let component, let step)) = event else { return nil }
            return "\(component) \(step)"
        }
        #expect(
            began == [
                "text_encoder 0", "denoiser 0", "denoiser 1", "denoiser 2", "decoder.temporal 0", "decoder.spatial 0",
                "decoder.spatial 1",
            ])
    }

    @Test func thatMemoryIsSavedIsPassedOnAndWrittenDown() async throws {
        let container = try TestContainer()
        let (events, continuation) = AsyncStream<GenerationEvent>.makeStream()
        let request = GenerationRequest(export: container.export, prompt: "a", seed: 0, savesMemory: true)
        _ = container.generation(container.device()).start(request) { event in
            continuation.yield(event)
            if event.isLast { continuation.finish() }
        }
        var last: GenerationEvent?
        for await event in events { last = event }
        guard case .finished(let video)? = last else { throw SomeError(description: "\(String(describing: last))") }
        #expect(try String(contentsOfFile: video.trace, encoding: .utf8).contains("none beside a run, to save memory"))
    }

    @Test func aBlockThatDoesNotLoadIsNamedAndNoVideoIsLeft() async throws {
        let container = try TestContainer()
        let backend = ZeroBackend { action, package in
            if action == "load", package == "b2.mlpackage" { throw SomeError(description: "no space left") }
        }
        let told = await container.told(container.generation(container.device(backend)))
        let failure = Failure(try error(of: told))
        #expect(failure.title == "A block could not be loaded")
        #expect(failure.message.contains("'u2' of denoiser") && failure.message.hasSuffix("no space left"))
        #expect(container.files("docs/Videos") == ["toy-2027-01-15T080000Z.trace.json"])
        let trace = try String(contentsOfFile: try #require(failure.trace), encoding: .utf8)
        #expect(trace.contains("\"broke off\": \"loading block 'u2' of denoiser, step 0 failed: no space left\""))
        #expect(trace.contains("\"component\": \"text_encoder\""))
    }

    @Test func whatIsNotCompiledIsCompiledFirstAndTold() async throws {
        let container = try TestContainer()
        let device = container.device(TestBackends(backend: ZeroBackend(), uncompiled: ["b1.mlpackage"]))
        let told = await container.told(container.generation(device))
        guard case .preparing("b1.mlpackage")? = told.first, case .finished? = told.last else {
            throw SomeError(description: "\(told)")
        }
    }

    @Test func whatCoreMLDoesNotCompileIsToldInPlainWords() async throws {
        let container = try TestContainer()
        let backends = TestBackends(backend: ZeroBackend(), uncompiled: ["b1.mlpackage"]) {
            throw SomeError(description: "block 'u1' of denoiser: no space")
        }
        let failure = Failure(try error(of: await container.told(container.generation(container.device(backends)))))
        #expect(failure.title == "Core ML could not compile a package")
        #expect(failure.message == "block 'u1' of denoiser: no space")
        #expect(failure.advice.hasPrefix("See whether the phone has as much room"))
    }

    @Test func cancelledWhileItCompilesNothingIsLoaded() async throws {
        let container = try TestContainer()
        let (compiles, isCancelled) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        let backend = ZeroBackend { _, _ in Issue.record("the backend is used") }
        let backends = TestBackends(backend: backend, uncompiled: ["b1.mlpackage", "b2.mlpackage"]) {
            compiles.signal()
            isCancelled.wait()
        }
        let told = await container.told(container.generation(container.device(backends))) { running in
            compiles.wait()
            running.cancel()
            isCancelled.signal()
        }
        #expect(told.count == 2)
        guard case .preparing("b1.mlpackage")? = told.first, case .cancelled? = told.last else {
            throw SomeError(description: "\(told)")
        }
    }

    @Test func withTooLittleRoomNothingIsLoaded() async throws {
        let container = try TestContainer()
        let backend = ZeroBackend { _, _ in Issue.record("the backend is used") }
        let device = container.device(backend, meter: TestMeter(footprint: 100, available: 700))
        let failure = Failure(try error(of: await container.told(container.generation(device))))
        #expect(failure.title == "This will not fit")
        #expect(failure.message == "it needs up to 900 B of memory, and iOS ends this app at 800 B")
    }

    @Test func aPromptThatCannotBeReadIsRefused() async throws {
        let container = try TestContainer()
        let told = await container.told(container.generation(container.device()), prompt: "a cat")
        #expect(Failure(try error(of: told)).title == "The prompt cannot be read")
    }

    @Test func cancelledAtOnceItIsNotBegun() async throws {
        let container = try TestContainer()
        let told = await container.told(container.generation(container.device())) { $0.cancel() }
        guard case .cancelled? = told.last else { throw SomeError(description: "\(told)") }
        #expect(container.files("docs/Videos") == [])
    }

    @Test func pausedAtOnceItWaitsAndGoesOn() async throws {
        let container = try TestContainer()
        let device = container.device()
        let engine = container.generation(device)
        let (events, continuation) = AsyncStream<GenerationEvent>.makeStream()
        let running = engine.start(GenerationRequest(export: container.export, prompt: "a", seed: 0)) { event in
            continuation.yield(event)
            if event.isLast { continuation.finish() }
        }
        running.pause()
        var words: [String] = []
        for await event in events {
            switch event {
            case .progress(.paused):
                words.append("paused")
                running.memoryWarning()
                running.resume()
            case .progress(.resumed): words.append("resumed")
            case .finished: words.append("finished")
            default: break
            }
        }
        #expect(words == ["paused", "resumed", "finished"])
    }

    @Test func theJournalKnowsAtWhichBlockTheAppWasEnded() async throws {
        let container = try TestContainer()
        let state = container.folder("state"), copy = container.folder("copy")
        let backend = ZeroBackend { action, package in
            // What would lie on the disk, were the app ended now.
            guard action == "load", package == "b0.mlpackage" else { return }
            try FileManager.default.copyItem(at: state, to: copy)
        }
        let told = await container.told(container.generation(container.device(backend)))
        guard case .finished? = told.last else { throw SomeError(description: "\(told)") }
        let ended = Device(TestBackends(backend: ZeroBackend()), state: copy.path, meter: TestMeter())
        let notice = try #require(ended.notice)
        #expect(
            notice.message
                == "iOS ended the app while loading block 'u0' of text_encoder, on cpu_and_gpu at 500 B of 2.50 kB.")
    }

    @Test func afterAnEndOfItsOwnThereIsNothingToTell() async throws {
        let container = try TestContainer()
        _ = await container.told(container.generation(container.device()))
        #expect(container.device().notice == nil)
    }

    @Test func withoutAJournalNothingIsLoaded() async throws {
        let container = try TestContainer()
        try container.folder.write("not a folder", to: "state")
        let backend = ZeroBackend { _, _ in Issue.record("the backend is used") }
        let told = await container.told(container.generation(container.device(backend)))
        #expect(try error(of: told) is DocumentError)
    }
}

@Suite("Measuring with what a device has")
struct LiveProfilingTests {
    /// What has been begun, for whoever is told of it earlier than `start` returns.
    private final class Begun: @unchecked Sendable {
        private let lock = NSCondition()
        private var found: (any RunningProfiling)?

        func set(_ running: any RunningProfiling) {
            lock.withLock {
                found = running
                lock.broadcast()
            }
        }

        func ask(_ what: (any RunningProfiling) -> Void) {
            lock.withLock {
                while found == nil { lock.wait() }
                if let found { what(found) }
            }
        }
    }

    /// What is told until the end; it may be cancelled as soon as something is measured.
    private func told(
        _ engine: LiveProfiling, _ export: Export, isCancelled: Bool = false, begun: Begun = Begun()
    ) async -> [ProfilingEvent] {
        let (events, continuation) = AsyncStream<ProfilingEvent>.makeStream()
        begun.set(
            engine.start(export) { event in
                if case .measured = event, isCancelled { begun.ask { $0.cancel() } }
                continuation.yield(event)
                if event.isLast { continuation.finish() }
            })
        var told: [ProfilingEvent] = []
        for await event in events { told.append(event) }
        return told
    }

    @Test func eachFunctionIsMeasuredOnceAndTheCaptureIsThere() async throws {
        let container = try TestContainer()
        let toy = ToyBlocks()
        let engine = container.profiling(container.device(toy, meter: toy), toy)
        #expect(await engine.plan(for: container.export) == ProfilingPlan(numFunctions: 5, numMeasured: 0))
        let told = await told(engine, container.export)
        guard case .finished(let file)? = told.last else { throw SomeError(description: "\(told)") }
        #expect(file.numMeasured == 5 && file.numFailures == 0)
        #expect(container.files("docs/Captures") == ["toy.capture.json"])
        let measured = told.count { if case .measured = $0 { true } else { false } }
        #expect(measured == 5)
        #expect(await engine.plan(for: container.export) == ProfilingPlan(numFunctions: 5, numMeasured: 5))
    }

    @Test func whatFailsIsToldWithItsReason() async throws {
        let container = try TestContainer()
        let toy = ToyBlocks()
        toy.failure = { event in
            if case .load("b2.mlpackage", _) = event { return "broken" }
            return nil
        }
        let engine = container.profiling(container.device(toy, meter: toy), toy)
        let told = await told(engine, container.export)
        guard case .finished(let file)? = told.last else { throw SomeError(description: "\(told)") }
        #expect(file.numMeasured == 4)
        let reasons = told.compactMap {
            if case .couldNot(let name, let reason) = $0 { "\(name): \(reason)" } else { nil }
        }
        #expect(reasons.contains { $0.hasPrefix("block 'u2' of denoiser") && $0.hasSuffix("broken") })
    }

    @Test func inTheBackgroundItPausesAndTheJournalSaysSo() async throws {
        let container = try TestContainer()
        let (toy, begun) = (ToyBlocks(), Begun())
        let journal = container.folder("state/journal.jsonl")
        toy.failure = { event in
            guard case .load("b1.mlpackage", _) = event, let text = try? String(contentsOf: journal, encoding: .utf8),
                !text.contains("background")
            else { return nil }
            begun.ask { $0.pause() }
            let written = (try? String(contentsOf: journal, encoding: .utf8)) ?? ""
            #expect(written.hasSuffix("{\"background\": true}\n"))
            begun.ask { $0.resume() }
            return nil
        }
        let engine = container.profiling(container.device(toy, meter: toy), toy)
        let told = await told(engine, container.export, begun: begun)
        guard case .finished(let file)? = told.last else { throw SomeError(description: "\(told)") }
        #expect(file.numMeasured == 5)
        #expect(try String(contentsOf: journal, encoding: .utf8).contains("{\"background\": false}\n"))
    }

    @Test func whatIsStoppedGoesOnTheNextTime() async throws {
        let container = try TestContainer()
        let toy = ToyBlocks()
        let engine = container.profiling(container.device(toy, meter: toy), toy)
        let first = await told(engine, container.export, isCancelled: true)
        guard case .cancelled(let file?)? = first.last else { throw SomeError(description: "\(first)") }
        #expect(file.numMeasured == 1)
        let second = await told(engine, container.export)
        guard case .planned(let plan)? = second.first else { throw SomeError(description: "\(second)") }
        #expect(plan.numMeasured == 1)
        guard case .finished(let whole)? = second.last else { throw SomeError(description: "\(second)") }
        #expect(whole.numMeasured == 5)
    }
}

@Suite("The app on a device, from the list to the video")
@MainActor struct LiveAppTests {
    @Test func aPromptBecomesAVideo() async throws {
        let container = try TestContainer()
        let model = AppModel(
            AppModel.World(container.device(), bundle: nil, documents: container.folder("docs").path))
        await model.refresh()
        #expect(model.library.entries.map(\.state) == [.ready])
        let screen = try #require(model.screens.first).generation
        screen.useExample()
        screen.start()
        await screen.listening?.value
        guard case .finished(let video) = screen.state else { throw SomeError(description: "\(screen.state)") }
        #expect(FileManager.default.fileExists(atPath: video.video))
        #expect(screen.progress?.fraction == 1)
        #expect(screen.progress?.passes.allSatisfy { $0.measuredS != nil } == true)
        #expect(screen.progress?.numFrames == 20)
        #expect(screen.finishedSummary.hasPrefix("20 frames in "))
        #expect(screen.finishedSummary.hasSuffix("predicted 42.0 s, peak 500 B of 2.50 kB"))
        #expect(model.notice == nil && !model.keepsAwake)
    }

    @Test func packagesThatAreCompiledNeedNotBeThere() async throws {
        let container = try TestContainer()
        try FileManager.default.removeItem(at: container.folder("docs/toy/b1.mlpackage"))
        for (compiled, state) in [
            (["b1.mlpackage"], LibraryEntry.State.ready), ([], .damaged(["b1.mlpackage: is missing"])),
        ] {
            let backends = TestBackends(backend: ZeroBackend(), compiled: Set(compiled))
            let documents = container.folder("docs").path
            let model = AppModel(AppModel.World(container.device(backends), bundle: nil, documents: documents))
            await model.refresh()
            #expect(model.library.entries.map(\.state) == [state])
        }
    }

    @Test func whatIsMeasuredIsSharedAsACapture() async throws {
        let container = try TestContainer()
        let toy = ToyBlocks()
        let model = AppModel(
            AppModel.World(
                container.device(toy, meter: toy), bundle: nil, documents: container.folder("docs").path))
        await model.refresh()
        let screen = try #require(model.screens.first).profiling
        await screen.refresh()
        #expect(screen.numLeft == 5)
        screen.start()
        await screen.listening?.value
        #expect(screen.numMeasured == 5 && screen.numLeft == 0 && screen.fraction == 1)
        let capture = try #require(screen.capture)
        #expect(FileManager.default.fileExists(atPath: capture.path))
        #expect(ProfilingTexts(screen).headline == "5 functions measured")
    }
}
