/// Follows one generation and says after each network evaluation whether to leap to the data: Linear Proportional Leap.
///
/// The rule and all its numbers are the schedule's (plans/leap.py). Sums are made in Double.
public struct LeapWatcher: Sendable {
    /// Whether to leap now, and along which drift. `cosine` and `error` are what the rule looked at, if it did.
    public struct Verdict: Sendable {
        public let leaps: Bool
        public let drift: [Float]
        public let cosine: Double?
        /// The estimated error of leaping, relative to the result.
        public let error: Double?
    }

    private struct Seen: Sendable {
        let time: Double
        let drift: [Float]
    }

    private static let driftsWatched = 3

    private let leap: Schedule.Leap
    private let rowLength: Int
    private let frameLength: Int
    private var seen: [Seen] = []
    private var best = 0.0
    private var patienceLeft = 0

    /// `latentShape` is [channels, frames, rows, columns].
    public init(_ leap: Schedule.Leap, latentShape: [Int]) {
        self.leap = leap
        rowLength = latentShape.last ?? 1
        frameLength = latentShape.suffix(2).reduce(1, *)
        if case .plateau(_, let patience, _, _) = leap { patienceLeft = patience }
    }

    /// Of each evaluation in order: its step, the time from 1 to 0, the latent before it and the guided drift.
    public mutating func observe(step: Int, time: Double, latent: [Float], drift: [Float]) -> Verdict {
        seen = (seen + [Seen(time: time, drift: drift)]).suffix(Self.driftsWatched)
        switch leap {
        case .none:
            return Verdict(leaps: false, drift: drift, cosine: nil, error: nil)
        case .fixed(let chosen):
            return Verdict(leaps: step == chosen, drift: drift, cosine: nil, error: nil)
        case .plateau(let tolerance, let patience, let firstStep, let over):
            return plateau(step, drift, tolerance, patience, firstStep, over)
        case .curvature(let acceptedError, let bend):
            return curvature(time, latent, drift, acceptedError, bend)
        }
    }

    private mutating func plateau(
        _ step: Int, _ drift: [Float], _ tolerance: Double, _ patience: Int, _ firstStep: Int,
        _ over: Schedule.Leap.Over
    ) -> Verdict {
        guard seen.count > 1, step >= firstStep else {
            return Verdict(leaps: false, drift: drift, cosine: nil, error: nil)
        }
        let found = cosine(seen[seen.count - 2].drift, drift, over)
        if found > best + tolerance {
            (best, patienceLeft) = (found, patience)
        } else {
            patienceLeft -= 1
        }
        return Verdict(leaps: patienceLeft == 0, drift: drift, cosine: found, error: nil)
    }

    /// Of the whole drifts, or the mean over the rows of the first frame of the first channel.
    private func cosine(_ one: [Float], _ other: [Float], _ over: Schedule.Leap.Over) -> Double {
        switch over {
        case .whole: return Self.cosine(one[...], other[...])
        case .slice:
            let starts = stride(from: 0, to: frameLength, by: rowLength)
            let cosines = starts.map { Self.cosine(one[$0..<$0 + rowLength], other[$0..<$0 + rowLength]) }
            return cosines.reduce(0, +) / Double(cosines.count)
        }
    }

    private static func cosine(_ one: ArraySlice<Float>, _ other: ArraySlice<Float>) -> Double {
        var (product, first, second) = (0.0, 0.0, 0.0)
        for (a, b) in zip(one, other) {
            product += Double(a) * Double(b)
            first += Double(a) * Double(a)
            second += Double(b) * Double(b)
        }
        let smallest = 1e-8  // a norm of zero counts as this, as in torch
        return product / (max(first.squareRoot(), smallest) * max(second.squareRoot(), smallest))
    }

    /// With a the drift's acceleration towards the data and s the time that remains, the error is |a| s² / 2.
    private func curvature(
        _ time: Double, _ latent: [Float], _ drift: [Float], _ acceptedError: Double, _ bend: Bool
    ) -> Verdict {
        guard seen.count == Self.driftsWatched else {
            return Verdict(leaps: false, drift: drift, cosine: nil, error: nil)
        }
        let weights = slopeWeights(seen.map { -$0.time })
        var bent = drift
        var (missed, landing) = (0.0, 0.0)
        for index in drift.indices {
            let acceleration = zip(weights, seen).reduce(0.0) { $0 + $1.0 * Double($1.1.drift[index]) }
            let off = acceleration * time * time / 2
            let end = Double(latent[index]) + time * Double(drift[index])
            missed += off * off
            landing += end * end
            if bend { bent[index] = Float(Double(drift[index]) + acceleration * time / 2) }
        }
        let error = (missed / landing).squareRoot()
        return Verdict(leaps: error <= acceptedError, drift: bent, cosine: nil, error: error)
    }

    /// Of values at these positions, the weights whose sum is the slope of the straight line that fits best.
    private func slopeWeights(_ positions: [Double]) -> [Double] {
        let centre = positions.reduce(0, +) / Double(positions.count)
        let offsets = positions.map { $0 - centre }
        let squares = offsets.reduce(0) { $0 + $1 * $1 }
        return offsets.map { $0 / squares }
    }
}
