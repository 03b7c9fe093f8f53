import Foundation
import Testing

@testable import SoraCore
@testable import SoraModels

/// An export made up for a test, as the files that Python would write: a text encoder of one block, a denoiser of two
/// with three steps, a decoder of one and one, with a pass and two. Every load takes 1 s, every run 2 s; the prediction is
/// twice that.
struct TestExport {
    var neededBytes = 900
    var limitBytes = 1_000_000
    var tokenizer = wordsTokenizer
    var plan = "toy"

    static let sum = String(repeating: "a", count: 64)
    static let wordsTokenizer = """
        {"format": "ondevice-sora-tokenizer-1", "kind": "words", "length": 6, "pad": 0, "end": 1, "suffix": "",
         "lower_case": true, "example": "a red circle", "separators": ", ",
         "words": {"a": 2, "red": 3, "circle": 4, "circles": 5, "blue": 6}}
        """

    /// The same words, in sentences of one kind.
    static let taughtTokenizer = wordsTokenizer.replacingOccurrences(
        of: "\"words\": {",
        with: """
            "sentences": {"form": [{"words": ["a"], "optional": true}, {"words": ["COLOUR", "circle"], "optional": false}],
                          "choices": {"COLOUR": ["red", "blue"]}, "refused": []},
            "words": {
            """)

    private static func feature(_ name: String, _ shape: [Int], _ type: String = "float32") -> String {
        "{\"feature\": \"\(name)\", \"tensor\": \"\(name)\", \"dtype\": \"\(type)\", \"shape\": \(shape)}"
    }

    /// Component, number, what it reads and what it writes.
    private static let blocks: [(component: String, number: Int, reads: [String], writes: [String])] = [
        (
            "text_encoder", 0, [feature("input_ids", [1, 6], "int32"), feature("attention_mask", [1, 6], "int32")],
            [feature("caption", [1, 6, 3])]
        ),
        (
            "denoiser", 0,
            [
                feature("latent", [2, 4, 5, 8, 8]), feature("timestep", [2]), feature("fps", [1]),
                feature("caption", [2, 6, 3]), feature("text_mask", [2, 6], "int32"),
            ], [feature("hidden", [2, 7])]
        ),
        ("denoiser", 1, [feature("hidden", [2, 7])], [feature("velocity", [2, 4, 5, 8, 8])]),
        (
            "decoder.temporal", 0, [feature("latent_chunk", [1, 4, 5, 8, 8])],
            [feature("latent_frames", [1, 4, 20, 8, 8])]
        ),
        ("decoder.spatial", 0, [feature("latent_frames", [10, 4, 8, 8])], [feature("images", [10, 3, 32, 64])]),
    ]
    private static let noCaption = [UInt8](repeating: 0, count: 6 * 3 * 4)

    private var manifest: String {
        let blocks = Self.blocks.enumerated().map { index, block in
            """
            {"component": "\(block.component)", "number": \(block.number), "first_unit": "u\(index)",
             "last_unit": "u\(index)", "precision": "float32", "compute_units": "cpu_and_gpu", "source": "\(Self.sum)",
             "packages": [{"file": "b\(index).mlpackage", "num_bytes": 9, "checksum": "\(Self.sum)"}],
             "functions": [{"kind": "plain", "package": "b\(index).mlpackage", "function": "main",
              "inputs": [\(block.reads.joined(separator: ", "))],
              "outputs": [\(block.writes.joined(separator: ", "))]}]}
            """
        }
        let stored = "{\"file\": \"tokenizer.json\", \"checksum\": \"\(SHA256.of(Array(tokenizer.utf8)))\"}"
        return """
            {"format": "ondevice-sora-export-2", "complete": true, "model": "small", "model_name": "Small",
             "plan": {"name": "\(plan)"}, "plan_sha256": "\(Self.sum)", "weights": {"description": "drawn", "seed": 7},
             "made_with": "a test", "text_tokens": 6, "encoder_tokens": 6,
             "sampling": {"timesteps": [1000, 600, 300], "time_scale": 1000, "guidance": 7.0, "fps": 10, "batch": 2,
              "latent_channels": 4, "latent_shape": [4, 5, 8, 8], "solver": "euler"},
             "decoding": {"num_frames": 20, "height": 32, "width": 64, "chunk_latent_frames": 5,
              "chunk_frames": [20], "batch_frames": 10},
             "no_caption": {"file": "no_caption.bin", "shape": [6, 3], "checksum": "\(SHA256.of(Self.noCaption))"},
             "tokenizer": \(tokenizer.isEmpty ? "null" : stored),
             "components": [
              {"name": "text_encoder", "passes": 1, "reads": ["input_ids", "attention_mask"], "writes": ["caption"]},
              {"name": "denoiser", "passes": "steps", "reads": ["latent", "timestep", "fps", "caption", "text_mask"],
               "writes": ["velocity"]},
              {"name": "decoder.temporal", "passes": 1, "reads": ["latent_chunk"], "writes": ["latent_frames"]},
              {"name": "decoder.spatial", "passes": 2, "reads": ["latent_frames"], "writes": ["images"]}],
             "blocks": [\(blocks.joined(separator: ", "))], "origin": {}}
            """
    }

    private func schedule(manifestSum: String) -> String {
        let blocks = Self.blocks.enumerated().map { index, block in
            """
            {"component": "\(block.component)", "number": \(block.number), "name": "u\(index)", "variant": "plain",
             "package": "b\(index).mlpackage", "function": "main", "lane": "gpu", "resident_bytes": 100,
             "working_bytes": 10, "stored_bytes": 9, "load_s": 1, "first_load_s": 1, "run_s": 2, "first_run_s": 2,
             "unload_s": 0}
            """
        }
        return """
            {"format": "ondevice-sora-schedule-1", "plan": "\(plan)", "plan_sha256": "\(Self.sum)",
             "manifest_sha256": "\(manifestSum)", "device": "toy phone",
             "profile": {"name": "made up", "sha256": "\(Self.sum)"}, "limit_bytes": \(limitBytes),
             "limit_source": "made up", "budget_bytes": null, "baseline_bytes": 5, "needed_bytes": \(neededBytes),
             "transient_share": 0, "residual_share": 0, "predicted": {"total_s": 42, "peak_bytes": 515},
             "leap": {"mode": "none"}, "blocks": [\(blocks.joined(separator: ", "))], "held": [], "left": [],
             "passes": [{"component": "text_encoder", "step": 0, "first": 0, "length": 1},
              {"component": "denoiser", "step": 0, "first": 1, "length": 2},
              {"component": "denoiser", "step": 1, "first": 3, "length": 2},
              {"component": "denoiser", "step": 2, "first": 5, "length": 2},
              {"component": "decoder.temporal", "step": 0, "first": 7, "length": 1},
              {"component": "decoder.spatial", "step": 0, "first": 8, "length": 1},
              {"component": "decoder.spatial", "step": 1, "first": 9, "length": 1}],
             "visits": [[0, 0, true, false, true, -1, true, true],
              [1, 0, true, false, true, -1, false, false], [2, 0, true, false, true, -1, false, false],
              [1, 1, false, false, false, -1, false, false], [2, 1, false, false, false, -1, false, false],
              [1, 2, false, false, false, -1, true, true], [2, 2, false, false, false, -1, true, true],
              [3, 0, true, false, true, -1, true, true], [4, 0, true, false, true, -1, false, false],
              [4, 1, false, false, false, -1, true, true]]}
            """
    }

    /// Writes it into a folder, which is made.
    func write(to folder: URL) throws {
        let manifest = manifest
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        func put(_ text: String, _ name: String) throws {
            try text.write(to: folder.appendingPathComponent(name), atomically: false, encoding: .utf8)
        }
        try put(manifest, "manifest.json")
        try put(schedule(manifestSum: SHA256.of(Array(manifest.utf8))), "schedule.json")
        if !tokenizer.isEmpty { try put(tokenizer, "tokenizer.json") }
        try Data(Self.noCaption).write(to: folder.appendingPathComponent("no_caption.bin"))
        for index in Self.blocks.indices {
            let package = folder.appendingPathComponent("b\(index).mlpackage")
            try FileManager.default.createDirectory(at: package, withIntermediateDirectories: true)
            try "123456789".write(to: package.appendingPathComponent("m"), atomically: false, encoding: .utf8)
        }
    }

    /// It, read without a disk.
    func playable() throws -> LibraryEntry.Playable {
        let manifest = Array(manifest.utf8)
        let schedule = Array(schedule(manifestSum: SHA256.of(manifest)).utf8)
        let document = Array(tokenizer.utf8)
        return try LibraryEntry.Playable(
            Export(
                folder: "/toy", manifest: try Manifest.read(manifest, file: "manifest.json"),
                schedule: try Schedule.read(schedule, file: "schedule.json"),
                tokenizer: tokenizer.isEmpty
                    ? nil : Tokenizer(try TokenizerDocument.read(document, file: "tokenizer.json"))))
    }

    func found(problems: [String] = [], name: String = "toy") throws -> FoundExport {
        FoundExport(
            folder: "/\(name)", name: name, place: .documents, content: .success(try playable()), problems: problems)
    }

    func entry(problems: [String] = [], limitBytes: Int? = 1000, name: String = "toy") throws -> LibraryEntry {
        LibraryEntry(try found(problems: problems, name: name), limitBytes: limitBytes)
    }
}

/// What is found is what it is told.
final class TestShelf: Shelf, @unchecked Sendable {
    var found: [FoundExport]
    private(set) var askedToReadAll: [Bool] = []
    init(_ found: [FoundExport] = []) { self.found = found }

    func exports(readingAll: Bool) async -> [FoundExport] {
        askedToReadAll.append(readingAll)
        return found
    }
}

/// Remembers what it is asked, and lets a test tell what happens.
final class TestGeneration: GenerationEngine, RunningGeneration, @unchecked Sendable {
    private(set) var asked: [String] = []
    private(set) var request: GenerationRequest?
    private(set) var tell: (@Sendable (GenerationEvent) -> Void)?

    func start(_ request: GenerationRequest, tell: @escaping @Sendable (GenerationEvent) -> Void)
        -> any RunningGeneration
    {
        (self.request, self.tell) = (request, tell)
        asked.append("start")
        return self
    }
    func pause() { asked.append("pause") }
    func resume() { asked.append("resume") }
    func memoryWarning() { asked.append("memoryWarning") }
    func note(isInBackground: Bool) { asked.append(isInBackground ? "background" : "foreground") }
    func cancel() { asked.append("cancel") }
}

final class TestProfiling: ProfilingEngine, RunningProfiling, @unchecked Sendable {
    var planned: ProfilingPlan? = ProfilingPlan(numFunctions: 4, numMeasured: 1)
    private(set) var asked: [String] = []
    private(set) var tell: (@Sendable (ProfilingEvent) -> Void)?

    func plan(for export: Export) async -> ProfilingPlan? { planned }
    func start(_ export: Export, tell: @escaping @Sendable (ProfilingEvent) -> Void) -> any RunningProfiling {
        self.tell = tell
        asked.append("start")
        return self
    }
    func pause() { asked.append("pause") }
    func resume() { asked.append("resume") }
    func cancel() { asked.append("cancel") }
}

struct TestMeter: Meter {
    var footprint: Int? = 100
    var available: Int? = 900
    func footprintBytes() -> Int? { footprint }
    func availableBytes() -> Int? { available }
    func thermalState() -> ThermalState { .nominal }
    func isLowPowerMode() -> Bool? { false }
}

/// An error that nobody knows.
struct SomeError: Error, CustomStringConvertible { let description: String }

extension Playback.Span {
    /// A run or a load of a visit, by its end.
    static func test(_ action: Playback.Action, _ visit: Int, endS: Double) -> Playback.Span {
        Playback.Span(action: action, visit: visit, startS: 0, endS: endS, bytes: 1, isFirst: false)
    }
}

/// A folder that is gone after the test.
final class TestFolder: Sendable {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)

    init() throws { try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(at: url) }

    func callAsFunction(_ path: String) -> URL { url.appendingPathComponent(path) }

    func write(_ text: String, to path: String) throws {
        try text.write(to: self(path), atomically: false, encoding: .utf8)
    }
}
