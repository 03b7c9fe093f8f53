import Observation
import SoraCore

/// What the app has besides its screens: what the system tells it, and what is under way.
@MainActor @Observable public final class AppModel {
    /// What everything else talks to.
    public struct World: Sendable {
        public let shelf: any Shelf
        public let generation: any GenerationEngine
        public let profiling: any ProfilingEngine
        public let meter: any Meter
        /// Told once at the start: what an unfinished journal says, which is then put away.
        public let ended: @Sendable () -> EndNotice?
        /// Bytes of what is kept of other exports than these. Reads the disk.
        public let leftovers: @Sendable ([Export]) -> Int
        public let removeLeftovers: @Sendable ([Export]) -> Void

        public init(
            shelf: any Shelf, generation: any GenerationEngine, profiling: any ProfilingEngine, meter: any Meter,
            ended: @escaping @Sendable () -> EndNotice?,
            leftovers: @escaping @Sendable ([Export]) -> Int = { _ in 0 },
            removeLeftovers: @escaping @Sendable ([Export]) -> Void = { _ in }
        ) {
            self.shelf = shelf
            self.generation = generation
            self.profiling = profiling
            self.meter = meter
            self.ended = ended
            self.leftovers = leftovers
            self.removeLeftovers = removeLeftovers
        }
    }

    /// One export, with what can be done with it.
    public struct Screen: Identifiable {
        public let id: LibraryEntry.ID
        public let generation: GenerationModel
        public let profiling: ProfilingModel

        @MainActor var isUnderWay: Bool { generation.isUnderWay || profiling.isUnderWay }
    }

    public let library: LibraryModel
    /// One for each entry of the library, and for what is under way though its export is gone.
    public private(set) var screens: [Screen] = []
    /// Bytes of compiled models whose exports are gone.
    public private(set) var leftoverBytes = 0
    /// Shown until it is put away.
    public private(set) var notice: EndNotice?

    private let world: World
    private let turn = Turn()
    private var isInBackground = false

    public init(_ world: World) {
        self.world = world
        library = LibraryModel(shelf: world.shelf, limitBytes: Self.limitBytes(world.meter))
        notice = world.ended()
    }

    /// What the system lets the app use in all: what it uses, and what it may still allocate.
    private static func limitBytes(_ meter: any Meter) -> Int? {
        guard let footprint = meter.footprintBytes(), let available = meter.availableBytes() else { return nil }
        return footprint + available
    }

    /// Looks for exports. Screens stay, with what was written in them.
    public func refresh(readingAll: Bool = false) async {
        await library.refresh(readingAll: readingAll)
        let known = Dictionary(uniqueKeysWithValues: screens.map { ($0.id, $0) })
        let listed = library.entries.map { entry in
            guard let screen = known[entry.id] else { return screen(for: entry) }
            screen.generation.update(entry)
            screen.profiling.update(entry)
            return screen
        }
        let ids = Set(listed.map(\.id))
        screens = listed + screens.filter { $0.isUnderWay && !ids.contains($0.id) }
        await measureLeftovers()
    }

    private var exports: [Export] { library.entries.compactMap { $0.playable?.export } }

    private func measureLeftovers() async {
        let (exports, leftovers) = (exports, world.leftovers)
        leftoverBytes = await Task.detached { leftovers(exports) }.value
    }

    /// Whether what is left of other exports can be deleted: nothing may be compiled meanwhile.
    public var canRemoveLeftovers: Bool { leftoverBytes > 0 && !screens.contains { $0.isUnderWay } }

    public func removeLeftovers() async {
        guard canRemoveLeftovers else { return }
        let (exports, remove) = (exports, world.removeLeftovers)
        await Task.detached { remove(exports) }.value
        await measureLeftovers()
    }

    private func screen(for entry: LibraryEntry) -> Screen {
        let limitBytes = library.limitBytes
        return Screen(
            id: entry.id,
            generation: GenerationModel(entry, engine: world.generation, turn: turn, limitBytes: limitBytes),
            profiling: ProfilingModel(entry, engine: world.profiling, turn: turn, limitBytes: limitBytes))
    }

    public func screen(_ id: LibraryEntry.ID) -> Screen? { screens.first { $0.id == id } }

    /// Whether the device is to stay awake.
    public var keepsAwake: Bool { screens.contains { $0.generation.keepsAwake || $0.profiling.keepsAwake } }

    public func putNoticeAway() { notice = nil }

    public func enterBackground() {
        guard !isInBackground else { return }
        isInBackground = true
        for screen in screens {
            screen.generation.enterBackground()
            screen.profiling.enterBackground()
        }
    }

    public func enterForeground() {
        guard isInBackground else { return }
        isInBackground = false
        for screen in screens {
            screen.generation.enterForeground()
            screen.profiling.enterForeground()
        }
    }

    public func memoryWarning() { screens.forEach { $0.generation.memoryWarning() } }
}
