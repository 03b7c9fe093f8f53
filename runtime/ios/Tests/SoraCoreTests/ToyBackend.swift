import Foundation

@testable import SoraCore

/// Blocks that are functions of a test, and a book of what was done with them.
///
/// Calls may be held up, and may fail. It notices what no backend may be asked for: two loads at a time, a run of what
/// is not in memory, a load of what is.
final class ToyBackend: BlockBackend, @unchecked Sendable {
    enum Action: Hashable, Sendable { case load, run, evict }

    /// One call, and when it began and ended, in the order of all beginnings and ends.
    struct Call: Sendable {
        let action: Action
        let package: String
        let function: String
        let began: Int
        var ended: Int?
        var failed = false
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    typealias Compute = @Sendable (Manifest.Function, [String: Tensor]) throws -> [String: Tensor]

    private let compute: Compute
    private let lock = NSLock()
    private var numMoments = 0
    private var booked: [Call] = []
    private var resident: Set<String> = []
    private var counts: [Action: Int] = [:]
    private var broken: [String] = []
    private var mostResident = 0

    /// Called without the lock as a call begins, with its number among those of its kind: may wait, may throw.
    private let before: @Sendable (Action, Int, String) throws -> Void

    init(
        before: @escaping @Sendable (Action, Int, String) throws -> Void = { _, _, _ in }, compute: @escaping Compute
    ) {
        self.before = before
        self.compute = compute
    }

    var calls: [Call] { lock.withLock { booked } }
    /// What it should not have been asked for.
    var violations: [String] { lock.withLock { broken } }
    var inMemory: Set<String> { lock.withLock { resident } }
    var mostInMemory: Int { lock.withLock { mostResident } }

    func load(_ function: Manifest.Function, on units: Manifest.ComputeUnits) throws {
        try book(.load, function.package, function.function) {
            lock.withLock {
                if !resident.insert(function.package).inserted { broken.append("\(function.package) is loaded twice") }
                mostResident = max(mostResident, resident.count)
            }
        }
    }

    func run(_ function: Manifest.Function, on units: Manifest.ComputeUnits, _ inputs: [String: Tensor]) throws
        -> [String: Tensor]
    {
        if !inMemory.contains(function.package) { note("\(function.package) runs and is not loaded") }
        return try book(.run, function.package, function.function) { try compute(function, inputs) }
    }

    func evict(package: String) throws {
        try book(.evict, package, "") {
            lock.withLock {
                if resident.remove(package) == nil { broken.append("\(package) is evicted and is not there") }
            }
        }
    }

    private func note(_ what: String) { lock.withLock { broken.append(what) } }

    private func book<Result>(
        _ action: Action, _ package: String, _ function: String, _ body: () throws -> Result
    ) throws -> Result {
        let (index, number): (Int, Int) = lock.withLock {
            let isBusy = booked.contains { $0.ended == nil && ($0.action == .load) == (action == .load) }
            if isBusy { broken.append("\(action) of \(package) beside another") }
            booked.append(Call(action: action, package: package, function: function, began: numMoments))
            numMoments += 1
            let number = counts[action, default: 0]
            counts[action] = number + 1
            return (booked.count - 1, number)
        }
        var failed = true
        defer {
            lock.withLock {
                booked[index].ended = numMoments
                booked[index].failed = failed
                numMoments += 1
            }
        }
        try before(action, number, package)
        let result = try body()
        failed = false
        return result
    }
}

/// Says what a test says, or nothing.
final class ToyMeter: Meter, @unchecked Sendable {
    private let lock = NSLock()
    private var footprint: Int?
    private var thermal = ThermalState.nominal
    let available: Int?

    init(footprint: Int? = nil, available: Int? = nil) { (self.footprint, self.available) = (footprint, available) }

    func set(footprint: Int) { lock.withLock { self.footprint = footprint } }
    func footprintBytes() -> Int? { lock.withLock { footprint } }
    func availableBytes() -> Int? { available }
    func set(thermal: ThermalState) { lock.withLock { self.thermal = thermal } }
    func thermalState() -> ThermalState { lock.withLock { thermal } }
    func isLowPowerMode() -> Bool? { false }
}

/// What a generation has told, in order.
final class Told: @unchecked Sendable {
    private let lock = NSCondition()
    private var told: [SoraCore.Progress] = []

    var all: [SoraCore.Progress] { lock.withLock { told } }

    func hear(_ progress: SoraCore.Progress) {
        lock.lock()
        told.append(progress)
        lock.broadcast()
        lock.unlock()
    }

    /// Waits until something like this has been told.
    func wait(until isIt: (SoraCore.Progress) -> Bool) {
        lock.lock()
        while !told.contains(where: isIt) { lock.wait() }
        lock.unlock()
    }
}

extension Toy {
    /// An export of this schedule, whose blocks read the tensor `x` and write it, shape [4].
    func export() throws -> Export {
        let schedule = try schedule()
        let x = Manifest.Feature(feature: "x", tensor: "x", type: .float32, shape: [4])
        let written = Manifest.Feature(feature: "x_out", tensor: "x", type: .float32, shape: [4])
        var components: [Manifest.Component] = []
        for pass in schedule.passes where !components.contains(where: { $0.name == pass.component }) {
            let count = schedule.passes.count { $0.component == pass.component }
            components.append(
                Manifest.Component(name: pass.component, passes: .count(count), reads: ["x"], writes: ["x"]))
        }
        let blocks = schedule.blocks.map { block in
            Manifest.Block(
                component: block.component, number: block.number, firstUnit: block.name, lastUnit: block.name,
                precision: "float32", computeUnits: .cpuAndGPU,
                packages: [Manifest.Package(file: block.package, numBytes: 1, checksum: "")],
                functions: [
                    Manifest.Function(
                        kind: .plain, package: block.package, function: "main", inputs: [x], outputs: [written])
                ])
        }
        let manifest = Manifest(
            isComplete: true, model: "toy", modelName: "Toy", planSHA256: schedule.planSHA256, weights: "none",
            madeWith: "a test", textTokens: 1, encoderTokens: 1,
            sampling: Manifest.Sampling(
                timesteps: [1000], timeScale: 1000, guidance: 1, fps: 24, batch: 1, latentChannels: 1,
                latentShape: [1, 1, 4, 4], solver: .euler),
            decoding: Manifest.Decoding(
                numFrames: 1, height: 4, width: 4, chunkLatentFrames: 1, chunkFrames: [1], batchFrames: 1),
            noCaption: Manifest.Constant(file: "no_caption.bin", shape: [1, 1], checksum: ""), tokenizer: nil,
            components: components, blocks: blocks)
        return Export(folder: "/nowhere", manifest: manifest, schedule: schedule, tokenizer: nil)
    }

    /// Of block n, x becomes 3 x + n: another order of blocks, another result.
    static let compute: ToyBackend.Compute = { function, inputs in
        guard let x = inputs["x"], let number = Int(function.package.dropFirst().prefix { $0 != "." }) else {
            throw ToyBackend.Failure(description: "no x")
        }
        return ["x_out": Tensor(floats: x.floats().map { 3 * $0 + Float(number) }, shape: [4])]
    }

    /// What passes over these blocks make of `x`.
    static func result(_ x: Float, of schedule: Schedule, _ pass: Schedule.Pass) -> Float {
        pass.visits.reduce(x) { 3 * $0 + Float(schedule.visits[$1].block) }
    }
}
