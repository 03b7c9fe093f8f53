import Foundation
import SoraCore

/// `sora virtual SCHEDULE.json ... -o FOLDER`.
func playVirtually(_ arguments: [String]) throws {
    let given = try Arguments(arguments, of: "virtual", options: ["-o"])
    guard let folder = given["-o"], !given.words.isEmpty else {
        throw Usage(what: "error: virtual takes schedules, and -o with a folder")
    }
    for path in given.words {
        let schedule = try Schedule.read(path: path)
        let trace = Trace(simulated: try VirtualTime.play(schedule), of: schedule, model: "not told")
        let target = URL(fileURLWithPath: folder).appendingPathComponent((path as NSString).lastPathComponent)
        guard target.standardizedFileURL != URL(fileURLWithPath: path).standardizedFileURL else {
            throw Usage(what: "error: \(folder) is where \(path) lies: the trace would replace it")
        }
        do {
            try trace.json.write(to: target, atomically: true, encoding: .utf8)
        } catch {
            throw DocumentError(file: target.path, what: "cannot be written")
        }
    }
    print("Wrote \(given.words.count) traces to \(folder)")
}
