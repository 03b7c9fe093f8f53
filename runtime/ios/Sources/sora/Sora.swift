import Foundation
import SoraCore

/// The command line: `sora COMMAND`, on Linux and macOS. Exit status: 0 done, 2 unusable input.
@main
struct Sora {
    static let usage = """
        usage: sora inspect EXPORT [--checksums]
               sora virtual SCHEDULE.json [SCHEDULE.json ...] -o FOLDER
               sora tokens TOKENIZER.json < PROMPTS
               sora compile EXPORT [-o FOLDER]

          inspect   say what an export is and needs, and whether anything of it is missing or altered;
                    --checksums reads every file, otherwise sizes are compared
          virtual   play schedules in virtual time, by their own predicted seconds, loads and runs undisturbed by
                    each other; writes a simulated trace of each to FOLDER, under the schedule's file name
          tokens    write the token ids of every line of the input, or why the prompt is refused
          compile   compile the packages for Core ML beforehand, into EXPORT/compiled or FOLDER
        """

    static func main() {
        do {
            try run(Array(CommandLine.arguments.dropFirst()))
        } catch let error as Usage {
            stop("\(error.what)\n\(usage)")
        } catch {
            stop("error: \(error)")
        }
    }

    private static func run(_ arguments: [String]) throws {
        switch arguments.first {
        case "inspect": try inspect(Array(arguments.dropFirst()))
        case "virtual": try playVirtually(Array(arguments.dropFirst()))
        case "tokens": try printTokens(Array(arguments.dropFirst()))
        case "compile": try compile(Array(arguments.dropFirst()))
        case "--help", "-h": print(usage)
        case let other?: throw Usage(what: "error: no command is called '\(other)'")
        case nil: throw Usage(what: "error: a command is missing")
        }
    }

    private static func stop(_ message: String) -> Never {
        FileHandle.standardError.write(Data("\(message)\n".utf8))
        exit(2)
    }
}

/// Arguments that cannot be understood.
struct Usage: Error {
    let what: String
}
