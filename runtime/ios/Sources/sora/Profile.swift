import Foundation
import SoraCore

/// `sora profile EXPORT -o CAPTURE.json`: measures each block here. Throws what is wrong with the arguments, the export,
/// the file or the journal; Interrupted, with what was measured in the file.
func profile(
    _ arguments: [String], meter: any Meter, makeBackend: (Export) throws -> any BlockBackend = makeBackend(_:),
    say: @escaping @Sendable (String) -> Void = say(_:)
) throws {
    let options = try ProfileOptions(arguments)
    try profile(options, try Export.open(options.export), meter: meter, makeBackend: makeBackend, say: say)
}

func profile(
    _ options: ProfileOptions, _ export: Export, meter: any Meter, makeBackend: (Export) throws -> any BlockBackend,
    say: @escaping @Sendable (String) -> Void
) throws {
    let export = try checked(export)
    let keeper = try JournalKeeper(folder: options.state ?? JournalKeeper.standardFolder, meter: meter)
    for damage in keeper.damages { say("note: \(damage)") }
    if let ending = keeper.lastEnding { say(ending.description) }
    let harness = Harness(
        export.manifest, backend: try makeBackend(export), meter: meter, keeper: keeper, settings: options.settings)
    let control = HarnessControl()
    let capture = try whenInterrupted(control.stop) {
        try harness.capture(to: options.output, control: control) { progress in
            if let line = told(progress) { say(line) }
        }
    }
    let counts = try harness.counts(in: options.output)
    say("\(counts.numMeasured) of \(counts.numFunctions) functions are measured, \(failures(of: capture))")
    if control.isStopped {
        throw Interrupted(what: "\(options.output) has what was measured; the same command goes on")
    }
    say("Wrote \(options.output)")
}

private func failures(of capture: Capture) -> String {
    switch capture.failures.count {
    case 0: "nothing failed"
    case 1: "1 failure"
    default: "\(capture.failures.count) failures"
    }
}

/// What is written of the arguments of `sora profile`.
struct ProfileOptions {
    let export: String
    let output: String
    /// Where the journal is kept; nil for the standard place.
    let state: String?
    let settings: Harness.Settings

    /// Throws Usage.
    init(_ arguments: [String]) throws {
        let given = try Arguments(
            arguments, of: "profile", options: ["-o", "--state", "--repeats", "--units"], flags: ["--again"])
        guard given.words.count == 1, let output = given["-o"] else {
            throw Usage(what: "error: profile takes an export, and -o with a file")
        }
        var settings = Harness.Settings()
        settings.triesAgain = given.has("--again")
        if let repeats = given["--repeats"] {
            guard let count = Int(repeats), (1...1000).contains(count) else {
                throw Usage(what: "error: --repeats takes a whole number from 1 to 1000")
            }
            settings.repeats = count
        }
        for name in given.all("--units") {
            guard let units = Manifest.ComputeUnits(rawValue: name) else {
                let known = Manifest.ComputeUnits.allCases.map(\.rawValue).joined(separator: ", ")
                throw Usage(what: "error: --units takes one of \(known)")
            }
            if !settings.computeUnits.contains(units) { settings.computeUnits.append(units) }
        }
        (export, self.output, state, self.settings) = (given.words[0], output, given["--state"], settings)
    }
}

/// A line for whoever watches, nil for what is not worth one.
private func told(_ progress: HarnessProgress) -> String? {
    switch progress {
    case .measures(let block, let number, let count): "measuring \(number) of \(count): \(block.name)"
    case .isLeftOut(let block, _, _): "left out, as it has ended the app before (--again tries it): \(block.name)"
    case .cools(let state, let seconds): "the device is too hot (\(state.rawValue)), waiting: \(Int(seconds)) s"
    case .failed(let failure): "failed: \(failure.block.name): \(failure.reason)"
    case .isMeasured, .acted, .measured: nil
    }
}
