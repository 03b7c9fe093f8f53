/// A session that the app did not close, without anything under way: ended while it waited, mostly in the background.
public struct CutShort: Equatable, Sendable {
    public let purpose: Ending.Purpose
    public let isInBackground: Bool
}

/// How the app was ended: at which block, doing what, at what footprint. Near the limit it was iOS, for its memory.
public struct Ending: Equatable, Sendable {
    public enum Purpose: String, CaseIterable, Sendable { case generation, profile }
    public enum Action: String, CaseIterable, Sendable { case load, run }

    public struct Begun: Equatable, Sendable {
        public let action: Action
        public let block: BlockFunction

        public init(action: Action, block: BlockFunction) {
            self.action = action
            self.block = block
        }

        /// Such as "loading block 'spatial_3' of denoiser, on cpu_and_gpu".
        public var doing: String {
            "\(action == .load ? "loading" : "running") \(block.name)"
        }
    }

    public let purpose: Purpose
    /// When the session began (ISO 8601).
    public let date: String
    /// What had begun and not ended, in the order in which it began; at least one.
    public let begun: [Begun]
    /// The last that was read before; nil where the system does not say.
    public let footprintBytes: Int?
    /// What the footprint and what was left came to; nil where the system does not say.
    public let limitBytes: Int?
    /// The app was not shown: there iOS ends apps for less.
    public let isInBackground: Bool

    /// What began last: it is what memory was being taken for.
    public var last: Begun { begun[begun.count - 1] }

    /// Such as "The app was ended at 3.29 GB of 3.30 GB while loading block 'spatial_3' of denoiser, on cpu_and_gpu".
    public var description: String {
        var text = "The app was ended"
        if let footprintBytes { text += " at \(Figures.bytes(footprintBytes))" }
        if let limitBytes { text += " of \(Figures.bytes(limitBytes))" }
        return text + (isInBackground ? " in the background" : "") + " while \(last.doing)"
    }
}
