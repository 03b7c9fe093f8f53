import SoraCore
import SoraCoreML

/// `sora compile EXPORT [-o FOLDER]`: throws DocumentError or CoreMLFailure.
func compile(_ arguments: [String]) throws {
    let given = try Arguments(arguments, of: "compile", options: ["-o"])
    guard given.words.count == 1 else { throw Usage(what: "error: compile takes one export") }
    let export = try Export.open(given.words[0])
    let target = given["-o"] ?? "\(export.folder)/\(CompiledModels.folderName)"
    var count = 0
    let compiled = CompiledModels(export.manifest, of: export.folder, in: target, readsBeside: false)
    try compiled.prepare { package in
        print("compiling   \(package)")
        count += 1
    }
    let models = count == 1 ? "1 model" : "\(count) models"
    print(count == 0 ? "Nothing to do: every model is compiled" : "Compiled \(models) into \(target)")
}
