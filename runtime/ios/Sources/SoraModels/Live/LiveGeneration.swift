import Foundation
import SoraCore

/// Why a generation broke off, and the trace of it until then: nil if there is none.
struct BrokenOff: Error {
    let cause: any Error
    let trace: String?
}

/// Generates with what a device has: packages behind a backend, a journal, and files in a folder.
public struct LiveGeneration: GenerationEngine {
    private let device: Device
    private let folder: String

    /// Videos and traces are written to `folder`, which is made.
    public init(_ device: Device, folder: String) {
        self.device = device
        self.folder = folder
    }

    public func start(_ request: GenerationRequest, tell: @escaping @Sendable (GenerationEvent) -> Void)
        -> any RunningGeneration
    {
        let running = Running()
        DispatchQueue(label: "sora.generation", qos: .userInitiated).async {
            do {
                tell(.finished(try make(request, running, tell)))
            } catch is CancellationError {
                tell(.cancelled)
            } catch {
                tell(.failed(error))
            }
        }
        return running
    }

    private func make(
        _ request: GenerationRequest, _ running: Running, _ tell: @escaping @Sendable (GenerationEvent) -> Void
    ) throws -> FinishedVideo {
        let export = request.export
        try Room(export.schedule, device.meter).check()
        let wanted = try Request(prompt: request.prompt, seed: request.seed, for: export)
        try device.prepare(export) { package in
            try running.check()
            tell(.preparing(package: package))
        }
        let session = try device.keeper().begin(.generation, date: device.date())
        defer { session.close() }
        let peak = PeakMeter(device.meter) { session.note(footprintBytes: $0) }
        peak.start()
        defer { peak.stop() }
        let backend = JournalledBackend(try device.backends.backend(for: export), export.manifest, session)
        let generation = try Generation(
            export, backend: backend, meter: device.meter, savesMemory: request.savesMemory,
            tell: { tell(.progress($0)) })
        try running.adopt(generation, session)
        let files = try VideoFiles(in: folder, export, date: device.date())
        let writer = try VideoFile.writer(files.video, VideoFormat(export.manifest))
        let played: Played
        do {
            played = try generation.run(wanted, to: writer)
        } catch  where !(error is CancellationError) {
            let trace = files.writeTrace(generation.playback, brokenOffBy: error, of: export, on: device.names)
            throw BrokenOff(cause: error, trace: trace)
        }
        try files.write(played, of: export, on: device.names)
        return FinishedVideo(
            video: files.video, trace: files.trace, numFrames: export.manifest.decoding.numFrames, totalS: played.totalS
        )
    }

    /// What was asked for before the generation was there is done as soon as it is.
    private final class Running: RunningGeneration, @unchecked Sendable {
        private let lock = NSLock()
        private var generation: Generation?
        private var session: JournalSession?
        private var isPaused = false
        private var isStopped = false
        private var isInBackground = false

        /// Throws CancellationError if it is wanted no more.
        func check() throws { if lock.withLock({ isStopped }) { throw CancellationError() } }

        /// Throws CancellationError if it is wanted no more.
        func adopt(_ generation: Generation, _ session: JournalSession) throws {
            try lock.withLock {
                if isStopped { throw CancellationError() }
                (self.generation, self.session) = (generation, session)
                if isPaused { generation.pause() }
                if isInBackground {
                    session.note(isInBackground: true)
                    generation.note(isInBackground: true)
                }
            }
        }

        func pause() {
            lock.withLock {
                isPaused = true
                generation?.pause()
            }
        }

        func resume() {
            lock.withLock {
                isPaused = false
                generation?.resume()
            }
        }

        func memoryWarning() { lock.withLock { generation?.memoryWarning() } }

        func note(isInBackground: Bool) {
            lock.withLock {
                self.isInBackground = isInBackground
                session?.note(isInBackground: isInBackground)
                generation?.note(isInBackground: isInBackground)
            }
        }

        func cancel() {
            lock.withLock {
                isStopped = true
                generation?.stop()
            }
        }
    }
}
