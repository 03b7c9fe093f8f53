import Foundation
import SoraCore

/// `sora play EXPORT PROMPT -o FOLDER`: what was asked for.
struct PlayOptions {
    let export: String
    let prompt: String?
    let tokens: String?
    let seed: UInt64
    let folder: String
    let overwrites: Bool
    let savesMemory: Bool

    /// Throws Usage.
    init(_ arguments: [String]) throws {
        let given = try Arguments(
            arguments, of: "play", options: ["--seed", "--tokens", "-o"], flags: ["--force", "--save-memory"])
        tokens = given["--tokens"]
        let isRight = given.words.count == (tokens == nil ? 2 : 1)
        guard isRight, let folder = given["-o"] else {
            throw Usage(what: "error: play takes an export, a prompt or --tokens, and -o with a folder")
        }
        guard let seed = UInt64(given["--seed"] ?? "0") else {
            throw Usage(what: "error: --seed takes a whole number from 0 to \(UInt64.max)")
        }
        (export, prompt) = (given.words[0], given.words.dropFirst().first)
        (self.seed, self.folder, overwrites) = (seed, folder, given.has("--force"))
        savesMemory = given.has("--save-memory")
    }
}

/// The files that `sora play` writes.
struct PlayFiles {
    let video: String
    let trace: String
    let sidecar: String
    /// Of what was played, where it broke off.
    let brokenOff: String

    /// Makes the folder. Throws DocumentError if it cannot be made, or if files lie there that are not to be replaced.
    init(_ options: PlayOptions) throws {
        video = "\(options.folder)/video.\(VideoFile.suffix)"
        trace = "\(options.folder)/trace.json"
        sidecar = "\(options.folder)/played.json"
        brokenOff = "\(options.folder)/broken-off.trace.json"
        let known = [video, trace, sidecar].filter { FileManager.default.fileExists(atPath: $0) }
        if let first = known.first, !options.overwrites {
            throw DocumentError(file: first, what: "is there already", mend: "Name another folder, or give --force")
        }
        try Files.makeFolder(options.folder)
        for file in known + [brokenOff] where Files.exists(file) { try Files.remove(file) }
    }

    /// Throws DocumentError.
    func write(_ played: Played, of export: Export) throws {
        let trace = Trace(played, of: export, playedOn.conditions)
        let name = (video as NSString).lastPathComponent
        let sidecar = Sidecar(played, of: export, video: name, how: playedOn.how)
        try Files.replace(self.trace, with: trace.json)
        try Files.replace(self.sidecar, with: sidecar.json)
    }
}

/// Plays and writes. Throws what is wrong with the arguments, the export, the room that there is, or a block;
/// CancellationError after an interrupt.
func play(
    _ arguments: [String], meter: any Meter, makeBackend: (Export) throws -> any BlockBackend = makeBackend(_:),
    say: @escaping @Sendable (String) -> Void = say(_:)
) throws {
    let options = try PlayOptions(arguments)
    try play(options, try Export.open(options.export), meter: meter, makeBackend: makeBackend, say: say)
}

func play(
    _ options: PlayOptions, _ export: Export, meter: any Meter, makeBackend: (Export) throws -> any BlockBackend,
    say: @escaping @Sendable (String) -> Void
) throws {
    let export = try checked(export)
    let request =
        if let tokens = options.tokens {
            try Request.tokens(path: tokens, seed: options.seed, for: export)
        } else {
            try Request(prompt: options.prompt ?? "", seed: options.seed, for: export)
        }
    try Room(export.schedule, meter).check()
    let backend = try makeBackend(export)
    let files = try PlayFiles(options)
    let lines = ProgressLines(numSteps: export.manifest.sampling.timesteps.count, say: say)
    let generation = try Generation(
        export, backend: backend, meter: meter, savesMemory: options.savesMemory, tell: lines.tell)
    let writer = try VideoFile.writer(files.video, VideoFormat(export.manifest))
    let played: Played
    do {
        played = try whenInterrupted(generation.stop) { try generation.run(request, to: writer) }
    } catch  where !(error is CancellationError) {
        let trace = Trace(brokenOff: generation.playback, by: error, of: export, playedOn.conditions)
        if let trace, (try? Files.replace(files.brokenOff, with: trace.json)) != nil {
            say("Wrote \(files.brokenOff), of what was played until then")
        }
        throw error
    }
    try files.write(played, of: export)
    for path in [files.video, files.trace, files.sidecar] { say("Wrote \(path)") }
}

/// What a generation tells, in lines. Told on one thread.
final class ProgressLines: @unchecked Sendable {
    private static let framesBetween = 17

    private let numSteps: Int
    private let say: @Sendable (String) -> Void
    private var nowS = 0.0

    init(numSteps: Int, say: @escaping @Sendable (String) -> Void) {
        self.numSteps = numSteps
        self.say = say
    }

    func tell(_ progress: SoraCore.Progress) {
        switch progress {
        case .acted(let span): nowS = span.endS
        case .began(let component, 0): say(component)
        case .stepped(let step):
            let leap = step.leapt ? ", leaps to the end" : ""
            say("step \(step.number + 1) of \(numSteps), \(Figures.seconds(nowS))\(leap)")
        case .decoded(let count, let all) where count == all || count % Self.framesBetween == 0:
            say("frame \(count) of \(all), \(Figures.seconds(nowS))")
        case .waits(let block, let waitedS):
            let long = "\(block) has been loading for \(Int(waitedS)) s."
            say("\(long) A first load may take minutes: Core ML specialises the block, and does not say how far it is.")
        case .began, .decoded, .memory, .paused, .resumed: break
        }
    }
}

/// On standard error, at once.
@Sendable func say(_ line: String) { FileHandle.standardError.write(Data("\(line)\n".utf8)) }
