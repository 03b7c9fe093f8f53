import Foundation

/// Keeps the journal of an app, or of a program on a Mac: what an earlier session left, and the session that goes on.
///
///     let keeper = try JournalKeeper(folder: JournalKeeper.standardFolder, meter: SystemMeter())
///     if let ending = keeper.lastEnding { … }                         // tell it
///     let session = try keeper.begin(.generation)
///     try session.record(.load, block) { try backend.load(…) }
///     session.close()
public final class JournalKeeper: Sendable {
    public static let fileName = "journal.jsonl"
    private static let compactedBytes = 1_000_000
    private static let keptEndings = 100

    /// Every time that the app was ended at work, the first time first.
    public let endings: [Ending]
    /// How the session before ended, if the app was ended.
    public let lastEnding: Ending?
    /// The session before, if the app was ended in it with nothing under way.
    public let lastCutShort: CutShort?
    /// What was wrong with files of an earlier session; a damaged journal has been set aside.
    public let damages: [DocumentError]
    private let journal: JournalFile

    /// In the app's support folder, which is not shown to its user.
    public static var standardFolder: String {
        let found = FileManager.default.urls(for: .applicationSupportDirectory, in: .userDomainMask).first
        return (found ?? FileManager.default.temporaryDirectory).appendingPathComponent("ondevice-sora").path
    }

    /// Takes the journal in `folder`, which is made if it is missing; nobody else can until the keeper is gone. `system`
    /// is the build of the system. Throws DocumentError if another has it, or if it cannot be written.
    public init(
        folder: String, meter: any Meter, system: String = SystemNames.ofThisSystem().osBuild
    ) throws {
        try Files.makeFolder(folder)
        let path = "\(folder)/\(Self.fileName)"
        var file = try AppendedFile(path: path, isLocked: true)
        var damages: [DocumentError] = []
        var found = Journal()
        var numWhole = 0
        do {
            (found, numWhole) = try Journal.read(try file.contents(maxBytes: Journal.maxFileBytes), file: path)
        } catch let error as DocumentError {
            damages.append(error)
            guard rename(path, "\(path).damaged") == 0 else { throw Files.unwritable(path, errno) }
            file = try AppendedFile(path: path, isLocked: true)
        }
        if numWhole > Self.compactedBytes {
            try Files.replace(path, with: JournalText.journal(found.endings.suffix(Self.keptEndings)))
            file = try AppendedFile(path: path, isLocked: true)
        } else {
            try file.shorten(to: numWhole)
            if numWhole == 0 { try file.append(Array(JournalText.head.utf8), isSynced: true) }
        }
        let loads = try LoadRecord(path: "\(folder)/\(LoadRecord.fileName)", system: system, place: folder)
        endings = found.endings
        lastEnding = found.sessions.last?.ending
        lastCutShort = found.sessions.last?.cutShort
        self.damages = damages + [loads.damage].compactMap { $0 }
        journal = JournalFile(file: file, loads: loads, meter: meter)
    }

    /// Begins a session; one goes on at a time. `date` is when (ISO 8601). Throws DocumentError if the journal cannot be
    /// written.
    public func begin(_ purpose: Ending.Purpose, date: Date = Date()) throws -> JournalSession {
        try journal.append(JournalText.session(purpose, date: date), isSynced: true)
        return JournalSession(journal)
    }

    /// What the next load of a function is to this device.
    public func novelty(of block: BlockFunction) -> Novelty { journal.novelty(of: block) }
}

/// A generation or a capture that goes on, and what is being done in it. Of any thread.
public final class JournalSession: Sendable {
    private let journal: JournalFile

    fileprivate init(_ journal: JournalFile) { self.journal = journal }

    /// Something is about to be done to a block: written to the disk when this returns, with the footprint. Gives the
    /// number by which it ends. Throws DocumentError if it cannot be written: then it must not be done.
    public func begin(_ action: Ending.Action, _ block: BlockFunction) throws -> Int {
        try journal.begin(action, block)
    }

    /// It is done, or has failed. Throws DocumentError.
    public func end(_ number: Int) throws { try journal.end(number) }

    /// Does something to a block, between `begin` and `end`.
    public func record<Result>(_ action: Ending.Action, _ block: BlockFunction, _ work: () throws -> Result) throws
        -> Result
    {
        let number = try begin(action, block)
        do {
            let result = try work()
            try end(number)
            return result
        } catch {
            try? end(number)
            throw error
        }
    }

    /// What the system charges now: kept where it has grown much while something goes on.
    public func note(footprintBytes: Int) { journal.note(footprintBytes) }

    /// The app is shown no more, or again.
    public func note(isInBackground: Bool) { journal.note(isInBackground: isInBackground) }

    /// The session is over; nothing follows.
    public func close() { journal.close() }
}

/// The file, its numbers, and what goes on. Every access is under its lock.
private final class JournalFile: @unchecked Sendable {
    /// The footprint is written anew when it has grown by so much.
    private static let noticeableBytes = 8_000_000

    private let lock = NSLock()
    private let file: AppendedFile
    private let loads: LoadRecord
    private let meter: any Meter
    private var number = 0
    private var open: Set<Int> = []
    private var notedBytes = 0

    init(file: AppendedFile, loads: LoadRecord, meter: any Meter) {
        self.file = file
        self.loads = loads
        self.meter = meter
    }

    func novelty(of block: BlockFunction) -> Novelty { lock.withLock { loads.novelty(of: block) } }

    func append(_ line: String, isSynced: Bool) throws {
        try lock.withLock { try file.append(Array(line.utf8), isSynced: isSynced) }
    }

    func begin(_ action: Ending.Action, _ block: BlockFunction) throws -> Int {
        let (footprint, limit) = (meter.footprintBytes(), meter.limitBytes)
        return try lock.withLock {
            if action == .load { try loads.note(block) }
            let begun = Ending.Begun(action: action, block: block)
            let line = JournalText.begin(number + 1, begun, footprint: footprint, limit: limit)
            try file.append(Array(line.utf8), isSynced: true)
            number += 1
            open.insert(number)
            notedBytes = footprint ?? 0
            return number
        }
    }

    func end(_ number: Int) throws {
        try lock.withLock {
            guard open.contains(number) else { return }
            try file.append(Array(JournalText.end(number).utf8), isSynced: false)
            open.remove(number)
        }
    }

    func note(_ footprintBytes: Int) {
        lock.withLock {
            guard !open.isEmpty, footprintBytes >= notedBytes + Self.noticeableBytes else { return }
            notedBytes = footprintBytes
            // A figure that is missing is no reason to end what is measured.
            try? file.append(Array(JournalText.footprint(footprintBytes).utf8), isSynced: false)
        }
    }

    func note(isInBackground: Bool) {
        lock.withLock { try? file.append(Array(JournalText.background(isInBackground).utf8), isSynced: false) }
    }

    func close() {
        lock.withLock {
            open.removeAll()
            try? file.append(Array(JournalText.closed.utf8), isSynced: true)
        }
    }
}
