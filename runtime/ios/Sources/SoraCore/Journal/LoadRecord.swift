/// Which packages this install has loaded. Core ML compiles a package for the device when it is loaded first: only of a
/// package that is not here the next load is the first.
///
///     {"format": "ondevice-sora-loads-1"}
///     {"sha256": "…", "function": "main", "compute_units": "cpu_and_gpu"}
final class LoadRecord {
    static let format = "ondevice-sora-loads-1"
    static let fileName = "loads.jsonl"
    private static let maxFileBytes = 50_000_000
    private static let mend = "No load counts as a first one any more. Install the app again to begin anew"

    private struct Loaded: Hashable {
        let checksum: String
        let function: String
        let computeUnits: Manifest.ComputeUnits
    }

    private let file: AppendedFile
    private var loaded: Set<Loaded> = []
    /// What is wrong with the file: something has been loaded, and nobody knows what.
    let damage: DocumentError?

    /// Throws DocumentError if the file cannot be written.
    init(path: String) throws {
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
                    let all = try node.record(["sha256", "function", "compute_units"])
                    loaded.insert(
                        Loaded(
                            checksum: try all("sha256").text(.checksum), function: try all("function").text(.line),
                            computeUnits: try all("compute_units").choice()))
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
        let isKnown = loaded.contains { $0.checksum == block.checksum }
        return isKnown || damage != nil ? .unclear : .first
    }

    /// It is going to be loaded. Throws DocumentError.
    func note(_ block: BlockFunction) throws {
        guard loaded.insert(key(of: block)).inserted else { return }
        try append([
            "sha256": JSONText.text(block.checksum), "function": JSONText.text(block.function),
            "compute_units": JSONText.text(block.computeUnits.rawValue),
        ])
    }

    private func key(of block: BlockFunction) -> Loaded {
        Loaded(checksum: block.checksum, function: block.function, computeUnits: block.computeUnits)
    }

    private func append(_ members: KeyValuePairs<String, String>) throws {
        try file.append(Array("\(JSONText.object(members))\n".utf8), isSynced: true)
    }
}

/// What a load is to this device.
public enum Novelty: Equatable, Sendable {
    /// The package has not been loaded by this install.
    case first
    /// This function has been loaded on these compute units.
    case later
    /// The package has been loaded, but not so; or nobody knows. Such a load is a sample of neither.
    case unclear
}
