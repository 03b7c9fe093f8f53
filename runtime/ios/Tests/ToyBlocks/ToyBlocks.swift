import Foundation
import SoraCore

/// Blocks that take memory and time in name only, and a system that says what they take: for tests of what measures.
///
/// A load takes 2 seconds of its clock, a run 0.5, the first after a load 1, an eviction 0.25. A package holds 100 bytes,
/// and 30 more while it is loaded; a run takes 10. With a limit the process is ended as iOS ends an app: by SIGKILL.
public final class ToyBlocks: BlockBackend, Meter, @unchecked Sendable {
    public struct Failed: Error, CustomStringConvertible {
        public let description: String
    }

    /// What happens, in the order in which it begins.
    public enum Event: Equatable, Sendable {
        case load(String, String)
        case run(String, String)
        case evict(String)
    }

    public static let baselineBytes = 1_000

    private let lock = NSCondition()
    private var nowS = 0.0
    private var held: [String: Set<String>] = [:]
    private var hasRun: Set<String> = []
    private var extraBytes = 0
    private var loads = 0
    private var runs = 0
    private var told: [Event] = []
    // Set before it is used:
    public var limitBytes: Int?
    /// Whether what goes over the limit ends the process.
    public var isDeadly = false
    public var thermalStates: [ThermalState] = []
    public var isLowPower: Bool?
    public var tellsFootprint = true
    /// Why an action fails: asked before each.
    public var failure: @Sendable (Event) -> String? = { _ in nil }
    /// A load beside one package in memory lasts until that has run: beyond its first run, once for each such load.
    public var loadsOutlastRuns = false
    /// Seconds that an action really takes.
    public var reallyS = 0.0
    /// Bytes that stay for a while after each eviction, by reading: the first reading sees the first.
    public var lingering: [Int] = []
    private var lingers: [Int] = []
    /// Runs since a package was loaded into empty memory, and how often it has been alone there since.
    private var numRun = 0
    private var numAlone = 0

    public init() {}

    public var events: [Event] { locked { told } }
    /// Packages in memory.
    public var inMemory: [String] { locked { held.keys.sorted() } }
    /// The most loads and runs that went on at a time.
    public private(set) var mostLoads = 0
    public private(set) var mostRuns = 0

    // BlockBackend

    public func load(_ function: Manifest.Function, on units: Manifest.ComputeUnits) throws {
        try begin(.load(function.package, function.function))
        locked {
            loads += 1
            mostLoads = max(mostLoads, loads)
            take(130)
            if loadsOutlastRuns, held.count == 1 {
                let deadline = Date(timeIntervalSinceNow: 20)
                while numRun < 2 + numAlone, lock.wait(until: deadline) {}
            }
        }
        work()
        locked {
            nowS += 2
            if held.isEmpty { (numRun, numAlone) = (0, 0) }
            take(held[function.package] == nil ? -30 : -130)
            held[function.package, default: []].insert(function.function)
            hasRun.remove("\(function.package) \(function.function)")
            loads -= 1
            lock.broadcast()
        }
    }

    public func run(
        _ function: Manifest.Function, on units: Manifest.ComputeUnits, _ inputs: [String: Tensor]
    ) throws -> [String: Tensor] {
        try begin(.run(function.package, function.function))
        for input in function.inputs where inputs[input.feature]?.shape != input.shape {
            throw Failed(description: "input '\(input.feature)' is missing or of another shape")
        }
        try locked {
            guard held[function.package] != nil else { throw Failed(description: "not in memory") }
            runs += 1
            mostRuns = max(mostRuns, runs)
            lock.broadcast()
            take(10)
        }
        work()
        locked {
            nowS += hasRun.insert("\(function.package) \(function.function)").inserted ? 1 : 0.5
            take(-10)
            runs -= 1
            numRun += 1
            lock.broadcast()
        }
        return [:]
    }

    public func evict(package: String) throws {
        try begin(.evict(package))
        locked {
            if held.removeValue(forKey: package) != nil {
                take(-100)
                nowS += 0.25
                if held.count == 1 { numAlone += 1 }
                lingers = lingering
            }
        }
    }

    // Meter

    public func footprintBytes() -> Int? {
        locked {
            guard tellsFootprint else { return nil }
            return Self.baselineBytes + extraBytes + (lingers.isEmpty ? 0 : lingers.removeFirst())
        }
    }

    public func availableBytes() -> Int? { locked { limitBytes.map { $0 - Self.baselineBytes - extraBytes } } }

    /// One after another; the last stays.
    public func thermalState() -> ThermalState {
        locked { thermalStates.count > 1 ? thermalStates.removeFirst() : thermalStates.first ?? .nominal }
    }

    public func isLowPowerMode() -> Bool? { isLowPower }

    /// Its own time, in sixteenths of a second, so that sums are exact.
    public var clock: HarnessClock {
        HarnessClock(
            now: { [self] in locked { nowS } },
            sleep: { [self] seconds in locked { nowS += (seconds * 16).rounded(.up) / 16 } },
            date: { Date(timeIntervalSince1970: 1_800_000_000) })
    }

    private func begin(_ event: Event) throws {
        locked { told.append(event) }
        if let reason = failure(event) { throw Failed(description: reason) }
    }

    private func take(_ bytes: Int) {
        extraBytes += bytes
        if isDeadly, let limitBytes, Self.baselineBytes + extraBytes > limitBytes { kill(getpid(), SIGKILL) }
    }

    private func work() { if reallyS > 0 { Thread.sleep(forTimeInterval: reallyS) } }

    private func locked<Result>(_ body: () throws -> Result) rethrows -> Result {
        lock.lock()
        defer { lock.unlock() }
        return try body()
    }
}

/// A manifest of toy blocks: "denoiser" of some blocks with a plain function and perhaps one for TDTM.
public struct ToyExport {
    public var numBlocks = 3
    public var hasMerging = false
    /// The package's sum of each block.
    public var checksum: (Int) -> String = { number in
        let digits = String(number, radix: 16)
        return String(repeating: "a", count: 64 - digits.count) + digits
    }

    public init(numBlocks: Int = 3, hasMerging: Bool = false) {
        self.numBlocks = numBlocks
        self.hasMerging = hasMerging
    }

    public func manifest() throws -> Manifest { try Manifest.read(Array(json.utf8), file: "toy.json") }

    private func block(_ number: Int) -> String {
        let kinds = hasMerging ? ["plain", "tdtm"] : ["plain"]
        let functions = kinds.map { kind in
            """
            {"kind": "\(kind)", "package": "b\(number).mlpackage", "function": "\(hasMerging ? kind : "main")",
             "inputs": [{"feature": "x_in", "tensor": "x", "dtype": "float32", "shape": [2, 3]},
              {"feature": "ids", "tensor": "ids", "dtype": "int32", "shape": [4]}],
             "outputs": [{"feature": "y", "tensor": "x", "dtype": "float16", "shape": [2, 3]}]}
            """
        }
        return """
            {"component": "denoiser", "number": \(number), "first_unit": "spatial_\(number)",
             "last_unit": "temporal_\(number)", "precision": "float32", "compute_units": "cpu_and_gpu",
             "source": "\(checksum(number))",
             "packages": [{"file": "b\(number).mlpackage", "num_bytes": 90, "checksum": "\(checksum(number))"}],
             "functions": [\(functions.joined(separator: ", "))]}
            """
    }

    private var json: String {
        let sum = String(repeating: "f", count: 64)
        return """
            {"format": "ondevice-sora-export-2", "complete": true, "model": "opensora-192", "model_name": "Open-Sora v1.2",
             "plan": {}, "plan_sha256": "\(sum)", "weights": {"description": "drawn", "seed": 7}, "made_with": "a test",
             "text_tokens": 8, "encoder_tokens": 12,
             "sampling": {"timesteps": [1000.0, 500], "time_scale": 1000, "guidance": 7.0, "fps": 24, "batch": 2,
              "latent_channels": 4, "latent_shape": [4, 5, 8, 8], "solver": "euler"},
             "decoding": {"num_frames": 17, "height": 64, "width": 64, "chunk_latent_frames": 5, "chunk_frames": [17],
              "batch_frames": 4},
             "no_caption": {"file": "no_caption.bin", "shape": [2, 3], "checksum": "\(sum)"}, "tokenizer": null,
             "components": [{"name": "denoiser", "passes": "steps", "reads": ["x"], "writes": ["x"]}],
             "blocks": [\((0..<numBlocks).map(block).joined(separator: ", "))], "origin": {}}
            """
    }
}
