import SoraCore

/// What loads and runs the packages of an export here. Throws what keeps it from that.
func makeBackend(_ export: Export) throws -> any BlockBackend {
    throw DocumentError(file: export.folder, what: "this build has nothing that loads and runs packages")
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
