/// The one place that knows how a capture is written.
extension Capture {
    /// The document's text.
    var json: String {
        var head: [(String, String)] = [
            ("format", JSONText.text(Self.format)), ("model", JSONText.text(model)), ("conditions", conditions.json),
        ]
        if !baselineBytes.isEmpty { head.append(("baseline_bytes", "\(baselineBytes)")) }
        head.append(("blocks", blocks.isEmpty ? "[]" : JSONText.rows(blocks.map(\.json))))
        if !failures.isEmpty { head.append(("failures", JSONText.rows(failures.map(\.json)))) }
        return "{" + head.map { "\(JSONText.text($0.0)): \($0.1)" }.joined(separator: ",\n ") + "}\n"
    }

    /// As Python's captures have it: empty where a package has one function only.
    fileprivate static func name(of function: String) -> String { function == "main" ? "" : function }

    fileprivate static func object(_ members: [(key: String, json: String?)]) -> String {
        let told = members.compactMap { key, json in json.map { "\(JSONText.text(key)): \($0)" } }
        return "{" + told.joined(separator: ", ") + "}"
    }

    fileprivate static func list(_ seconds: [Double]) -> String? {
        seconds.isEmpty ? nil : "[" + seconds.map(JSONText.number).joined(separator: ", ") + "]"
    }

    fileprivate static func list(_ sizes: [Int]) -> String? { sizes.isEmpty ? nil : "\(sizes)" }

    fileprivate static func text(_ text: String) -> String? { text.isEmpty ? nil : JSONText.text(text) }
}

extension Capture.Conditions {
    fileprivate var json: String {
        let versions = tools.sorted { $0.key < $1.key }.map { (key: $0.key, json: JSONText.text($0.value) as String?) }
        return Capture.object([
            ("device_model", JSONText.text(deviceModel)), ("os", JSONText.text(os)),
            ("os_build", Capture.text(osBuild)), ("date", JSONText.text(date)),
            ("thermal_state", JSONText.text(thermalState.rawValue)),
            ("low_power_mode", isLowPowerMode.map { "\($0)" }), ("free_bytes", freeBytes.map { "\($0)" }),
            ("tools", Capture.object(versions)),
        ])
    }
}

extension Capture.Block {
    fileprivate var json: String {
        let loads = Capture.object([
            ("first_s", Capture.list(firstLoadS)), ("later_s", Capture.list(laterLoadS)),
            ("while_running_s", Capture.list(loadWhileRunningS)),
        ])
        let runs = Capture.object([
            ("first_s", Capture.list(firstRunS)), ("later_s", Capture.list(laterRunS)),
            ("while_loading_s", Capture.list(runWhileLoadingS)),
        ])
        let held = Capture.object([
            ("before_load", Capture.list(memory.map(\.beforeLoad))),
            ("load_peak", Capture.list(memory.map(\.loadPeak))), ("after_load", Capture.list(memory.map(\.afterLoad))),
            ("run_peak", Capture.list(memory.map(\.runPeak))),
            ("after_evict", Capture.list(memory.map(\.afterEvict))),
        ])
        let states = thermalStates.map { JSONText.text($0.rawValue) }.joined(separator: ", ")
        return Capture.object([
            ("component", JSONText.text(block.component)), ("first_unit", JSONText.text(block.firstUnit)),
            ("last_unit", JSONText.text(block.lastUnit)), ("variant", JSONText.text(block.kind.rawValue)),
            ("compute_units", JSONText.text(block.computeUnits.rawValue)),
            ("precision", JSONText.text(block.precision)), ("package", JSONText.text(block.package)),
            ("function", Capture.text(Capture.name(of: block.function))),
            ("sha256", JSONText.text(block.checksum)), ("stored_bytes", "\(storedBytes)"), ("loads", loads),
            ("runs", runs), ("unload_s", Capture.list(unloadS)), ("memory", memory.isEmpty ? nil : held),
            ("thermal_states", thermalStates.isEmpty ? nil : "[\(states)]"),
        ])
    }
}

extension Capture.Failure {
    fileprivate var json: String {
        Capture.object([
            ("package", JSONText.text(block.package)), ("function", Capture.text(Capture.name(of: block.function))),
            ("compute_units", JSONText.text(block.computeUnits.rawValue)), ("reason", JSONText.text(reason)),
            ("component", JSONText.text(block.component)), ("first_unit", JSONText.text(block.firstUnit)),
            ("last_unit", JSONText.text(block.lastUnit)), ("variant", JSONText.text(block.kind.rawValue)),
            ("precision", JSONText.text(block.precision)), ("sha256", JSONText.text(block.checksum)),
            ("action", JSONText.text(action.rawValue)), ("app_ended", "\(hasEndedApp)"),
            ("footprint_bytes", footprintBytes.map { "\($0)" }), ("limit_bytes", limitBytes.map { "\($0)" }),
            ("date", JSONText.text(date)),
        ])
    }
}
