import Foundation
import SoraCore

/// What there is on a device to work with: what loads and runs packages, what says how much memory there is, a journal.
public struct Device: Sendable {
    public let backends: any Backends
    public let meter: any Meter
    public let names: SystemNames
    public let date: @Sendable () -> Date
    private let journal: Result<JournalKeeper, any Error>

    /// `state` is the folder of the journal, which is made and read; nobody else may have it.
    public init(
        _ backends: any Backends, state: String, meter: any Meter = SystemMeter(),
        names: SystemNames = .ofThisSystem(), date: @escaping @Sendable () -> Date = { Date() }
    ) {
        self.backends = backends
        self.meter = meter
        self.names = names
        self.date = date
        journal = Result { try JournalKeeper(folder: state, meter: meter, system: names.osBuild) }
    }

    /// Compiles what is not compiled yet. Throws NotCompiled, or what `tell` throws to end it: CancellationError.
    func prepare(_ export: Export, _ tell: (_ package: String) throws -> Void) throws {
        do {
            try backends.prepare(export, tell)
        } catch let error as CancellationError {
            throw error
        } catch {
            throw NotCompiled(description: "\(error)")
        }
    }

    /// Throws what kept the journal from being opened: nothing is loaded without one.
    func keeper() throws -> JournalKeeper { try journal.get() }

    /// How the app was ended, if it was.
    var notice: EndNotice? {
        guard let keeper = try? journal.get() else { return nil }
        return keeper.lastEnding.map { EndNotice($0) } ?? keeper.lastCutShort.map { EndNotice($0) }
    }
}

/// Why Core ML does not compile a package.
struct NotCompiled: Error, CustomStringConvertible {
    let description: String
}

extension AppModel.World {
    /// The app's, on a device. `bundle` and `documents` are folders of exports; what is made is put into `documents`.
    public init(_ device: Device, bundle: String?, documents: String) {
        self.init(
            shelf: FolderShelf(bundle: bundle, documents: documents) { device.backends.compiledPackages(of: $0) },
            generation: LiveGeneration(device, folder: "\(documents)/Videos"),
            profiling: LiveProfiling(device, folder: "\(documents)/Captures"), meter: device.meter,
            ended: { device.notice }, leftovers: { device.backends.leftoverBytes(besides: $0) },
            removeLeftovers: { device.backends.removeLeftovers(besides: $0) })
    }
}
