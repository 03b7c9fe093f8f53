import Foundation

/// Measures each block of an export on this device, and writes a capture that `ondevice-sora profile import` reads.
///
/// For each function on each choice of compute units: loads, first and later; runs, the first after each load and later
/// ones; loads beside runs and runs beside loads; evictions; and the footprint around them. The capture is written after
/// each block, so that an end at any moment costs one block, and a later session goes on there. When the app was ended
/// the journal says at which block, and the capture gets that too.
public struct Harness: Sendable {
    /// Of what a capture's samples mean; a change of it makes other samples.
    public static let version = "1"
    /// A block at which the app was ended so often is not tried again. Once may have been its user.
    static let mostEndings = 2
    private static let coolingS = 5.0

    public struct Settings: Sendable {
        /// On which to measure each block; those of the plan if none are given.
        public var computeUnits: [Manifest.ComputeUnits] = []
        /// Later loads of a block, each with a first and a later run; and samples beside another block.
        public var repeats = 3
        /// Of the inputs.
        public var seed: UInt64 = 0
        /// Whether blocks are tried that have ended the app already.
        public var triesAgain = false
        /// Before a block the device may cool so long, if it says that it is too hot.
        public var longestCoolingS = 300.0

        public init() {}
    }

    private let manifest: Manifest
    private let backend: any BlockBackend
    private let meter: any Meter
    private let keeper: JournalKeeper
    private let names: SystemNames
    private let clock: HarnessClock
    private let settings: Settings

    /// `backend` and `keeper` are used by nobody else while it runs.
    public init(
        _ manifest: Manifest, backend: any BlockBackend, meter: any Meter = SystemMeter(), keeper: JournalKeeper,
        names: SystemNames = .ofThisSystem(), clock: HarnessClock = .system, settings: Settings = Settings()
    ) {
        self.manifest = manifest
        self.backend = backend
        self.meter = meter
        self.keeper = keeper
        self.names = names
        self.clock = clock
        self.settings = settings
    }

    /// How many functions there are to measure, and how many of them the capture in `path` has. Throws DocumentError.
    public func counts(in path: String) throws -> (numFunctions: Int, numMeasured: Int) {
        let capture = try begun(path)
        let targets = Target.all(of: manifest, on: settings.computeUnits)
        return (targets.count, targets.count { capture.measured($0.block) != nil })
    }

    /// Measures what the capture in `path` does not have yet, and waits for it: not for the main thread. `tell` is called
    /// on any thread.
    ///
    /// Throws DocumentError if the file is a capture of something else, or if it or the journal cannot be written.
    @discardableResult
    public func capture(
        to path: String, control: HarnessControl = HarnessControl(),
        tell: @escaping @Sendable (HarnessProgress) -> Void = { _ in }
    ) throws -> Capture {
        var capture = try begun(path)
        let targets = Target.all(of: manifest, on: settings.computeUnits)
        for ending in keeper.endings where !ending.isInBackground {
            if let failure = Capture.Failure(ending, of: manifest) { capture.add(failure) }
        }
        if let baseline = meter.footprintBytes() { capture.baselineBytes.append(baseline) }
        try write(capture, path)
        let session = try keeper.begin(.profile, date: clock.date())
        // A capture is paused when the app is shown no more.
        control.listen { session.note(isInBackground: $0) }
        let measurement = Measurement(
            backend: backend, meter: meter, session: session, clock: clock, seed: settings.seed,
            repeats: settings.repeats, control: control, tell: tell)
        measurement.peak.start()
        defer {
            measurement.peak.stop()
            control.listen(nil)
            session.close()
        }
        var failed: Set<BlockFunction> = []
        do {
            for (index, target) in targets.enumerated() {
                try measure(target, index + 1, targets.count, measurement, path, &capture)
                // The first package has no neighbour yet: it is measured beside the second, once that has been loaded.
                for earlier in targets[...index] where !failed.contains(earlier.block) {
                    let isDone = try measure(earlier, beside: targets, measurement, path, &capture)
                    if !isDone { failed.insert(earlier.block) }
                }
            }
        } catch {
            measurement.evictAll(targets)
            if !(error is Stopped) { throw error }
        }
        return capture
    }

    /// Measures a function alone, unless it has been, or has ended the app too often; the capture gets what came out.
    /// Throws Stopped and DocumentError.
    private func measure(
        _ target: Target, _ number: Int, _ count: Int, _ measurement: Measurement, _ path: String,
        _ capture: inout Capture
    ) throws {
        let (block, tell) = (target.block, measurement.tell)
        if capture.measured(block) != nil { return tell(.isMeasured(block, number: number, of: count)) }
        if isGivenUp(block, capture) { return tell(.isLeftOut(block, number: number, of: count)) }
        try cool(measurement.control, tell)
        tell(.measures(block, number: number, of: count))
        capture.forgetFailures(of: block)
        do {
            let measured = try undisturbed(measurement, [target]) {
                var found = Capture.Block(block: block, storedBytes: target.storedBytes)
                found.thermalStates.append(meter.thermalState())
                try measurement.alone(target, novelty: keeper.novelty(of: block), into: &found)
                found.thermalStates.append(meter.thermalState())
                return found
            }
            capture.add(measured)
            tell(.measured(measured))
        } catch let refusal as Refusal {
            add(refusal, of: block, &capture, tell)
        }
        try write(capture, path)
    }

    /// Measures a function beside others, if it has been measured alone and not so, and others have been loaded before:
    /// what is loaded here for the first time would have no first load of its own. false if it failed.
    /// Throws Stopped and DocumentError.
    private func measure(
        _ target: Target, beside targets: [Target], _ measurement: Measurement, _ path: String,
        _ capture: inout Capture
    ) throws -> Bool {
        let block = target.block
        guard let alone = capture.measured(block), alone.loadWhileRunningS.isEmpty, !isGivenUp(block, capture) else {
            return true
        }
        let others = others(of: target, in: targets, capture)
        guard !others.isEmpty else { return true }
        do {
            let measured = try undisturbed(measurement, [target] + others) {
                var found = alone
                try measurement.beside(target, others, into: &found)
                return found
            }
            capture.forgetFailures(of: block)
            capture.add(measured)
        } catch let refusal as Refusal {
            add(refusal, of: block, &capture, measurement.tell)
        }
        try write(capture, path)
        return capture.measured(block)?.loadWhileRunningS.isEmpty == false
    }

    /// What comes out if there was no pause meanwhile; with one it is done again, also if it failed. Of a failure nothing
    /// stays in memory.
    private func undisturbed<Found>(
        _ measurement: Measurement, _ targets: [Target], _ work: () throws -> Found
    ) throws -> Found {
        while true {
            let numPauses = measurement.control.numPauses
            let found = Result { try work() }
            if case .failure(let error) = found {
                measurement.evictAll(targets)
                guard error is Refusal else { throw error }
            }
            try measurement.control.check()
            if measurement.control.numPauses == numPauses { return try found.get() }
        }
    }

    private func isGivenUp(_ block: BlockFunction, _ capture: Capture) -> Bool {
        !settings.triesAgain && capture.numEndings(at: block) >= Self.mostEndings
    }

    private func add(
        _ refusal: Refusal, of block: BlockFunction, _ capture: inout Capture, _ tell: (HarnessProgress) -> Void
    ) {
        let place = refusal.block == block ? "" : "beside it, \(refusal.block.name): "
        let failure = Capture.Failure(
            block: block, action: refusal.action, reason: place + refusal.reason, hasEndedApp: false,
            footprintBytes: meter.footprintBytes(), limitBytes: meter.limitBytes, date: JournalText.date(clock.date()))
        capture.add(failure)
        tell(.failed(failure))
    }

    /// Waits while the device is too hot to tell how fast it is.
    private func cool(_ control: HarnessControl, _ tell: (HarnessProgress) -> Void) throws {
        var waitedS = 0.0
        while waitedS < settings.longestCoolingS {
            let state = meter.thermalState()
            guard state == .serious || state == .critical else { return }
            try control.check()
            tell(.cools(state, seconds: waitedS))
            clock.sleep(Self.coolingS)
            waitedS += Self.coolingS
        }
    }

    /// One of each other package, on the same compute units, the nearest before it first: of those that have been loaded
    /// before, and have not ended the app too often.
    private func others(of target: Target, in targets: [Target], _ capture: Capture) -> [Target] {
        guard let index = targets.firstIndex(where: { $0.block == target.block }) else { return [] }
        var packages: Set<String> = [target.block.package]
        return (targets[..<index].reversed() + targets[(index + 1)...]).filter {
            $0.block.computeUnits == target.block.computeUnits && keeper.novelty(of: $0.block) == .later
                && !isGivenUp($0.block, capture) && packages.insert($0.block.package).inserted
        }
    }

    /// What an earlier session left in `path`, or a capture of nothing. Throws DocumentError.
    private func begun(_ path: String) throws -> Capture {
        let conditions = Capture.Conditions(
            deviceModel: names.machine, os: names.os, osBuild: names.osBuild, date: JournalText.date(clock.date()),
            thermalState: meter.thermalState(), isLowPowerMode: meter.isLowPowerMode(),
            freeBytes: meter.availableBytes(),
            tools: ["harness": Self.version])
        let fresh = Capture(
            model: manifest.modelName, conditions: conditions, baselineBytes: [], blocks: [], failures: [])
        guard let found = try Capture.read(path: path) else { return fresh }
        let pairs = [
            ("model", found.model, fresh.model),
            ("device", found.conditions.deviceModel, conditions.deviceModel),
            ("system", found.conditions.system, conditions.system),
            ("harness", found.conditions.tools["harness"] ?? "", Self.version),
        ]
        for (what, before, now) in pairs where !before.isExactly(now) {
            throw DocumentError(
                file: path, what: "begun with another \(what): \(before), now \(now)",
                mend: "Choose another file, or remove this one to begin anew")
        }
        return found
    }

    private func write(_ capture: Capture, _ path: String) throws {
        // Of nothing there is no capture.
        if !capture.isEmpty { try Files.replace(path, with: capture.json) }
    }
}

extension Capture.Conditions {
    fileprivate var system: String { osBuild.isEmpty ? os : "\(os) \(osBuild)" }
}

extension Capture.Failure {
    /// nil if the app was ended at a block that the export does not have as it was.
    init?(_ ending: Ending, of manifest: Manifest) {
        let last = ending.last
        let isKnown = manifest.blocks.contains { block in
            block.functions.contains { BlockFunction(block, $0, on: last.block.computeUnits) == last.block }
        }
        guard isKnown else { return nil }
        let beside = ending.begun.dropLast().map(\.doing)
        let reason = beside.isEmpty ? "the app was ended" : "the app was ended, also \(beside.joined(separator: ", "))"
        self.init(
            block: last.block, action: last.action, reason: reason, hasEndedApp: true,
            footprintBytes: ending.footprintBytes, limitBytes: ending.limitBytes, date: ending.date)
    }
}
