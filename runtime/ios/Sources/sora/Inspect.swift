import Foundation
import SoraCore

/// `sora inspect EXPORT`: throws DocumentError where the export cannot be read, or anything of it is wrong.
func inspect(_ arguments: [String]) throws {
    let given = try Arguments(arguments, of: "inspect", flags: ["--checksums"])
    guard given.words.count == 1 else { throw Usage(what: "error: inspect takes one folder") }
    let export = try Export.open(given.words[0])
    let readsAll = given.has("--checksums")
    for (label, text) in summary(of: export) {
        print(label.padding(toLength: 12, withPad: " ", startingAt: 0) + text)
    }
    let problems = export.problems(readingAll: readsAll, mayLack: compiledPackages(export))
    for problem in problems { print("problem     \(problem)") }
    if !problems.isEmpty {
        let count = problems.count == 1 ? "1 file or package is" : "\(problems.count) files and packages are"
        throw DocumentError(file: export.folder, what: "\(count) missing or altered", mend: "Copy or export it again")
    }
    let checked = readsAll ? "every file has its checksum" : "every file has its size; --checksums reads them"
    print("whole       \(checked)")
}

private func summary(of export: Export) -> [(String, String)] {
    let (schedule, manifest) = (export.schedule, export.manifest)
    let packages = manifest.blocks.flatMap(\.packages)
    let stored = packages.reduce(0) { $0 + $1.numBytes }
    let decoding = manifest.decoding
    let rate = Figures.plain(manifest.sampling.fps)
    let (peak, limit) = (Figures.bytes(schedule.predictedPeakBytes), Figures.bytes(schedule.limitBytes))
    return [
        ("plan", "\(schedule.plan) of \(manifest.modelName), weights: \(manifest.weights)"),
        ("video", "\(decoding.width) x \(decoding.height), \(decoding.numFrames) frames, \(rate) a second"),
        ("blocks", "\(manifest.blocks.count) in \(packages.count) packages, \(Figures.bytes(stored))"),
        ("tokenizer", manifest.tokenizer.map(\.file) ?? "none: it plays tokens, not prompts"),
        ("device", "\(schedule.device), priced by \(schedule.profile)"),
        ("visits", "\(schedule.visits.count) in \(schedule.passes.count) passes, leap: \(name(of: schedule.leap))"),
        ("predicted", "\(Figures.seconds(schedule.predictedTotalS)), peak \(peak)"),
        ("needs", "at most \(Figures.bytes(schedule.neededBytes)) of \(limit) (\(schedule.limitSource))"),
    ]
}

private func name(of leap: Schedule.Leap) -> String {
    switch leap {
    case .none: "none"
    case .fixed(let step): "after step \(step)"
    case .plateau: "by plateau"
    case .curvature: "by curvature"
    }
}
