import Foundation
import SoraCore

/// Measures an export's blocks with the harness. The capture is called after the export, so that a later start goes on.
public struct LiveProfiling: ProfilingEngine {
    private let device: Device
    private let folder: String
    private let clock: HarnessClock

    /// Captures are written to `folder`, which is made.
    public init(_ device: Device, folder: String, clock: HarnessClock = .system) {
        self.device = device
        self.folder = folder
        self.clock = clock
    }

    private func path(of export: Export) throws -> String {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        return "\(folder)/\((export.folder as NSString).lastPathComponent).capture.json"
    }

    private func harness(_ export: Export) throws -> Harness {
        Harness(
            export.manifest, backend: try device.backends.backend(for: export), meter: device.meter,
            keeper: try device.keeper(),
            names: device.names, clock: clock)
    }

    public func plan(for export: Export) async -> ProfilingPlan? {
        guard let counts = try? harness(export).counts(in: path(of: export)) else { return nil }
        return ProfilingPlan(numFunctions: counts.numFunctions, numMeasured: counts.numMeasured)
    }

    public func start(_ export: Export, tell: @escaping @Sendable (ProfilingEvent) -> Void) -> any RunningProfiling {
        let running = Running()
        DispatchQueue(label: "sora.profiling", qos: .userInitiated).async {
            do {
                let path = try path(of: export)
                try device.prepare(export) { package in
                    if running.control.isStopped { throw CancellationError() }
                    tell(.preparing(package: package))
                }
                let harness = try harness(export)
                let counts = try harness.counts(in: path)
                tell(.planned(ProfilingPlan(numFunctions: counts.numFunctions, numMeasured: counts.numMeasured)))
                let capture = try harness.capture(to: path, control: running.control) { progress in
                    if let event = ProfilingEvent(progress) { tell(event) }
                    if case .acted = progress { tell(.memory(footprintBytes: device.meter.footprintBytes())) }
                }
                let file = CaptureFile(
                    path: path, numMeasured: capture.blocks.count, numFailures: capture.failures.count)
                tell(running.control.isStopped ? .cancelled(file) : .finished(file))
            } catch is CancellationError {
                tell(.cancelled(nil))
            } catch {
                tell(.failed(error))
            }
        }
        return running
    }

    private struct Running: RunningProfiling {
        let control = HarnessControl()

        func pause() { control.pause() }
        func resume() { control.resume() }
        func cancel() { control.stop() }
    }
}

extension ProfilingEvent {
    /// nil for what the plan has told already, or what is not shown.
    init?(_ progress: HarnessProgress) {
        switch progress {
        case .measures(let block, _, _): self = .measuring(block.name)
        case .isLeftOut(let block, _, _): self = .couldNot(block.name, reason: Texts.Profiling.leftOut)
        case .cools(let thermal, _): self = .cooling(thermal)
        case .measured(let block): self = .measured(block.block.name)
        case .failed(let failure): self = .couldNot(failure.block.name, reason: failure.reason)
        case .isMeasured, .acted: return nil
        }
    }
}
