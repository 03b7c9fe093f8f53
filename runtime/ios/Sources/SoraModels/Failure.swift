import Foundation
import SoraCore

/// Something that went wrong, in plain words.
public struct Failure: Equatable, Sendable {
    public let title: String
    /// What was said about it, in a line.
    public let message: String
    /// What can be done.
    public let advice: String
    /// Path of the measured trace until then; nil if there is none.
    public private(set) var trace: String?

    public init(title: String, message: String, advice: String) {
        self.title = title
        self.message = message
        self.advice = advice
    }

    public init(_ error: any Error) {
        switch error {
        case let error as BrokenOff:
            self.init(error.cause)
            trace = error.trace
        case let error as PlayerError: self.init(error)
        case let error as DocumentError:
            self.init(
                title: Texts.Failure.document,
                message: DocumentError(file: error.file, pointer: error.pointer, what: error.what).description,
                advice: error.mend.isEmpty ? Texts.Failure.copyAgain : error.mend + ".")
        case let error as TokenizerError:
            self.init(title: Texts.Failure.prompt, message: error.description, advice: Texts.Failure.changePrompt)
        case let error as NoRoom:
            let (needed, limit) = (error.room.neededBytes, error.room.limitBytes ?? 0)
            self.init(
                title: Texts.Failure.noRoom, message: Texts.Failure.noRoom(needed: needed, limit: limit),
                advice: Texts.Failure.noRoomAdvice)
        case let error as NotCompiled:
            self.init(
                title: Texts.Failure.compile, message: error.description, advice: Texts.Failure.compileAdvice)
        case let error as FrameError:
            self.init(
                title: Texts.Failure.video, message: error.description, advice: Texts.Failure.videoAdvice)
        default:
            let isDiskFull = (error as? CocoaError)?.code == .fileWriteOutOfSpace
            self.init(
                title: isDiskFull ? Texts.Failure.diskFull : Texts.Failure.other, message: "\(error)",
                advice: isDiskFull ? Texts.Failure.freeSpace : Texts.Failure.tryAgain)
        }
    }

    private init(_ error: PlayerError) {
        let (title, advice) =
            switch error {
            case .loadFailed: (Texts.Failure.load, Texts.Failure.loadAdvice)
            case .runFailed: (Texts.Failure.run, Texts.Failure.runAdvice)
            case .evictFailed: (Texts.Failure.evict, Texts.Failure.evictAdvice)
            case .overNeeded: (Texts.Failure.overNeeded, Texts.Failure.overNeededAdvice)
            case .unexpected: (Texts.Failure.unexpected, Texts.Failure.unexpectedAdvice)
            }
        self.init(title: title, message: error.description, advice: advice)
    }

    public var accessibilityLabel: String { Spoken.sentence([title, message, advice]) }
}
