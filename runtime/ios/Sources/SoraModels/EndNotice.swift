import SoraCore

/// What a journal that was not finished says: the app was ended while it did something.
public struct EndNotice: Equatable, Sendable {
    public let action: Ending.Action
    /// Such as "block 'spatial_3' of denoiser, step 4".
    public let block: String
    /// The last that was known, in bytes.
    public let footprintBytes: Int?
    public let limitBytes: Int?
    /// Then it was hardly for what the block takes.
    public let isInBackground: Bool

    public init(
        action: Ending.Action, block: String, footprintBytes: Int?, limitBytes: Int?, isInBackground: Bool = false
    ) {
        self.action = action
        self.block = block
        self.footprintBytes = footprintBytes
        self.limitBytes = limitBytes
        self.isInBackground = isInBackground
    }

    public init(_ ending: Ending) {
        self.init(
            action: ending.last.action, block: ending.last.block.name, footprintBytes: ending.footprintBytes,
            limitBytes: ending.limitBytes, isInBackground: ending.isInBackground)
    }

    public var title: String { Texts.Ended.title }
    public var message: String { Texts.Ended.message(self) }
    public var advice: String { isInBackground ? Texts.Ended.adviceInBackground : Texts.Ended.advice }
    public var accessibilityLabel: String { Spoken.sentence([title, message, advice]) }
}
