import Observation
import SoraCore

/// One export's screen: a prompt becomes a video.
@MainActor @Observable public final class GenerationModel {
    public enum State: Equatable, Sendable {
        case writing
        case running
        /// Nothing more is started; what is under way ends. By whom: both may have asked for it.
        case paused(Pause)
        case cancelling
        case finished(FinishedVideo)
        case failed(Failure)
    }

    public enum Pause: Equatable, Sendable { case byUser, inBackground }

    /// What cannot be started and why; nothing is loaded before that is known.
    public enum Refusal: Equatable, Sendable {
        case tooLarge(neededBytes: Int, limitBytes: Int)
        case prompt(PromptState)
        case seed(String)
        /// The export lacks something; the library says what.
        case unusable
        /// Another export is being played or measured, or this one's blocks are.
        case busy
    }

    nonisolated public static let seeds: ClosedRange<UInt64> = 0...UInt64(UInt32.max)

    public private(set) var entry: LibraryEntry
    /// One line: the key that ends it on a phone puts an end of a line into the text.
    public var prompt = "" {
        didSet {
            guard prompt.contains(where: \.isNewline) else { return }
            prompt = prompt.split(whereSeparator: \.isNewline).joined(separator: " ")
        }
    }
    public var seedText = "0"
    /// Whether nothing is to be loaded beside a run.
    public var savesMemory = false
    public private(set) var state = State.writing
    /// nil before the first start.
    public private(set) var progress: RunProgress?
    /// The package that is being compiled, before anything is loaded.
    public private(set) var preparing: String?
    /// Whether the system has said in this generation that it is short of memory.
    public private(set) var wasShortOfMemory = false

    private let engine: any GenerationEngine
    private let turn: Turn
    private let limitBytes: Int?
    private var generation: (any RunningGeneration)?
    /// Hands on what the generation tells; it ends with the generation.
    private(set) var listening: Task<Void, Never>?
    private var isInBackground = false

    /// `limitBytes` is what the system lets the app use; nil where it does not say.
    public init(_ entry: LibraryEntry, engine: any GenerationEngine, turn: Turn, limitBytes: Int?) {
        self.entry = entry
        self.engine = engine
        self.turn = turn
        self.limitBytes = limitBytes
    }

    /// What the library has found since; not while it is being played.
    func update(_ entry: LibraryEntry) { if !isUnderWay { self.entry = entry } }

    // Before it begins

    private var tokenizer: Tokenizer? { entry.playable?.export.tokenizer }

    public var seed: UInt64? { UInt64(seedText).flatMap { Self.seeds.contains($0) ? $0 : nil } }

    /// nil where the export has no tokenizer.
    public var promptState: PromptState? { tokenizer.map { PromptState(prompt, by: $0) } }

    /// Why it cannot be started; nil if it can.
    public var refusal: Refusal? {
        if case .tooLarge(let neededBytes, let limitBytes) = entry.state {
            return .tooLarge(neededBytes: neededBytes, limitBytes: limitBytes)
        }
        guard entry.canBePlayed, let promptState else { return .unusable }
        if !promptState.isGood { return .prompt(promptState) }
        if seed == nil { return .seed(seedText) }
        return turn.isTaken(by: self) ? .busy : nil
    }

    public var canStart: Bool { refusal == nil && !isUnderWay }

    /// Words to choose from, where the model knows few; empty where it reads any text.
    public var offeredWords: [String] {
        guard let known = tokenizer?.knownWords else { return [] }
        return KnownWords.offered(after: prompt, words: known.words, separators: known.separators)
    }

    public func add(word: String) {
        guard let known = tokenizer?.knownWords else { return }
        prompt = KnownWords.completed(prompt, with: word, separators: known.separators)
    }

    /// Puts what is near and can be read in place of a prompt that cannot.
    public func takeSuggestion() {
        if case .refused(_, let suggestion?)? = promptState { prompt = suggestion }
    }

    public func useExample() {
        if let tokenizer { prompt = tokenizer.document.example }
    }

    public func drawSeed(by generator: inout some RandomNumberGenerator) {
        seedText = "\(UInt64.random(in: Self.seeds, using: &generator))"
    }

    public func drawSeed() {
        var generator = SystemRandomNumberGenerator()
        drawSeed(by: &generator)
    }

    // What is shown

    /// nil before the first start.
    public var runTexts: RunTexts? {
        progress.map { RunTexts($0, state: state, preparing: preparing, wasShortOfMemory: wasShortOfMemory) }
    }

    /// Of the finished video, in a line; empty before.
    public var finishedSummary: String {
        guard case .finished(let video) = state else { return "" }
        return Texts.Finished.summary(video, predictedS: progress?.predictedTotalS, memory: progress?.memory)
    }

    /// Width over height of the video.
    public var aspectRatio: Double {
        guard let decoding = entry.playable?.export.manifest.decoding else { return 1 }
        return Double(decoding.width) / Double(decoding.height)
    }

    // While it goes on

    public var isUnderWay: Bool {
        switch state {
        case .running, .paused, .cancelling: true
        case .writing, .finished, .failed: false
        }
    }

    /// Whether the screen is to stay on.
    public var keepsAwake: Bool { isUnderWay && !isPaused }

    public var isPaused: Bool {
        if case .paused = state { return true }
        return false
    }

    /// Begins, unless something speaks against it.
    public func start() {
        guard canStart, let playable = entry.playable, let seed else { return }
        progress = RunProgress(playable, limitBytes: limitBytes ?? playable.export.schedule.limitBytes)
        (wasShortOfMemory, preparing) = (false, nil)
        turn.take(self)
        state = .running
        let (events, continuation) = AsyncStream<GenerationEvent>.makeStream()
        let request = GenerationRequest(
            export: playable.export, prompt: prompt, seed: seed, savesMemory: savesMemory)
        generation = engine.start(request) { event in
            continuation.yield(event)
            if event.isLast { continuation.finish() }
        }
        listening = Task { [weak self] in
            for await event in events { self?.take(event) }
        }
        if isInBackground { enterBackground() }
    }

    func take(_ event: GenerationEvent) {
        guard isUnderWay else { return }
        switch event {
        case .preparing(let package): preparing = package
        case .progress(let progress):
            preparing = nil
            self.progress?.take(progress)
        case .finished(let video): end(.finished(video))
        case .failed(let error): end(.failed(Failure(error)))
        case .cancelled: end(.writing)
        }
    }

    private func end(_ state: State) {
        self.state = state
        generation = nil
        turn.give(self)
    }

    public func pause() { pause(.byUser) }

    private func pause(_ pause: Pause) {
        switch (state, pause) {
        case (.running, _):
            state = .paused(pause)
            generation?.pause()
        case (.paused, .byUser): state = .paused(.byUser)
        default: break
        }
    }

    /// Goes on, if the app is in front.
    public func resume() {
        guard isPaused, !isInBackground else { return }
        state = .running
        generation?.resume()
    }

    public func cancel() {
        guard isUnderWay, state != .cancelling else { return }
        state = .cancelling
        generation?.cancel()
    }

    /// iOS allows no work on the GPU in the background.
    public func enterBackground() {
        isInBackground = true
        generation?.note(isInBackground: true)
        pause(.inBackground)
    }

    /// Goes on with what only the background has paused.
    public func enterForeground() {
        isInBackground = false
        generation?.note(isInBackground: false)
        if state == .paused(.inBackground) { resume() }
    }

    public func memoryWarning() {
        guard isUnderWay else { return }
        wasShortOfMemory = true
        generation?.memoryWarning()
    }

    /// Back to the prompt, after the end.
    public func writeAgain() {
        if !isUnderWay { state = .writing }
    }
}

extension GenerationEvent {
    var isLast: Bool {
        switch self {
        case .preparing, .progress: false
        case .finished, .failed, .cancelled: true
        }
    }
}
