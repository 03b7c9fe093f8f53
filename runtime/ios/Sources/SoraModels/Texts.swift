import Foundation
import SoraCore

/// Everything that the app says.
public enum Texts {
    public enum Library {
        public static let title = "Models"
        public static let empty = "No model here yet"
        public static let emptyHint =
            "Make one with ondevice-sora export and copy its folder into this app's documents, with the Finder or "
            + "with devicectl. docs/iphone.md has the commands."
        public static let looking = "Looking for models …"
        public static let readingAll = "Comparing checksums; this takes seconds for each gigabyte …"
        public static let menu = "More"
        public static let refresh = "Look again"
        public static let readAll = "Compare checksums"
        public static let details = "About this model"

        public static func removeLeftovers(_ numBytes: Int) -> String {
            "Delete what is left of other models (\(Figures.bytes(numBytes)))"
        }

        static func limit(_ limitBytes: Int?) -> String {
            guard let limitBytes else { return "The system does not say how much memory this app may use." }
            return "iOS lets this app use \(Figures.bytes(limitBytes)) of memory."
        }

        static func subtitle(_ export: Export) -> String {
            let decoding = export.manifest.decoding
            let stored = export.manifest.blocks.flatMap(\.packages).reduce(0) { $0 + $1.numBytes }
            return "\(decoding.width) x \(decoding.height), \(decoding.numFrames) frames · \(Figures.bytes(stored))"
        }

        static func status(_ entry: LibraryEntry) -> String {
            switch entry.state {
            case .ready:
                guard let schedule = entry.playable?.export.schedule else { return "" }
                let needs = "Needs \(Figures.bytes(schedule.neededBytes)), about "
                let checked = entry.isReadWhole ? " · checksums right" : ""
                return needs + Figures.seconds(schedule.predictedTotalS) + checked
            case .tooLarge(let needed, let limit):
                return "Needs \(Figures.bytes(needed)); iOS lets this app use \(Figures.bytes(limit))"
            case .damaged(let lines): return lines.count == 1 ? "Not whole" : "Not whole: \(lines.count) things"
            case .unreadable: return "Cannot be read"
            case .withoutTokenizer: return "Has no tokenizer: its blocks can be measured, but it reads no prompts"
            }
        }
    }

    public enum Details {
        static let model = "Model"
        static let video = "Video"
        static let blocks = "Blocks"
        static let stored = "Stored"
        static let needs = "Memory"
        static let predicted = "Predicted"
        static let device = "Predicted for"

        static func video(_ manifest: Manifest) -> String {
            let (decoding, sampling) = (manifest.decoding, manifest.sampling)
            let seconds = Figures.seconds(Double(decoding.numFrames) / sampling.fps)
            return "\(decoding.width) x \(decoding.height), \(decoding.numFrames) frames, \(seconds)"
        }

        static func blocks(_ numBlocks: Int, _ numPackages: Int) -> String { "\(numBlocks) in \(numPackages) packages" }

        static func needs(_ needed: Int, _ limit: Int) -> String {
            "at most \(Figures.bytes(needed)) of \(Figures.bytes(limit))"
        }

        static func predicted(_ totalS: Double, _ peakBytes: Int) -> String {
            "\(Figures.seconds(totalS)), peak \(Figures.bytes(peakBytes))"
        }

        static func device(_ device: String, _ profile: String) -> String {
            device == profile ? device : "\(device), by \(profile)"
        }
    }

    public enum Prompt {
        public static let title = "Prompt"
        public static let placeholder = "What should be seen?"
        public static let seed = "Seed"
        public static let drawSeed = "Another seed"
        public static let seedHint = "The same prompt and seed make the same video."
        public static let saveMemory = "Save memory"
        public static let saveMemoryHint =
            "Nothing is loaded while a block runs. It takes longer, and may go through where iOS has ended the app."
        public static let useExample = "Use the example"
        public static let words = "Words that it knows"
        public static let start = "Make the video"

        public static func replace(with suggestion: String) -> String { "Write “\(suggestion)”" }
        public static func addLabel(_ word: String) -> String { "Add the word \(word)" }

        static func hint(_ state: PromptState) -> String {
            switch state {
            case .empty(let example): "For example: \(example)"
            case .good(let numTokens, let length): "\(numTokens) of \(length) tokens"
            case .tooLong(let numTokens, let length):
                "Too long: \(numTokens) tokens, and the model reads \(length). Write a shorter one."
            case .refused(let why, _): why.prefix(1).uppercased() + why.dropFirst()
            }
        }

        /// Why it cannot be started.
        public static func refusal(_ refusal: GenerationModel.Refusal) -> String {
            switch refusal {
            case .tooLarge(let needed, let limit):
                "This will not fit: \(Failure.noRoom(needed: needed, limit: limit)). \(Failure.noRoomAdvice)"
            case .prompt(let state): state.hint
            case .seed(let text):
                "“\(text)” is no seed. Write a whole number from \(GenerationModel.seeds.lowerBound) to "
                    + "\(GenerationModel.seeds.upperBound)."
            case .unusable: "This model cannot be played as it is; the list of models says why."
            case .busy: "Something else is being made or measured. One at a time has the memory."
            }
        }
    }

    public enum Run {
        public static let pause = "Pause"
        public static let resume = "Go on"
        public static let cancel = "Stop"
        public static let cancelQuestion = "Stop this video? What was made so far is lost."
        public static let keepGoing = "Keep going"
        public static let steps = "Measured and predicted"
        static let beginning = "Beginning"
        static let reading = "Reading the prompt"
        static let cancelling = "Stopping when the block under way has ended"
        static let paused = "Paused"
        static let shortOfMemory = "iOS is short of memory: for now nothing is loaded while a block runs."

        static func preparing(_ package: String) -> String { "Compiling \(package), once on this phone" }

        static func step(_ number: Int, of count: Int) -> String { "Step \(number) of \(count)" }

        static func decoding(_ number: Int, of count: Int) -> String {
            count == 1 ? "Making the pictures" : "Making the pictures, \(number) of \(count)"
        }

        static func times(elapsedS: Double, remainingS: Double) -> String {
            "\(Figures.seconds(elapsedS)) so far, about \(Figures.seconds(remainingS)) left"
        }

        static func measured(_ seconds: Double, predictedS: Double) -> String {
            "\(Figures.seconds(seconds)), predicted \(Figures.seconds(predictedS))"
        }

        static func why(_ pause: GenerationModel.Pause) -> String {
            switch pause {
            case .byUser: "Nothing new is started until you go on."
            case .inBackground: "iOS allows no work on the GPU in the background. It goes on when you come back."
            }
        }

        static func waits(_ block: String, _ seconds: Double) -> String {
            "Loading \(block) has taken \(Figures.seconds(seconds)) and goes on. A first load can take minutes."
        }

        static func leapt(after step: Int, of count: Int) -> String {
            "Leapt to the end after step \(step) of \(count)."
        }

        static func frames(_ count: Int, of all: Int) -> String { "\(count) of \(all) frames are written." }
    }

    public enum Memory {
        public static let title = "Memory"
        static func used(_ used: Int, _ limit: Int?) -> String {
            guard let limit else { return Figures.bytes(used) }
            return "\(Figures.bytes(used)) of \(Figures.bytes(limit))"
        }
        static func ledger(_ ledger: Int, _ needed: Int) -> String {
            "Ledger \(Figures.bytes(ledger)), at most \(Figures.bytes(needed))"
        }
    }

    public enum Finished {
        public static let title = "Your video"
        public static let shareVideo = "Share the video"
        public static let shareTrace = "Share the trace"
        public static let again = "Make another one"
        public static let place = "Both files are in this app's folder, under Videos."
        public static let traceHint = "ondevice-sora report opens the trace beside the simulated one."

        public static func summary(_ video: FinishedVideo, predictedS: Double?, memory: MemoryReading?) -> String {
            var parts = ["\(video.numFrames) frames in \(Figures.seconds(video.totalS))"]
            if let predictedS { parts.append("predicted \(Figures.seconds(predictedS))") }
            if let memory {
                let peak = memory.peakFootprintBytes ?? memory.peakLedgerBytes
                parts.append("peak \(Figures.bytes(peak)) of \(Figures.bytes(memory.limitBytes))")
            }
            return parts.joined(separator: ", ")
        }
    }

    public enum Profiling {
        public static let title = "Measure its blocks"
        public static let start = "Measure"
        public static let goOn = "Measure the rest"
        public static let cancel = "Stop"
        public static let share = "Share the capture"
        public static let misses = "Could not be measured"
        public static let busy = "Something else is being made or measured. One at a time has the memory."
        static let what =
            "Loads and runs each block by itself and writes down seconds and bytes. It takes a while: keep the phone "
            + "cool and charged, and this app in front."
        static let beginning = "Beginning"
        static let paused = "Paused while this app is in the background"
        static let cancelling = "Stopping when the block under way has ended"
        static let next = "On your computer: ondevice-sora profile import CAPTURE -o phone.yaml"

        static let leftOut = "left out, as the app was ended at it twice"

        static func left(_ left: Int?, of all: Int?) -> String {
            guard let left, let all else { return "How much there is to measure is not known yet" }
            if left == 0 { return "All \(all) functions are measured" }
            return "\(left) of \(all) functions left to measure"
        }

        static func measuring(_ name: String) -> String { "Measuring \(name)" }

        static func cooling(_ thermal: ThermalState) -> String {
            "Waiting until the phone is cooler; it says that its heat is \(thermal.rawValue)"
        }

        static func finished(_ file: CaptureFile) -> String {
            let missed = file.numFailures == 0 ? "" : ", \(file.numFailures) could not be"
            return "\(file.numMeasured) functions measured\(missed)"
        }

        static func partial(_ file: CaptureFile) -> String {
            "\(file.numMeasured) functions are measured and kept. The next time goes on from there."
        }

        static func missed(_ name: String, _ reason: String) -> String { "\(name): \(reason)" }
    }

    public enum Ended {
        static let title = "The last run did not come to its end"
        static let advice =
            "If you closed the app yourself, this says nothing. Otherwise the block did not fit: it is written down "
            + "in the capture. Switch on “\(Prompt.saveMemory)”, or make an export with a smaller budget "
            + "(docs/iphone.md)."
        static let adviceInBackground =
            "iOS may end what is not in front at any time. Keep the app in front while it works."
        static let adviceBetween = "If you closed the app yourself, this says nothing. Nothing was being loaded or run."
        public static let putAway = "Put away"

        static func message(_ notice: EndNotice) -> String {
            let at = notice.footprintBytes.map { " at \(Memory.used($0, notice.limitBytes))" } ?? ""
            let place = notice.isInBackground ? " in the background" : ""
            return "iOS ended the app\(place) while \(notice.doing)\(at)."
        }

        static func doing(_ action: Ending.Action, _ block: String) -> String {
            switch action {
            case .load: "loading \(block)"
            case .run: "running \(block)"
            }
        }

        static func between(_ purpose: Ending.Purpose) -> String {
            switch purpose {
            case .generation: "making a video, between two blocks"
            case .profile: "measuring a model, between two blocks"
            }
        }
    }

    public enum Failure {
        public static let back = "Back"
        public static let traceHint = "What was measured until then. ondevice-sora report opens it."
        static let load = "A block could not be loaded"
        static let loadAdvice =
            "Compare the model's checksums in the list of models. If they are right, close other apps and try again."
        static let run = "A block could not be run"
        static let runAdvice = "Try again with this app in front. If it fails at the same block, measure its blocks."
        static let evict = "A block could not be given back"
        static let evictAdvice = "Start the app again: its memory is free then."
        static let noRoom = "This will not fit"
        static let noRoomAdvice =
            "Export the plan again with a smaller budget (docs/iphone.md), or build the app with the entitlement for more "
            + "memory."
        static let compile = "Core ML could not compile a package"
        static let compileAdvice =
            "See whether the phone has as much room as the model takes. If it has, compare the model's checksums in "
            + "the list of models."
        static let video = "The video could not be written"
        static let videoAdvice = "See whether the phone's storage is full, then try again."
        static let overNeeded = "The schedule does not belong to these blocks"
        static let overNeededAdvice = "Make it again with ondevice-sora schedule, and copy it into the model's folder."
        static let unexpected = "The app has made a mistake"
        static let unexpectedAdvice = "Please report it, with this text."
        static let document = "A file is not as it should be"
        static let copyAgain = "Copy the model's folder again."
        static let prompt = "The prompt cannot be read"
        static let changePrompt = "Change it and try again."
        static let diskFull = "The phone's storage is full"
        static let freeSpace =
            "Core ML keeps a compiled copy as large as the model itself. Delete something, then try again."
        static let other = "It did not work"
        static func noRoom(needed: Int, limit: Int) -> String {
            "it needs up to \(Figures.bytes(needed)) of memory, and iOS ends this app at \(Figures.bytes(limit))"
        }

        static let tryAgain = "Try again. If it happens again, please report it, with this text."
    }
}
