import Foundation
import SoraCore
import ToyBlocks

/// `toy-harness CAPTURE.json STATE [--blocks N] [--limit BYTES] [--slow SECONDS] [--machine NAME]`: a capture of toy
/// blocks in a process that may be ended at any moment; with a limit it ends itself as iOS ends an app.
@main
struct ToyHarness {
    /// At once: nothing that was said is lost when the process is ended.
    private static func say(_ line: String) { FileHandle.standardOutput.write(Data("\(line)\n".utf8)) }

    static func main() throws {
        var rest = CommandLine.arguments.dropFirst()
        guard let path = rest.popFirst(), let state = rest.popFirst() else { exit(64) }
        let toy = ToyBlocks()
        var export = ToyExport(numBlocks: 3, hasMerging: true)
        var machine = "iPhone16,1"
        while let option = rest.popFirst(), let value = rest.popFirst() {
            switch option {
            case "--blocks": export.numBlocks = Int(value) ?? 3
            case "--limit": (toy.limitBytes, toy.isDeadly) = (Int(value), true)
            case "--slow": toy.reallyS = Double(value) ?? 0
            case "--machine": machine = value
            default: exit(64)
            }
        }
        do {
            let keeper = try JournalKeeper(folder: state, meter: toy)
            if let ending = keeper.lastEnding { say(ending.description) }
            for damage in keeper.damages { say("damaged: \(damage)") }
            let names = SystemNames(machine: machine, os: "iOS 18.1", osBuild: "22B83")
            let clock = HarnessClock(now: toy.clock.now, sleep: toy.clock.sleep, date: { Date() })
            let harness = Harness(
                try export.manifest(), backend: toy, meter: toy, keeper: keeper, names: names, clock: clock)
            let capture = try harness.capture(to: path) { progress in
                if case .isLeftOut(let block, _, _) = progress { say("left out: \(block.name)") }
            }
            say("measured \(capture.blocks.count), failures \(capture.failures.count)")
        } catch {
            FileHandle.standardError.write(Data("error: \(error)\n".utf8))
            exit(2)
        }
    }
}
