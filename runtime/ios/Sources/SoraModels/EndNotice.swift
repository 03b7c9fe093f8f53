import SoraCore

/// What a journal that was not finished says: the app was ended while it did something.
public struct EndNotice: Equatable, Sendable {
    /// Such as "running block 'spatial_3' of denoiser, on cpu_and_gpu", or what was made where no block was under way.
    public let doing: String
    /// The last that was known, in bytes.
    public let footprintBytes: Int?
    public let limitBytes: Int?
    /// Then it was hardly for what the block takes.
    public let isInBackground: Bool
    private let isAtABlock: Bool

    public init(_ ending: Ending) {
        doing = Texts.Ended.doing(ending.last.action, ending.last.block.name)
        (footprintBytes, limitBytes) = (ending.footprintBytes, ending.limitBytes)
        (isInBackground, isAtABlock) = (ending.isInBackground, true)
    }

    /// Nothing was under way: as a rule it was paused in the background.
    public init(_ cut: CutShort) {
        doing = Texts.Ended.between(cut.purpose)
        (footprintBytes, limitBytes) = (nil, nil)
        (isInBackground, isAtABlock) = (cut.isInBackground, false)
    }

    public var title: String { Texts.Ended.title }
    public var message: String { Texts.Ended.message(self) }
    public var advice: String {
        if isInBackground { return Texts.Ended.adviceInBackground }
        return isAtABlock ? Texts.Ended.advice : Texts.Ended.adviceBetween
    }
    public var accessibilityLabel: String { Spoken.sentence([title, message, advice]) }
}
