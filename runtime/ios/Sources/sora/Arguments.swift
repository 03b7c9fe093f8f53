import SoraCore

/// What stands behind a command: words, options with values, flags.
struct Arguments {
    /// In order.
    let words: [String]
    private var values: [String: [String]] = [:]

    /// `options` take a value each, `flags` none. Throws Usage for another, and for an option without its value.
    init(
        _ arguments: [String], of command: String, options: Set<String> = [], flags: Set<String> = []
    ) throws {
        var words: [String] = []
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if options.contains(argument) {
                guard let value = rest.popFirst() else { throw Usage(what: "error: \(argument) takes a value") }
                values[argument, default: []].append(value)
            } else if flags.contains(argument) {
                values[argument] = []
            } else if argument.hasPrefix("-") {
                throw Usage(what: "error: \(command) has no option '\(argument)'")
            } else {
                words.append(argument)
            }
        }
        self.words = words
    }

    /// The last one given.
    subscript(option: String) -> String? { values[option]?.last }

    /// All that were given, in order.
    func all(_ option: String) -> [String] { values[option] ?? [] }

    func has(_ flag: String) -> Bool { values[flag] != nil }
}

/// An export of which nothing is missing, as far as sizes tell. Throws DocumentError.
func checked(_ export: Export) throws -> Export {
    if let problem = export.problems(readingAll: false, mayLack: compiledPackages(export)).first { throw problem }
    return export
}
