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
        let begun = clock.date()
        let session = try keeper.begin(.profile, date: begun)
        // A capture is paused when the app is shown no more.
        control.listen { session.note(isInBackground: $0) }
        let measurement = Measurement(
            backend: backend, meter: meter, session: session, clock: clock, seed: settings.seed,
            repeats: settings.repeats, control: control, tell: tell)
        measurement.peak.start()
        control.follow { session.note(isInBackground: $0) }
        defer {
            control.follow(nil)
            measurement.peak.stop()
            control.listen(nil)
            session.close()
        }
        for (index, target) in targets.enumerated() {
            let (block, number) = (target.block, index + 1)
            if capture.measured(block) != nil {
                tell(.isMeasured(block, number: number, of: targets.count))
                continue
            }
            if !settings.triesAgain, capture.numEndings(at: block) >= Self.mostEndings {
                tell(.isLeftOut(block, number: number, of: targets.count))
                continue
            }
            do {
                try cool(control, tell)
                tell(.measures(block, number: number, of: targets.count))
                let others = Self.others(of: index, in: targets)
                var (measured, refusal): (Capture.Block?, Refusal?)
                var numPauses: Int
                repeat {
                    numPauses = control.numPauses
                    (measured, refusal) = try measure(target, others, measurement)
                    try control.check()
                } while control.numPauses > numPauses
                capture.forgetFailures(of: block)
                if let refusal { add(refusal, of: block, begun, &capture, tell) }
                if let measured {
                    capture.add(measured)
                    tell(.measured(measured))
                }
                try write(capture, path)
            } catch {
                measurement.evictAll(targets)
                if error is Stopped { return capture }
                throw error
            }
        }
        return capture
    }

    /// What was measured, nil if it failed alone; and what failed. Throws Stopped and DocumentError.
    private func measure(_ target: Target, _ others: [Target], _ measurement: Measurement) throws -> (
        Capture.Block?, Refusal?
    ) {
        var found = Capture.Block(block: target.block, storedBytes: target.storedBytes)
        found.thermalStates.append(meter.thermalState())
        do {
            try measurement.alone(target, novelty: keeper.novelty(of: target.block), into: &found)
        } catch let refusal as Refusal {
            measurement.evictAll([target])
            return (nil, refusal)
        }
        do {
            try measurement.beside(target, others, into: &found)
        } catch let refusal as Refusal {
            measurement.evictAll([target] + others)
            found.thermalStates.append(meter.thermalState())
            return (found, refusal)
        }
        found.thermalStates.append(meter.thermalState())
        return (found, nil)
    }

    private func add(
        _ refusal: Refusal, of block: BlockFunction, _ begun: Date, _ capture: inout Capture,
        _ tell: (HarnessProgress) -> Void
    ) {
        let place = refusal.block == block ? "" : "beside it, \(refusal.block.name): "
        let footprint = meter.footprintBytes()
        let failure = Capture.Failure(
            block: block, action: refusal.action, reason: place + refusal.reason, hasEndedApp: false,
            footprintBytes: footprint, limitBytes: meter.limitBytes, date: JournalText.date(begun))
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

    /// The targets after one, and from the beginning on: one of each other package, on the same compute units.
    private static func others(of index: Int, in targets: [Target]) -> [Target] {
        let target = targets[index]
        var packages: Set<String> = [target.block.package]
        return (targets[(index + 1)...] + targets[..<index]).filter {
            $0.block.computeUnits == target.block.computeUnits && packages.insert($0.block.package).inserted
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
