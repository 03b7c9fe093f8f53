#if canImport(os)
    import os
#endif

/// Intervals for Instruments: what is loaded, run and evicted, by name, in the track "Points of Interest", which the
/// template for Core ML has beside Core ML's own and the Neural Engine's. Elsewhere nothing.
enum Signposts {
    #if canImport(os)
        private static let signposter = OSSignposter(subsystem: "ondevice-sora", category: .pointsOfInterest)

        static func interval<Result>(_ action: Playback.Action, _ name: String, _ work: () throws -> Result) rethrows
            -> Result
        {
            let id = signposter.makeSignpostID()
            // The names are of the kind that the compiler wants to see written out.
            return switch action {
            case .load:
                try signposter.withIntervalSignpost("load", id: id, "\(name, privacy: .public)", around: work)
            case .run:
                try signposter.withIntervalSignpost("run", id: id, "\(name, privacy: .public)", around: work)
            case .evict:
                try signposter.withIntervalSignpost("evict", id: id, "\(name, privacy: .public)", around: work)
            }
        }
    #else
        static func interval<Result>(_: Playback.Action, _: String, _ work: () throws -> Result) rethrows -> Result {
            try work()
        }
    #endif
}
