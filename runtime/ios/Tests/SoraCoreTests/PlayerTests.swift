import Testing

@testable import SoraCore

@Suite("The player's ledger and order, by hand")
struct PlayerTests {
    /// Two blocks, streamed: loads go on ahead, up to their gates.
    @Test func theFirstStepsOfAStreamedPlan() throws {
        var player = Player(try Toy.streamed.schedule())
        #expect(player.handle(.started) == [.load(visit: 0)])
        #expect(player.ledger.now.loading == 100)
        #expect(player.handle(.begin(component: "denoiser")) == [])
        #expect(player.handle(.loaded(visit: 0)) == [.load(visit: 1), .run(visit: 0)])
        #expect(player.ledger.now.total == 5 + 100 + 100 + 10)
        #expect(player.handle(.loaded(visit: 1)) == [])
        #expect(player.handle(.ran(visit: 0)) == [.evict(package: 0, visit: 0)])
        #expect(player.handle(.evicted(package: 0)) == [.run(visit: 1), .load(visit: 2)])
        #expect(player.handle(.ran(visit: 1)) == [.evict(package: 1, visit: 1)])
        #expect(player.handle(.evicted(package: 1)) == [.passEnded(component: "denoiser")])
        #expect(player.nextComponent == "denoiser")
    }

    @Test func aLoadIsChargedWithItsTransientShareAndALeavingWithItsResidual() throws {
        var toy = Toy.streamed
        (toy.transientShare, toy.residualShare) = (0.5, 0.1)
        var player = Player(try toy.schedule())
        _ = player.handle(.started)
        #expect(player.ledger.now.loading == 150)
        _ = player.handle(.loaded(visit: 0))
        #expect(player.ledger.now.resident == 100)
        _ = player.handle(.begin(component: "denoiser"))
        _ = player.handle(.ran(visit: 0))
        _ = player.handle(.evicted(package: 0))
        #expect(player.ledger.now.residual == 10)
    }

    @Test func aLeapWaitsForTheLoadUnderWayAndDropsIt() throws {
        var player = Player(try Toy.streamed.schedule())
        for event: Event in [
            .started, .begin(component: "denoiser"), .loaded(visit: 0), .ran(visit: 0), .evicted(package: 0),
            .loaded(visit: 1), .ran(visit: 1),
        ] { _ = player.handle(event) }
        _ = player.handle(.evicted(package: 1))
        #expect(player.underWay.loading == 2)
        #expect(player.handle(.endEarly(component: "denoiser")) == [])
        #expect(player.handle(.loaded(visit: 2)) == [.evict(package: 0, visit: 2)])
        #expect(player.handle(.evicted(package: 0)) == [.finished])
        #expect(player.packagesInMemory == [])
        #expect(player.handle(.close) == [.closed])
    }

    @Test func aRunThatFailsInTheBackgroundIsDoneAgain() throws {
        var player = Player(try Toy.streamed.schedule())
        for event: Event in [.started, .begin(component: "denoiser"), .loaded(visit: 0), .pause] {
            _ = player.handle(event)
        }
        #expect(player.handle(.runFailed(visit: 0, reason: "no GPU")) == [])
        #expect(player.ledger.now.working == 0)
        #expect(player.handle(.resume) == [.run(visit: 0)])
        #expect(
            player.handle(.runFailed(visit: 0, reason: "no GPU")) == [
                .fail(.runFailed(block: "block 'b0' of denoiser, step 0", reason: "no GPU"))
            ])
        #expect(player.handle(.loaded(visit: 1)) == [.evict(package: 0, visit: nil)])
        #expect(player.handle(.evicted(package: 0)) == [.evict(package: 1, visit: nil)])
        #expect(player.handle(.evicted(package: 1)) == [.closed])
    }

    /// The news that the GPU was refused in the background may come when the app is in front again.
    @Test func whatWasUnderWayDuringAPauseIsDoneAgainAlsoIfItFailsAfterIt() throws {
        var player = Player(try Toy.streamed.schedule())
        for event: Event in [.started, .begin(component: "denoiser"), .loaded(visit: 0), .pause, .resume] {
            _ = player.handle(event)
        }
        #expect(player.handle(.runFailed(visit: 0, reason: "no GPU")) == [.run(visit: 0)])
        #expect(player.handle(.loadFailed(visit: 1, reason: "no GPU")) == [.load(visit: 1)])
        let commands = player.handle(.loadFailed(visit: 1, reason: "no GPU"))
        #expect(commands == [.fail(.loadFailed(block: "block 'b1' of denoiser, step 0", reason: "no GPU"))])
    }

    @Test func anEvictionThatFailsNamesItsBlockAndTheRestIsGivenBack() throws {
        var player = Player(try Toy.streamed.schedule())
        for event: Event in [
            .started, .begin(component: "denoiser"), .loaded(visit: 0), .loaded(visit: 1), .ran(visit: 0),
        ] { _ = player.handle(event) }
        let commands = player.handle(.evictFailed(package: 0, reason: "busy"))
        #expect(
            commands == [
                .fail(.evictFailed(block: "block 'b0' of denoiser, step 0", reason: "busy")),
                .evict(package: 1, visit: nil),
            ])
        #expect(player.handle(.evictFailed(package: 1, reason: "busy")) == [.closed])
        #expect(player.ledger.now.resident == 0)
    }

    @Test func aLoadThatFailsNamesItsBlock() throws {
        var player = Player(try Toy.streamed.schedule())
        _ = player.handle(.started)
        let commands = player.handle(.loadFailed(visit: 0, reason: "no\nspace"))
        #expect(commands.count == 2 && commands[1] == .closed)
        guard case .fail(let error) = commands[0] else { throw error("no failure") }
        #expect(error.description == "loading block 'b0' of denoiser, step 0 failed: no\\u000aspace")
    }

    @Test func shortOfMemoryNoLoadGoesOnBesideARun() throws {
        var player = Player(try Toy.streamed.schedule())
        _ = player.handle(.memoryWarning)
        _ = player.handle(.started)
        _ = player.handle(.begin(component: "denoiser"))
        #expect(player.handle(.loaded(visit: 0)) == [.run(visit: 0)])
        _ = player.handle(.ran(visit: 0))
        #expect(player.handle(.evicted(package: 0)) == [.load(visit: 1)])
        #expect(player.handle(.loaded(visit: 1)) == [.run(visit: 1)])
        _ = player.handle(.ran(visit: 1))
        #expect(player.handle(.evicted(package: 1)) == [.passEnded(component: "denoiser"), .load(visit: 2)])
    }

    @Test func aScheduleThatNeedsMoreThanItSaysIsGivenUp() throws {
        var toy = Toy.streamed
        toy.neededBytes = 205
        var player = Player(try toy.schedule())
        _ = player.handle(.started)
        _ = player.handle(.begin(component: "denoiser"))
        #expect(
            player.handle(.loaded(visit: 0)) == [
                .load(visit: 1), .fail(.overNeeded(block: "block 'b0' of denoiser, step 0", bytes: 10)),
            ])
        #expect(player.ledger.now.working == 0)
    }

    @Test(arguments: [
        Event.loaded(visit: 1), .ran(visit: 0), .evicted(package: 0), .begin(component: "decoder"), .started,
        .loadFailed(visit: 3, reason: ""), .runFailed(visit: 0, reason: ""),
    ])
    func whatCannotHaveHappenedEndsIt(event: Event) throws {
        var player = Player(try Toy.streamed.schedule())
        _ = player.handle(.started)
        let commands = player.handle(event)
        guard case .fail(.unexpected) = commands.first else { throw error("no failure: \(commands)") }
        #expect(player.handle(.loaded(visit: 0)) == [.evict(package: 0, visit: nil)])
        #expect(player.handle(.evicted(package: 0)) == [.closed])
    }

    private func error(_ what: String) -> DocumentError { DocumentError(file: "", what: what) }
}
