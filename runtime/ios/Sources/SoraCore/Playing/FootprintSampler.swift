import Foundation

/// What the system charges the app while something goes on: samples with their times. None where the meter says nothing.
///
/// When there are `most`, of any two neighbours the larger stays, and of twice as many that come one is kept.
public final class FootprintSampler: Sendable {
    private final class Samples: @unchecked Sendable {
        private let clock: @Sendable () -> Double
        private let most: Int
        private let lock = NSLock()
        private var kept: [Playback.Footprint] = []
        /// The largest of those that came since the last that is kept, and how many came; one is kept of `every`.
        private var largest: Playback.Footprint?
        private var numCame = 0
        private var every = 1
        private var isOver = false

        init(most: Int, clock: @escaping @Sendable () -> Double) {
            self.most = most
            self.clock = clock
        }

        var all: [Playback.Footprint] { lock.withLock { kept + [largest].compactMap { $0 } } }

        func end() { lock.withLock { isOver = true } }

        func add(_ bytes: Int) {
            lock.withLock {
                guard !isOver else { return }
                let sample = Playback.Footprint(timeS: clock(), bytes: bytes)
                if bytes >= largest?.bytes ?? 0 { largest = sample }
                numCame += 1
                guard numCame == every, let found = largest else { return }
                kept.append(found)
                (largest, numCame) = (nil, 0)
                guard kept.count >= most else { return }
                kept = stride(from: 0, to: kept.count, by: 2).map { first in
                    let pair = kept[first..<min(first + 2, kept.count)]
                    return pair.max { $0.bytes < $1.bytes } ?? kept[first]
                }
                every *= 2
            }
        }
    }

    private let samples: Samples
    private let meter: PeakMeter

    /// `clock` gives the samples' times, in seconds.
    public init(_ meter: any Meter, most: Int = 20_000, clock: @escaping @Sendable () -> Double) {
        let samples = Samples(most: most, clock: clock)
        self.samples = samples
        self.meter = PeakMeter(meter) { samples.add($0) }
    }

    /// Takes a sample, and more from now on, as often as PeakMeter does.
    public func start() {
        meter.mark()
        meter.start()
    }

    /// A sample now, besides.
    public func sampleNow() { meter.mark() }

    /// Takes a last sample if it was started. The samples since then, in order; safe to repeat.
    @discardableResult
    public func stop() -> [Playback.Footprint] {
        meter.stop()
        if !samples.all.isEmpty { meter.mark() }
        samples.end()
        return samples.all
    }
}
