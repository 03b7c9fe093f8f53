import SoraCore

/// What loads and runs the packages of an export here. Throws what keeps it from that.
func makeBackend(_ export: Export) throws -> any BlockBackend {
    throw DocumentError(file: export.folder, what: "this build has nothing that loads and runs packages")
}

/// Where and on what a generation was made, as its trace and its sidecar say.
let playedOn = (
    conditions: Trace.Conditions(device: "this computer"),
    how: "Ran block by block out of an export, by its schedule."
)
