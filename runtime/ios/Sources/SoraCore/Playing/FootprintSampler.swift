import Dispatch

/// What the system charges the app while something goes on, sampled at an interval. Nothing where the meter says nothing.
///
/// When there are `most` samples, of any two neighbours the larger stays and the interval doubles.
public final class FootprintSampler: @unchecked Sendable {
    private let meter: any Meter
    private let clock: @Sendable () -> Double
    private let most: Int
    private let queue = DispatchQueue(label: "sora.footprint", qos: .userInitiated)
    // Only touched on the queue:
    private var intervalS: Double
    private var timer: (any DispatchSourceTimer)?
    private var samples: [Playback.Footprint] = []

    /// `clock` gives the samples' times, in seconds.
    public init(
        _ meter: any Meter, intervalS: Double = 0.02, most: Int = 20_000, clock: @escaping @Sendable () -> Double
    ) {
        self.meter = meter
        self.intervalS = intervalS
        self.most = most
        self.clock = clock
    }

    /// Takes a sample, and one every interval from now on.
    public func start() {
        queue.sync {
            sample()
            guard timer == nil, !samples.isEmpty else { return }
            let timer = DispatchSource.makeTimerSource(queue: queue)
            timer.setEventHandler { [weak self] in self?.sample() }
            self.timer = timer
            schedule()
            timer.activate()
        }
    }

    /// A sample now, besides.
    public func sampleNow() { queue.sync { sample() } }

    /// Takes a last sample. The samples since the start; safe to repeat.
    @discardableResult
    public func stop() -> [Playback.Footprint] {
        queue.sync {
            if let timer {
                sample()
                timer.cancel()
            }
            timer = nil
            return samples
        }
    }

    private func schedule() {
        timer?.schedule(deadline: .now() + intervalS, repeating: intervalS, leeway: .milliseconds(1))
    }

    private func sample() {
        guard let bytes = meter.footprintBytes() else { return }
        samples.append(Playback.Footprint(timeS: clock(), bytes: bytes))
        guard samples.count >= most else { return }
        samples = stride(from: 0, to: samples.count, by: 2).map { first in
            let pair = samples[first..<min(first + 2, samples.count)]
            return pair.max { $0.bytes < $1.bytes } ?? samples[first]
        }
        intervalS *= 2
        schedule()
    }
}
