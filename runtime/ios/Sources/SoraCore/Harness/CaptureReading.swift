/// The one place that knows how a capture that a harness has begun is read.
extension Capture {
    private static let mend = "Choose another file for the capture"
    private static let maxFileBytes = 50_000_000
    private static let samples = 0...10_000

    /// The capture in a file, as a harness has written it; nil if there is none. Throws DocumentError.
    static func read(path: String) throws -> Capture? {
        guard Files.numBytes(path) != nil else {
            if Files.exists(path) { throw DocumentError(file: path, what: "this is not a file", mend: mend) }
            return nil
        }
        return try read(Files.read(path, maxBytes: maxFileBytes, mend: mend), file: path)
    }

    /// The capture that `bytes` hold; `file` is named in errors. Throws DocumentError.
    public static func read(_ bytes: [UInt8], file: String) throws -> Capture {
        let document = try Node.document(bytes, file: file, name: "a capture", format: format, mend: mend)
        let all = try document.record(
            ["format", "model", "conditions", "blocks"], optional: ["baseline_bytes", "failures"])
        return Capture(
            model: try all("model").text(.title), conditions: try Conditions(all("conditions")),
            baselineBytes: try all.ifThere("baseline_bytes").map(sizes) ?? [],
            blocks: try all("blocks").list(0...20_000).map(Block.init),
            failures: try all.ifThere("failures")?.list(0...20_000).map(Failure.init) ?? [])
    }

    fileprivate static func sizes(_ node: Node) throws -> [Int] {
        try node.list(samples).map { try $0.integer(0...100_000_000_000_000) }
    }

    fileprivate static func seconds(_ node: Node) throws -> [Double] {
        try node.list(samples).map { try $0.real(0...1e6) }
    }

    fileprivate static let names = ["component", "first_unit", "last_unit", "variant", "compute_units", "precision"]
}

extension Capture.Conditions {
    fileprivate init(_ node: Node) throws {
        let all = try node.record(
            ["device_model", "os", "date"],
            optional: ["os_build", "thermal_state", "low_power_mode", "free_bytes", "tools"])
        deviceModel = try all("device_model").text(.line)
        os = try all("os").text(.line)
        date = try all("date").text(.line)
        osBuild = try all.ifThere("os_build")?.text(.line) ?? ""
        thermalState = try all.ifThere("thermal_state")?.choice() ?? .unknown
        isLowPowerMode = try all.ifThere("low_power_mode")?.flag()
        freeBytes = try all.ifThere("free_bytes")?.integer(Schedule.bytes)
        var versions: [String: String] = [:]
        for (key, value) in try all.ifThere("tools")?.entries(0...100) ?? [] { versions[key] = try value.text(.line) }
        tools = versions
    }
}

extension BlockFunction {
    fileprivate init(captured all: Record) throws {
        let name = try all.ifThere("function")?.text(.line) ?? ""
        self.init(
            component: try all("component").text(.name), firstUnit: try all("first_unit").text(.name),
            lastUnit: try all("last_unit").text(.name), kind: try all("variant").choice(),
            precision: try Manifest.precision(all("precision")), computeUnits: try all("compute_units").choice(),
            package: try all("package").text(.package), function: name.isEmpty ? "main" : name,
            checksum: try all("sha256").text(.checksum))
    }
}

extension Capture.Block {
    fileprivate init(_ node: Node) throws {
        let all = try node.record(
            Capture.names + ["package", "sha256", "stored_bytes", "loads", "runs"],
            optional: ["function", "unload_s", "memory", "thermal_states"])
        self.init(block: try BlockFunction(captured: all), storedBytes: try all("stored_bytes").integer(Schedule.count))
        let loads = try all("loads").record([], optional: ["first_s", "later_s", "while_running_s"])
        let runs = try all("runs").record([], optional: ["first_s", "later_s", "while_loading_s"])
        firstLoadS = try loads.ifThere("first_s").map(Capture.seconds) ?? []
        laterLoadS = try loads.ifThere("later_s").map(Capture.seconds) ?? []
        loadWhileRunningS = try loads.ifThere("while_running_s").map(Capture.seconds) ?? []
        firstRunS = try runs.ifThere("first_s").map(Capture.seconds) ?? []
        laterRunS = try runs.ifThere("later_s").map(Capture.seconds) ?? []
        runWhileLoadingS = try runs.ifThere("while_loading_s").map(Capture.seconds) ?? []
        unloadS = try all.ifThere("unload_s").map(Capture.seconds) ?? []
        memory = try all.ifThere("memory").map(Capture.Footprints.list) ?? []
        thermalStates = try all.ifThere("thermal_states")?.list(0...100).map { try $0.choice() } ?? []
    }
}

extension Capture.Footprints {
    fileprivate static func list(_ node: Node) throws -> [Capture.Footprints] {
        let keys = ["before_load", "load_peak", "after_load", "run_peak", "after_evict"]
        let all = try node.record(keys)
        let lists = try keys.map { try Capture.sizes(all($0)) }
        guard Set(lists.map(\.count)).count == 1 else { throw node.error("lists of different lengths") }
        return lists[0].indices.map { row in
            Capture.Footprints(
                beforeLoad: lists[0][row], loadPeak: lists[1][row], afterLoad: lists[2][row], runPeak: lists[3][row],
                afterEvict: lists[4][row])
        }
    }
}

extension Capture.Failure {
    fileprivate init(_ node: Node) throws {
        let all = try node.record(
            Capture.names + ["package", "sha256", "reason", "action", "app_ended", "date"],
            optional: ["function", "footprint_bytes", "limit_bytes"])
        block = try BlockFunction(captured: all)
        action = try all("action").choice()
        reason = try all("reason").text(.line)
        hasEndedApp = try all("app_ended").flag()
        footprintBytes = try all.ifThere("footprint_bytes")?.integer(Schedule.bytes)
        limitBytes = try all.ifThere("limit_bytes")?.integer(Schedule.bytes)
        date = try all("date").text(.line)
    }
}
