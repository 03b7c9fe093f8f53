import Testing

@testable import SoraCore

extension Interleavings {
    private typealias Visit = Toy.Visit

    /// A block that stays from step to step, two that are streamed.
    static let kept = Toy(
        passes: [
            (
                "denoiser",
                [
                    Visit(block: 0, loads: true, evicts: false),
                    Visit(block: 1, loads: true, evicts: true, leaves: true),
                    Visit(block: 2, loads: true, gate: 0, evicts: true, leaves: true),
                ]
            ),
            (
                "denoiser",
                [
                    Visit(block: 0, loads: false, evicts: false), Visit(block: 1, loads: true, gate: 1, evicts: true),
                    Visit(block: 2, loads: true, gate: 3, evicts: true),
                ]
            ),
        ], neededBytes: 5 + 300 + 10)

    /// Two steps of a denoiser whose second block stays, then a decoder that is loaded ahead.
    static let twoComponents = Toy(
        passes: [
            ("text", [Visit(block: 0, loads: true, evicts: true, leaves: true)]),
            (
                "denoiser",
                [
                    Visit(block: 1, loads: true, gate: -1, evicts: true, leaves: true),
                    Visit(block: 2, loads: true, gate: 0, evicts: false),
                ]
            ),
            (
                "denoiser",
                [
                    Visit(block: 1, loads: true, gate: 1, evicts: true),
                    Visit(block: 2, loads: false, evicts: true, leaves: true),
                ]
            ),
            (
                "decoder",
                [
                    Visit(block: 3, loads: true, gate: 3, evicts: true, leaves: true),
                    Visit(block: 4, loads: true, gate: 4, evicts: false),
                ]
            ),
        ], neededBytes: 5 + 200 + 10)

    /// All in memory from the start, never evicted.
    static let loaded = Toy(
        passes: [
            ("a", [Visit(block: 0, loads: false, evicts: false), Visit(block: 1, loads: false, evicts: false)]),
            ("a", [Visit(block: 0, loads: false, evicts: false), Visit(block: 1, loads: false, evicts: false)]),
            ("b", [Visit(block: 2, loads: true, evicts: true, leaves: true)]),
        ], neededBytes: 5 + 300 + 10, held: [0, 1])

    /// A random schedule of 1 to 8 visits with the gates of a window, and the bytes that any timing of it can need.
    static func random(_ random: inout SplitMix) -> Toy {
        var toy = Toy(passes: [])
        var block = 0
        var index = 0
        let isSharing = Bool.random(using: &random)
        (toy.transientShare, toy.residualShare) = isSharing ? (0.5, 0.25) : (0, 0)
        let window = Int.random(in: 0...3, using: &random)
        var evictedAt: [Int: Int] = [:]
        for component in ["a", "b", "c"] {
            let blocks = Int.random(in: 1...3, using: &random)
            let steps = Int.random(in: 1...3, using: &random)
            let keeps = (0..<blocks).map { _ in Bool.random(using: &random) }
            for step in 0..<steps {
                guard index + blocks <= 8 else { break }
                var visits: [Visit] = []
                for own in 0..<blocks {
                    let number = block + own
                    let evicts = !keeps[own]
                    let gate = max(index - 1 - window, evictedAt[number] ?? -1)
                    visits.append(
                        Visit(
                            block: number, loads: step == 0 || evicts, gate: step == 0 || evicts ? gate : -1,
                            evicts: evicts, leaves: evicts && evictedAt[number] == nil))
                    if evicts { evictedAt[number] = index }
                    index += 1
                }
                toy.passes.append((component, visits))
            }
            if toy.passes.last?.component == component { block += blocks }
        }
        return toy
    }

    /// What playing a schedule can need at most: in any order, before visit `i` has finished, no load has begun whose
    /// gate is `i` or later, and nothing that visits from `i` on evict has gone.
    static func bound(_ schedule: Schedule) -> Int {
        var most = 0
        for now in schedule.visits.indices {
            var held = schedule.baselineBytes + schedule.block(of: now).workingBytes
            var resident = Set(schedule.held.map { schedule.packageOfBlock[$0] })
            for index in schedule.visits.indices {
                let visit = schedule.visits[index]
                if visit.loads, visit.gate < now { resident.insert(schedule.package(of: index)) }
                if visit.evicts, index < now {
                    resident.remove(schedule.package(of: index))
                    if visit.leaves { held += schedule.residualBytes(schedule.block(of: index).residentBytes) }
                }
            }
            let size = schedule.blocks[0].residentBytes
            held += resident.count * size + schedule.transientBytes(size)
            most = max(most, held)
        }
        return most
    }
}

@Suite("Every order of events: within the bytes that are needed, gates kept, it ends, nothing is held")
struct InterleavingTests {
    static let interruptions: [Interleavings.Interruptions] = [
        [], .endEarly, .loadFails, .runFails, .evictFails, .pause, .warning, .close, [.endEarly, .loadFails],
        [.endEarly, .runFails],
        [.pause, .loadFails], [.pause, .runFails], [.endEarly, .pause], [.endEarly, .warning], [.endEarly, .close],
        [.endEarly, .evictFails], [.close, .evictFails],
        [.endEarly, .loadFails, .runFails, .pause, .warning, .close],
    ]

    @Test(arguments: interruptions)
    func schedulesByHand(interruptions: Interleavings.Interruptions) throws {
        for toy in [Toy.streamed, Interleavings.kept, Interleavings.twoComponents, Interleavings.loaded] {
            let walk = try Interleavings.walk(toy, interruptions)
            #expect(walk.numEnds >= 1)
            #expect(walk.numMoments > toy.passes.flatMap(\.visits).count)
        }
    }

    @Test(arguments: 0..<60)
    func randomSchedulesWithEverythingAtEachPoint(seed: UInt64) throws {
        var random = SplitMix(state: seed)
        var toy = Interleavings.random(&random)
        toy.neededBytes = Interleavings.bound(try toy.schedule())
        let walk = try Interleavings.walk(toy, [.endEarly, .loadFails, .runFails, .pause, .close])
        #expect(walk.numEnds >= 1)
    }

    /// The bytes that are said to be needed are needed: the walk would notice one less.
    @Test func theBoundIsReached() throws {
        let walk = try Interleavings.walk(Interleavings.kept, [])
        #expect(walk.largestBytes == Interleavings.kept.neededBytes)
    }
}
