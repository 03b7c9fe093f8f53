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

    func write(_ played: Played, of export: Export, on device: SystemNames) throws {
        let facts = ["system": "\(device.os) \(device.osBuild)"]
        let trace = Trace(measured: played.playback, of: export, Trace.Conditions(device: device.machine, facts: facts))
        let how = "Core ML on \(device.machine), block by block out of an export, by its schedule."
        let name = (video as NSString).lastPathComponent
        try trace.json.write(toFile: self.trace, atomically: true, encoding: .utf8)
        try Sidecar(played, of: export, video: name, how: how).json.write(
            toFile: sidecar, atomically: true, encoding: .utf8)
    }
}
