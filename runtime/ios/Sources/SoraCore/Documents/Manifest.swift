/// manifest.json: what an export holds and how its blocks are called (docs/coreml.md).
///
/// Shapes are whole numbers from the outermost dimension on; bytes are bytes.
public struct Manifest: Sendable {
    public static let fileName = "manifest.json"
    public static let format = "ondevice-sora-export-2"

    public enum ElementType: String, CaseIterable, Sendable { case float32, float16, int32 }
    /// `tail` is for what is left at the end of a video: a shorter chunk of latent frames, or fewer frames.
    public enum FunctionKind: String, CaseIterable, Sendable { case plain, tdtm, tail }
    public enum ComputeUnits: String, CaseIterable, Sendable {
        case cpuOnly = "cpu_only"
        case cpuAndGPU = "cpu_and_gpu"
        case cpuAndNeuralEngine = "cpu_and_ne"
        case all
    }
    public enum Passes: Equatable, Sendable {
        /// One for each denoising step.
        case steps
        case count(Int)
    }

    /// An input or output: its name in the package, and the tensor that it is.
    public struct Feature: Equatable, Sendable {
        public let feature: String
        public let tensor: String
        public let type: ElementType
        public let shape: [Int]
    }

    /// How one kind of a block is called.
    public struct Function: Sendable {
        public let kind: FunctionKind
        public let package: String
        /// `main` where the package has one only.
        public let function: String
        public let inputs: [Feature]
        public let outputs: [Feature]
    }

    /// An .mlpackage beside the manifest. `checksum` is over the names, sizes and contents of its files (SHA-256).
    public struct Package: Sendable {
        public let file: String
        public let numBytes: Int
        public let checksum: String
    }

    public struct Block: Sendable {
        public let component: String
        /// Among the component's blocks, from 0.
        public let number: Int
        public let firstUnit: String
        public let lastUnit: String
        public let precision: String
        public let computeUnits: ComputeUnits
        public let packages: [Package]
        public let functions: [Function]

        /// As in schedules and traces.
        public var name: String { firstUnit == lastUnit ? firstUnit : "\(firstUnit)..\(lastUnit)" }

        /// nil if the block has none of that kind.
        public func function(_ kind: FunctionKind) -> Function? { functions.first { $0.kind == kind } }
    }

    /// What its caller provides and what it provides, by the names of tensors.
    public struct Component: Sendable {
        public let name: String
        public let passes: Passes
        public let reads: [String]
        public let writes: [String]
    }

    /// How a step follows the velocities: `euler` along the last, `ab2` along it and its change, see `Euler.ahead`.
    public enum Solver: String, Sendable {
        case euler
        case ab2
    }

    /// Steps along a rectified flow: z += d (t[i] - t[i + 1]) / timeScale, t being 0 after the last; d by `solver`.
    ///
    /// v = v_uncond + guidance (v_cond - v_uncond), from the first `latentChannels` channels of `velocity`. A block takes
    /// `batch` samples: both branches, the conditional one first; or one, and then it runs for one branch after the
    /// other. At a guidance of 1 there is the conditional one alone. Noise has the shape [1] + latentShape.
    public struct Sampling: Sendable {
        public let timesteps: [Double]
        public let timeScale: Double
        public let guidance: Double
        /// Frames a second.
        public let fps: Double
        public let batch: Int
        public let latentChannels: Int
        public let latentShape: [Int]
        public let solver: Solver

        /// Branches of guidance.
        public var branches: Int { guidance == 1 ? 1 : 2 }
    }

    /// How latents become frames: chunks of latent frames, batches of frames. `chunkFrames` are those of each chunk.
    public struct Decoding: Sendable {
        public let numFrames: Int
        public let height: Int
        public let width: Int
        public let chunkLatentFrames: Int
        public let chunkFrames: [Int]
        public let batchFrames: Int
    }

    /// Float32 values in a file beside the manifest, little-endian, row by row.
    public struct Constant: Sendable {
        public let file: String
        public let shape: [Int]
        public let checksum: String
    }

    /// A document beside the manifest. `checksum` is over its bytes (SHA-256).
    public struct StoredDocument: Sendable {
        public let file: String
        public let checksum: String
    }

    /// False while blocks are being made: such an export is not played.
    public let isComplete: Bool
    public let model: String
    /// The name by which measurements of these blocks are matched with plans.
    public let modelName: String
    public let planSHA256: String
    /// The name of the weights' folder, or what they were drawn from.
    public let weights: String
    public let madeWith: String
    /// How many tokens of a prompt may count, and to how many it is filled up.
    public let textTokens: Int
    public let encoderTokens: Int
    public let sampling: Sampling
    public let decoding: Decoding
    /// The caption that stands for none.
    public let noCaption: Constant
    /// nil where the weights have none: then prompts cannot be played.
    public let tokenizer: StoredDocument?
    /// In the order in which they are walked.
    public let components: [Component]
    public let blocks: [Block]

    /// nil if the export was cut otherwise.
    public func block(component: String, number: Int) -> Block? {
        blocks.first { $0.component == component && $0.number == number }
    }
}
