import Foundation
import SoraCore

/// `sora virtual SCHEDULE.json ... -o FOLDER`.
func playVirtually(_ arguments: [String]) throws {
    var paths: [String] = []
    var folder: String?
    var rest = arguments[...]
    while let argument = rest.popFirst() {
        if argument == "-o" {
            folder = rest.popFirst()
        } else if argument.hasPrefix("-") {
            throw Usage(what: "error: virtual has no option '\(argument)'")
        } else {
            paths.append(argument)
        }
    }
    guard let folder, !paths.isEmpty else { throw Usage(what: "error: virtual takes schedules, and -o with a folder") }
    for path in paths {
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
    print("Wrote \(paths.count) traces to \(folder)")
}
