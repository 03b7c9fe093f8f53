import Foundation

/// How this stand-in for Core ML behaves, and what it has seen. It is no part of Apple's interface.
///
/// Tests of this package set it. Elsewhere it reads its environment: `SORA_STANDIN_COMMAND`, `SORA_STANDIN_BEHAVIOUR`
/// and `SORA_STANDIN_LOG` (README.md).
final class StandIn: @unchecked Sendable {
    static let shared = StandIn()

    /// What Core ML may do, and does not always. All are on at first.
    enum Trait: String, CaseIterable, Sendable {
        /// Rows of outputs have gaps between them.
        case padded
        /// Outputs are float16 where the model declares so; otherwise float32 comes back.
        case float16
        /// Outputs are not written where the caller would like them.
        case ignoresBackings = "ignores-backings"
        /// Outputs cannot be written to.
        case readOnly = "read-only"
        /// What is handed out lives until the pool ends.
        case pooled
        /// A package's only function has no name.
        case refusesMain = "refuses-main"
    }

    /// What goes wrong, with packages whose name contains a text.
    enum Fault: String, CaseIterable, Sendable {
        case slowLoad = "slow-load"
        case failingCompile = "failing-compile"
        case failingLoad = "failing-load"
        /// The first load only.
        case failingLoadOnce = "failing-load-once"
        case failingRun = "failing-run"
        case failingRunOnce = "failing-run-once"
        case missingOutput = "missing-output"
        case otherShape = "other-shape"
        case otherType = "other-type"
        case otherName = "other-name"
        case otherDescription = "other-description"
    }

    struct Behaviour: Sendable {
        var traits: Set<Trait>
        var faults: [Fault: String]
        /// Called before each load, with the package's name.
        var onLoad: @Sendable (String) -> Void = { _ in }

        init(traits: Set<Trait> = Set(Trait.allCases), faults: [Fault: String] = [:]) {
            self.traits = traits
            self.faults = faults
        }
    }

    struct Counts: Equatable, Sendable {
        var compilations = 0
        var loads = 0
        var runs = 0
        /// Of the last load.
        var units: MLComputeUnits?
        /// Inputs of runs: arrays that a run has returned, arrays around memory of the caller's, and others.
        var inputsReturned = 0
        var inputsWrapped = 0
        var inputsAllocated = 0
        /// How often the caller has asked where the values of a returned array lie.
        var arraysRead = 0
        var backingsUsed = 0
        var handedOutWithoutPool = 0
        var liveModels = 0
        var liveArrayBytes = 0
    }

    private static let slowLoadS = 0.2

    private let lock = NSLock()
    private var behaviour = Behaviour()
    private var seen = Counts()
    private var once: Set<Fault> = []
    private let logFile: FileHandle?

    private init() {
        let environment = ProcessInfo.processInfo.environment
        logFile = environment["SORA_STANDIN_LOG"].flatMap { path in
            FileManager.default.createFile(atPath: path, contents: nil) ? FileHandle(forWritingAtPath: path) : nil
        }
        if logFile != nil { atexit { StandIn.shared.log("end", "", "") } }
        if let text = environment["SORA_STANDIN_BEHAVIOUR"] { behaviour = Behaviour(text) }
    }

    var counts: Counts { lock.withLock { seen } }

    /// From now on; what has happened is forgotten, what is in memory is not.
    func behave(_ behaviour: Behaviour) {
        lock.withLock {
            self.behaviour = behaviour
            once = []
            var fresh = Counts()
            fresh.liveModels = seen.liveModels
            fresh.liveArrayBytes = seen.liveArrayBytes
            seen = fresh
        }
    }

    func count(_ change: (inout Counts) -> Void) { lock.withLock { change(&seen) } }

    func isOn(_ trait: Trait) -> Bool { lock.withLock { behaviour.traits.contains(trait) } }

    private func has(_ fault: Fault, _ name: String) -> Bool {
        lock.withLock { behaviour.faults[fault].map { $0.isEmpty || name.contains($0) } ?? false }
    }

    private func hasOnce(_ fault: Fault, _ name: String) -> Bool {
        has(fault, name) && lock.withLock { once.insert(fault).inserted }
    }

    /// As Core ML reports: an NSError of its domain.
    static func error(_ text: String, code: Int = 0) -> NSError {
        NSError(domain: "com.apple.CoreML", code: code, userInfo: [NSLocalizedDescriptionKey: text])
    }

    func beforeCompile(of name: String) throws {
        if has(.failingCompile, name) { throw Self.error("Failed to compile \(name): it was told to fail.", code: 3) }
        count { $0.compilations += 1 }
    }

    func beforeLoad(of name: String) throws {
        log("loading", name, "")
        lock.withLock { behaviour.onLoad }(name)
        if has(.slowLoad, name) { Thread.sleep(forTimeInterval: Self.slowLoadS) }
        if has(.failingLoad, name) || hasOnce(.failingLoadOnce, name) {
            throw Self.error("Failed to build the model execution plan: it was told to fail.", code: -5)
        }
    }

    func beforeRun(of name: String) throws {
        if has(.failingRun, name) || hasOnce(.failingRunOnce, name) {
            throw Self.error("Unable to compute the prediction: it was told to fail.", code: 0)
        }
    }

    /// What a model says of itself.
    func described(_ inputs: [Declared], _ outputs: [Declared], by name: String) -> (
        inputs: [Declared], outputs: [Declared]
    ) {
        guard has(.otherDescription, name), let first = inputs.first else { return (inputs, outputs) }
        var other = first
        other.shape.append(7)
        return ([other] + inputs.dropFirst(), outputs)
    }

    /// An array for an output, nil if there is to be none.
    func output(_ declared: Declared, of name: String, into backing: Any?) throws -> Output? {
        if has(.missingOutput, name) { return nil }
        var made = declared
        if has(.otherShape, name) { made.shape[made.shape.count - 1] += 1 }
        if has(.otherType, name) { made.type = made.type == .float32 ? .double : .float32 }
        if has(.otherName, name) { made.name += "_" }
        if made.type == .float16, !isOn(.float16) { made.type = .float32 }
        if let array = backing as? MLMultiArray, !isOn(.ignoresBackings) {
            guard declared.fits(array.layout) else {
                throw Self.error("The output backing of \(declared.name) is \(array.layout), not \(declared.layout).")
            }
            count { $0.backingsUsed += 1 }
            return Output(name: declared.name, view: array.view, backing: array, pages: nil)
        }
        let padded = isOn(.padded)
        let layout = padded ? Layout.padded(made.shape, made.type) : Layout.dense(made.shape, made.type)
        let pages = try Pages(numBytes: layout.numBytes)
        return Output(name: made.name, view: ArrayView(layout: layout, start: pages.start), backing: nil, pages: pages)
    }

    func noteRun(_ name: String, _ function: String, inputs: [String: MLMultiArray]) {
        count {
            $0.runs += 1
            for array in inputs.values {
                switch array.origin {
                case .returned: $0.inputsReturned += 1
                case .wrapped: $0.inputsWrapped += 1
                case .allocated: $0.inputsAllocated += 1
                }
            }
        }
        log("run", name, function, inputs: inputs)
    }

    /// A line of JSON for each event, with the anonymous memory of the process.
    func log(_ event: String, _ name: String, _ function: String, inputs: [String: MLMultiArray] = [:]) {
        guard let logFile else { return }
        let origins = inputs.sorted { $0.key < $1.key }.map { "\"\($0.key)\": \"\($0.value.origin.rawValue)\"" }
        let line = """
            {"event": "\(event)", "package": "\(name)", "function": "\(function)", \
            "inputs": {\(origins.joined(separator: ", "))}, "arrays_read": \(counts.arraysRead), \
            "models": \(counts.liveModels), "array_bytes": \(counts.liveArrayBytes), \
            "handed_out_without_pool": \(counts.handedOutWithoutPool), "anonymous_bytes": \(Self.anonymousBytes())}

            """
        lock.withLock { logFile.write(Data(line.utf8)) }
    }

    private static func anonymousBytes() -> Int {
        let text = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("RssAnon:") } ?? ""
        return (Int(line.split(separator: " ").dropFirst().first ?? "") ?? 0) * 1024
    }
}

/// An output in the making.
struct Output {
    let name: String
    let view: ArrayView
    let backing: MLMultiArray?
    let pages: Pages?

    /// The array, once it is written.
    func finished() -> MLMultiArray {
        if let backing { return backing }
        if StandIn.shared.isOn(.readOnly) { pages?.makeReadOnly() }
        return MLMultiArray(view.layout, view.start, .returned, pages: pages)
    }
}

extension StandIn.Behaviour {
    /// Words with commas between them: `no-TRAIT`, and `FAULT=TEXT` for packages whose name contains the text. Anything
    /// else ends the process.
    init(_ text: String) {
        self.init()
        for word in text.split(separator: ",") {
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            if parts.count == 1, parts[0].hasPrefix("no-"),
                let trait = StandIn.Trait(rawValue: String(parts[0].dropFirst(3)))
            {
                traits.remove(trait)
            } else if parts.count == 2, let fault = StandIn.Fault(rawValue: parts[0]) {
                faults[fault] = parts[1]
            } else {
                fatalError("SORA_STANDIN_BEHAVIOUR: '\(word)' is no trait that can be left out, and no fault")
            }
        }
    }
}
