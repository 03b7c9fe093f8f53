import Foundation
import SoraCore

/// The files of one video, called after its export and the moment: video, measured trace, and how it was made.
struct VideoFiles {
    let video: String
    let trace: String
    let sidecar: String

    /// Makes the folder. Throws what the system says if it cannot be made.
    init(in folder: String, _ export: Export, date: Date) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let style = Date.ISO8601FormatStyle(timeSeparator: .omitted, timeZone: .gmt)
        let name = "\((export.folder as NSString).lastPathComponent)-\(date.formatted(style))"
        video = "\(folder)/\(name).\(VideoFile.suffix)"
        trace = "\(folder)/\(name).trace.json"
        sidecar = "\(folder)/\(name).json"
    }

    /// The trace of what was played before it broke off. nil if nothing was, or if it cannot be written.
    func writeTrace(_ playback: Playback, brokenOffBy error: any Error, of export: Export, on device: SystemNames)
        -> String?
    {
        let found = Trace(brokenOff: playback, by: error, of: export, Trace.Conditions(device))
        guard let found, (try? Files.replace(trace, with: found.json)) != nil else { return nil }
        return trace
    }

    func write(_ played: Played, of export: Export, on device: SystemNames) throws {
        let trace = Trace(played, of: export, Trace.Conditions(device))
        let how = "Core ML on \(device.machine), block by block out of an export, by its schedule."
        let name = (video as NSString).lastPathComponent
        try trace.json.write(toFile: self.trace, atomically: true, encoding: .utf8)
        try Sidecar(played, of: export, video: name, how: how).json.write(
            toFile: sidecar, atomically: true, encoding: .utf8)
    }
}
