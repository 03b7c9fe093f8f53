import SoraCore
import SoraCoreML

/// What loads and runs an export's packages: Core ML. Compiles what is not compiled yet. Throws CoreMLFailure.
func makeBackend(_ export: Export) throws -> any BlockBackend {
    let models = CompiledModels(export.manifest, of: export.folder)
    try models.prepare { say("compiling \($0)") }
    return CoreMLBackend(models)
}

/// The packages of an export that need not be there.
func compiledPackages(_ export: Export) -> Set<String> {
    CompiledModels(export.manifest, of: export.folder).compiledPackages()
}

/// Where and on what a generation was made, as its trace and its sidecar say.
let playedOn = (
    conditions: Trace.Conditions(device: "this computer"),
    how: "Ran block by block out of an export, by its schedule."
)
