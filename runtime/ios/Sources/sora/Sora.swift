import Foundation
import SoraCore

/// The command line: `sora COMMAND`, on Linux and macOS. Exit status: 0 done, 2 unusable input, 130 interrupted.
@main
struct Sora {
    static let usage = """
        usage: sora inspect EXPORT [--checksums]
               sora play EXPORT PROMPT [--seed N] [--save-memory] -o FOLDER [--force]
               sora play EXPORT --tokens TOKENS.json [--seed N] [--save-memory] -o FOLDER [--force]
               sora profile EXPORT -o CAPTURE.json [--units UNITS ...] [--repeats N] [--again] [--state FOLDER]
               sora virtual SCHEDULE.json [SCHEDULE.json ...] -o FOLDER
               sora tokens TOKENIZER.json < PROMPTS
               sora compile EXPORT [-o FOLDER]

          inspect   say what an export is and needs, and whether anything of it is missing or altered;
                    --checksums reads every file, otherwise sizes are compared
          play      generate a video: FOLDER gets the video, a measured trace for `ondevice-sora report`, and
                    played.json, which says what was played; --force replaces what lies there. If a block fails,
                    broken-off.trace.json says what was played until then.
                    --save-memory loads nothing while a block runs, which takes longer
          profile   measure each block here, for `ondevice-sora profile import`; the same command goes on where it was.
                    --units says on what (cpu_only, cpu_and_gpu, cpu_and_ne, all; otherwise as the plan does);
                    --again tries blocks too that have ended the program twice; FOLDER keeps the journal
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
        } catch let error as Interrupted {
            stop("interrupted: \(error.what)", status: 130)
        } catch is CancellationError {
            stop("interrupted: no video was written", status: 130)
        } catch {
            stop("error: \(error)")
        }
    }

    private static func run(_ arguments: [String]) throws {
        switch arguments.first {
        case "inspect": try inspect(Array(arguments.dropFirst()))
        case "play": try play(Array(arguments.dropFirst()), meter: SystemMeter())
        case "profile": try profile(Array(arguments.dropFirst()), meter: SystemMeter())
        case "virtual": try playVirtually(Array(arguments.dropFirst()))
        case "tokens": try printTokens(Array(arguments.dropFirst()))
        case "compile": try compile(Array(arguments.dropFirst()))
        case "--help", "-h": print(usage)
        case let other?: throw Usage(what: "error: no command is called '\(other)'")
        case nil: throw Usage(what: "error: a command is missing")
        }
    }

    private static func stop(_ message: String, status: Int32 = 2) -> Never {
        say(message)
        exit(status)
    }
}

/// Arguments that cannot be understood.
struct Usage: Error {
    let what: String
}
