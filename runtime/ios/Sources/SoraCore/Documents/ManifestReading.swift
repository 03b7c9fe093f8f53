/// The one place that knows how manifest.json is written.
extension Manifest {
    static let exportAgain = "Export the plan again"
    static let maxFileBytes = 100_000_000
    private static let tokenizerFile = "tokenizer.json"
    private static let maxRows = 100_000
    private static let sizes = 1...1_000_000
    private static let precisions = [
        "float32", "float16", "mixed", "int8", "int6", "int4", "int3", "int2", "int8_float32", "int6_float32",
        "int4_float32", "int3_float32", "int2_float32",
    ]

    /// The manifest that `bytes` hold; `file` is named in errors. Throws DocumentError.
    public static func read(_ bytes: [UInt8], file: String) throws -> Manifest {
        let document = try Node.document(
            bytes, file: file, name: "an export's manifest", format: format, mend: exportAgain)
        let manifest = try Manifest(document)
        try manifest.check(document)
        return manifest
    }

    private init(_ document: Node) throws {
        let all = try document.record([
            "format", "complete", "model", "model_name", "plan", "plan_sha256", "weights", "made_with", "text_tokens",
            "encoder_tokens", "sampling", "decoding", "no_caption", "tokenizer", "components", "blocks", "origin",
        ])
        let weights = try all("weights").record(["description", "seed"])
        _ = try weights("seed").optional { try $0.integer(0...Int.max) }
        _ = try all("plan").anyObject()
        _ = try all("origin").anyObject()
        isComplete = try all("complete").flag()
        model = try all("model").text(.title)
        modelName = try all("model_name").text(.title)
        planSHA256 = try all("plan_sha256").text(.checksum)
        self.weights = try weights("description").text(.line)
        madeWith = try all("made_with").text(.line)
        textTokens = try all("text_tokens").integer(Self.sizes)
        encoderTokens = try all("encoder_tokens").integer(Self.sizes)
        sampling = try Sampling(all("sampling"))
        decoding = try Decoding(all("decoding"))
        noCaption = try Constant(all("no_caption"))
        tokenizer = try all("tokenizer").optional { node in
            let stored = try node.record(["file", "checksum"])
            return StoredDocument(
                file: try stored("file").text(.exactly(Self.tokenizerFile)),
                checksum: try stored("checksum").text(.checksum))
        }
        components = try all("components").list(0...Self.maxRows).map(Component.init)
        blocks = try all("blocks").list(0...Self.maxRows).map(Block.init)
    }

    /// What the form cannot say: each block and package once, and functions of the block's own packages.
    private func check(_ document: Node) throws {
        func error(_ pointer: String, _ what: String) -> DocumentError {
            DocumentError(file: document.file, pointer: pointer, what: what, mend: document.mend)
        }
        let names = Set(components.map(\.name))
        var seen: Set<[String]> = []
        for (index, block) in blocks.enumerated() {
            let pointer = "$.blocks[\(index)]"
            if !names.contains(block.component) {
                throw error("\(pointer).component", "'\(block.component)' is none of the components")
            }
            let files = block.packages.map(\.file)
            let identities = [
                ["number", block.component, "\(block.number)"], ["unit", block.component, block.firstUnit],
            ]
            for identity in identities + files.map({ ["file", $0] }) where !seen.insert(identity).inserted {
                throw error(pointer, "block '\(block.name)' of \(block.component), or a package, stands twice")
            }
            let kinds = block.functions.map(\.kind)
            if !kinds.contains(.plain) || Set(kinds).count < kinds.count {
                throw error("\(pointer).functions", "one function of each kind is needed, and a plain one")
            }
            for (row, function) in block.functions.enumerated() where !files.contains(function.package) {
                let what = "'\(function.package)' is none of the block's packages"
                throw error("\(pointer).functions[\(row)].package", what)
            }
        }
    }

    static func precision(_ node: Node) throws -> String {
        let found = try node.text(.line)
        guard precisions.contains(where: found.isExactly) else { throw node.error("no such precision") }
        return found
    }

    fileprivate static func solver(_ node: Node) throws -> Solver {
        guard let found = Solver(rawValue: try node.text(.line)) else { throw node.error("no such solver") }
        return found
    }

    fileprivate static func tensors(_ node: Node) throws -> [String] {
        try node.list(1...100).map { try $0.text(.name) }
    }

    fileprivate static func shape(_ node: Node) throws -> [Int] {
        let shape = try node.list(0...8).map { try $0.integer(1...1_000_000_000) }
        var count = 1
        for size in shape {
            let (product, isTooLarge) = count.multipliedReportingOverflow(by: size)
            if isTooLarge || product > Schedule.count.upperBound { throw node.error("more values than can be held") }
            count = product
        }
        return shape
    }

    fileprivate static func size(_ node: Node) throws -> Int { try node.integer(sizes) }
}

extension Manifest.Sampling {
    fileprivate init(_ node: Node) throws {
        let all = try node.record([
            "timesteps", "time_scale", "guidance", "fps", "batch", "latent_channels", "latent_shape", "solver",
        ])
        timesteps = try all("timesteps").list(1...10_000).map { try $0.real(0...1e6) }
        timeScale = try all("time_scale").positive(1e6)
        guidance = try all("guidance").real(0...1e6)
        fps = try all("fps").positive(1e6)
        batch = try all("batch").integer(1...2)
        latentChannels = try Manifest.size(all("latent_channels"))
        latentShape = try all("latent_shape").list(4...4).map(Manifest.size)
        solver = try Manifest.solver(all("solver"))
    }
}

extension Manifest.Decoding {
    fileprivate init(_ node: Node) throws {
        let all = try node.record([
            "num_frames", "height", "width", "chunk_latent_frames", "chunk_frames", "batch_frames",
        ])
        numFrames = try Manifest.size(all("num_frames"))
        height = try Manifest.size(all("height"))
        width = try Manifest.size(all("width"))
        chunkLatentFrames = try Manifest.size(all("chunk_latent_frames"))
        chunkFrames = try all("chunk_frames").list(1...1_000_000).map(Manifest.size)
        batchFrames = try Manifest.size(all("batch_frames"))
    }
}

extension Manifest.Constant {
    fileprivate init(_ node: Node) throws {
        let all = try node.record(["file", "shape", "checksum"])
        file = try all("file").text(.constant)
        shape = try Manifest.shape(all("shape"))
        checksum = try all("checksum").text(.checksum)
    }
}

extension Manifest.Component {
    fileprivate init(_ node: Node) throws {
        let all = try node.record(["name", "passes", "reads", "writes"])
        let count = try all("passes")
        name = try all("name").text(.name)
        passes = count.value == .text("steps") ? .steps : .count(try count.integer(1...10_000))
        reads = try Manifest.tensors(all("reads"))
        writes = try Manifest.tensors(all("writes"))
    }
}

extension Manifest.Block {
    fileprivate init(_ node: Node) throws {
        let all = try node.record([
            "component", "number", "first_unit", "last_unit", "precision", "compute_units", "source", "packages",
            "functions",
        ])
        _ = try all("source").text(.checksum)
        component = try all("component").text(.name)
        number = try all("number").integer(Schedule.count)
        firstUnit = try all("first_unit").text(.name)
        lastUnit = try all("last_unit").text(.name)
        precision = try Manifest.precision(all("precision"))
        computeUnits = try all("compute_units").choice()
        packages = try all("packages").list(1...3).map(Manifest.Package.init)
        functions = try all("functions").list(1...3).map(Manifest.Function.init)
    }
}

extension Manifest.Package {
    fileprivate init(_ node: Node) throws {
        let all = try node.record(["file", "num_bytes", "checksum"])
        file = try all("file").text(.package)
        numBytes = try all("num_bytes").integer(Schedule.count)
        checksum = try all("checksum").text(.checksum)
    }
}

extension Manifest.Function {
    fileprivate init(_ node: Node) throws {
        let all = try node.record(["kind", "package", "function", "inputs", "outputs"])
        kind = try all("kind").choice()
        package = try all("package").text(.package)
        function = try all("function").text(.line)
        inputs = try all("inputs").list(1...100).map(Manifest.Feature.init)
        outputs = try all("outputs").list(1...100).map(Manifest.Feature.init)
    }
}

extension Manifest.Feature {
    fileprivate init(_ node: Node) throws {
        let all = try node.record(["feature", "tensor", "dtype", "shape"])
        feature = try all("feature").text(.line)
        tensor = try all("tensor").text(.name)
        type = try all("dtype").choice()
        shape = try Manifest.shape(all("shape"))
    }
}
