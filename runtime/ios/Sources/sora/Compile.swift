import SoraCore
import SoraCoreML

/// `sora compile EXPORT [-o FOLDER]`: throws DocumentError or CoreMLFailure.
func compile(_ arguments: [String]) throws {
    var exports: [String] = []
    var folder: String?
    var rest = arguments[...]
    while let argument = rest.popFirst() {
        if argument == "-o" {
            folder = rest.popFirst()
            if folder == nil { throw Usage(what: "error: -o takes a folder") }
        } else if argument.hasPrefix("-") {
            throw Usage(what: "error: compile has no option '\(argument)'")
        } else {
            exports.append(argument)
        }
    }
    guard exports.count == 1 else { throw Usage(what: "error: compile takes one export") }
    let export = try Export.open(exports[0])
    let target = folder ?? "\(exports[0])/\(CompiledModels.folderName)"
    var count = 0
    let compiled = CompiledModels(export.manifest, of: export.folder, in: target, readsBeside: false)
    try compiled.prepare { package in
        print("compiling   \(package)")
        count += 1
    }
    let models = count == 1 ? "1 model" : "\(count) models"
    print(count == 0 ? "Nothing to do: every model is compiled" : "Compiled \(models) into \(target)")
}
