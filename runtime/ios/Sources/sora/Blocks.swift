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
let playedOn: (conditions: Trace.Conditions, how: String) = {
    let names = SystemNames.ofThisSystem()
    guard names.os.hasPrefix("Linux") else {
        let how = "Ran block by block on Core ML, out of an export, by its schedule."
        return (Trace.Conditions(names), how)
    }
    let how = "Ran block by block out of an export, by its schedule, in a stand-in for Core ML on this computer."
    let device = "this computer, stand-in for Core ML"
    return (Trace.Conditions(names, device: device, lane: .cpu), "\(how) Its times say nothing of a phone.")
}()
