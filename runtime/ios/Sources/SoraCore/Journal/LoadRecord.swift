/// Which packages this install has loaded. Core ML compiles a package for the device when it is loaded first: only of a
/// package that is not here the next load is the first. What it has compiled it throws away when the system is updated,
/// and it may look for it by the model's place, which changes when the app is installed anew over itself.
///
///     {"format": "ondevice-sora-loads-2"}
///     {"sha256": "…", "function": "main", "compute_units": "cpu_and_gpu", "system": "22B83", "place": "/var/…"}
final class LoadRecord {
    static let format = "ondevice-sora-loads-2"
    static let fileName = "loads.jsonl"
    private static let maxFileBytes = 50_000_000
    private static let mend = "No load counts as a first one any more. Install the app again to begin anew"

    private struct Loaded: Hashable {
        let checksum: String
        let function: String
        let computeUnits: Manifest.ComputeUnits
        let system: String
        let place: String
    }

    private let system: String
    private let place: String
    private let file: AppendedFile
    private var loaded: Set<Loaded> = []
    /// What is wrong with the file: something has been loaded, and nobody knows what.
    let damage: DocumentError?

    /// `system` is the build of the system, `place` where the app keeps what it has. Throws DocumentError if the file
    /// cannot be written.
    init(path: String, system: String, place: String) throws {
        self.system = system
        self.place = place.printable
        file = try AppendedFile(path: path)
        let bytes = try file.contents(maxBytes: Self.maxFileBytes)
        let lines = JSONLines.whole(bytes)
        if lines.numBytes < bytes.count { try file.shorten(to: lines.numBytes) }
        var damage: DocumentError?
        for (row, line) in lines.rows.enumerated() {
            do {
                let node = try JSONLines.node(line, row: row, file: path, mend: Self.mend)
                if row == 0 {
                    let found = try node.record(["format"])("format")
                    guard found.value == .text(Self.format) else { throw found.error("expected '\(Self.format)'") }
                } else {
                    let all = try node.record(["sha256", "function", "compute_units", "system", "place"])
                    loaded.insert(
                        Loaded(
                            checksum: try all("sha256").text(.checksum), function: try all("function").text(.line),
                            computeUnits: try all("compute_units").choice(), system: try all("system").text(.line),
                            place: try all("place").text(.line)))
                }
            } catch let error as DocumentError {
                damage = damage ?? error
            }
        }
        self.damage = damage
        if lines.numBytes == 0 { try append(["format": JSONText.text(Self.format)]) }
    }

    /// What the next load of a function is.
    func novelty(of block: BlockFunction) -> Novelty {
        if loaded.contains(key(of: block)) { return .later }
        let isKnown = loaded.contains { $0.checksum == block.checksum && $0.system == system }
        return isKnown || damage != nil ? .unclear : .first
    }

    /// It is going to be loaded. Throws DocumentError.
    func note(_ block: BlockFunction) throws {
        guard loaded.insert(key(of: block)).inserted else { return }
        try append([
            "sha256": JSONText.text(block.checksum), "function": JSONText.text(block.function),
            "compute_units": JSONText.text(block.computeUnits.rawValue), "system": JSONText.text(system),
            "place": JSONText.text(place),
        ])
    }

    private func key(of block: BlockFunction) -> Loaded {
        Loaded(
            checksum: block.checksum, function: block.function, computeUnits: block.computeUnits, system: system,
            place: place)
    }

    private func append(_ members: KeyValuePairs<String, String>) throws {
        try file.append(Array("\(JSONText.object(members))\n".utf8), isSynced: true)
    }
}

/// What a load is to this device.
public enum Novelty: Equatable, Sendable {
    /// The package has not been loaded by this install under this version of the system.
    case first
    /// This function has been loaded on these compute units.
    case later
    /// The package has been loaded, but not so, or by the app in another place; or nobody knows. Such a load is a sample
    /// of neither.
    case unclear
}
