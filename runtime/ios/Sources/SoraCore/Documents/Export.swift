/// A folder that `ondevice-sora export` has written: manifest, schedule, and whether they belong together.
public struct Export: Sendable {
    public let folder: String
    public let manifest: Manifest
    public let schedule: Schedule
    /// nil where the export has none: it plays tokens, not prompts.
    public let tokenizer: Tokenizer?

    /// Reads its documents whole. Throws DocumentError unless the export is complete, and they belong together.
    public static func open(_ folder: String) throws -> Export {
        let path = "\(folder)/\(Manifest.fileName)"
        let bytes = try Files.read(path, maxBytes: Manifest.maxFileBytes, mend: Manifest.exportAgain)
        let manifest = try Manifest.read(bytes, file: path)
        guard manifest.isComplete else {
            throw DocumentError(
                file: path, what: "the export is not complete", mend: "Run the export again to go on")
        }
        let schedulePath = "\(folder)/\(Schedule.fileName)"
        let schedule = try Schedule.read(path: schedulePath)
        func error(_ pointer: String, _ what: String) -> DocumentError {
            DocumentError(file: schedulePath, pointer: pointer, what: what, mend: Schedule.makeAgain)
        }
        if schedule.manifestSHA256 != SHA256.of(bytes) {
            throw error(
                "$.manifest_sha256", "this is a schedule of another export, or the manifest has changed")
        }
        if schedule.planSHA256 != manifest.planSHA256 {
            throw error("$.plan_sha256", "this is a schedule of another plan: '\(schedule.plan)'")
        }
        try checkBlocks(schedule, manifest, error)
        try checkPasses(schedule, manifest, error)
        return Export(
            folder: folder, manifest: manifest, schedule: schedule, tokenizer: try readTokenizer(folder, manifest))
    }

    private static func readTokenizer(_ folder: String, _ manifest: Manifest) throws -> Tokenizer? {
        guard let stored = manifest.tokenizer else { return nil }
        let path = "\(folder)/\(stored.file)"
        let bytes = try Files.read(path, maxBytes: TokenizerDocument.maxFileBytes, mend: Manifest.exportAgain)
        guard SHA256.of(bytes) == stored.checksum else {
            let what = "is not as it was exported (checksum)"
            throw DocumentError(file: path, what: what, mend: Manifest.exportAgain)
        }
        let document = try TokenizerDocument.read(bytes, file: path)
        guard document.length == manifest.encoderTokens else {
            let what = "\(document.length) tokens; the model reads \(manifest.encoderTokens)"
            throw DocumentError(file: path, pointer: "$.length", what: what, mend: Manifest.exportAgain)
        }
        return Tokenizer(document)
    }

    /// Every block of the schedule is one of the manifest's, and is called as that says.
    private static func checkBlocks(
        _ schedule: Schedule, _ manifest: Manifest, _ error: (String, String) -> DocumentError
    ) throws {
        for (number, block) in schedule.blocks.enumerated() {
            let pointer = "$.blocks[\(number)]"
            let known = manifest.block(component: block.component, number: block.number)
            guard let known, known.name == block.name else {
                throw error(pointer, "the export has no block '\(block.name)' of \(block.component)")
            }
            guard let function = known.function(block.variant == .plain ? .plain : .tdtm) else {
                let what = "the export has no function '\(block.variant.rawValue)' of block '\(block.name)'"
                throw error(pointer, "\(what) of \(block.component)")
            }
            if (function.package, function.function) != (block.package, block.function) {
                let what = "block '\(block.name)' of \(block.component) is function '\(function.function)' of"
                throw error(pointer, "\(what) \(function.package), not '\(block.function)' of \(block.package)")
            }
        }
    }

    /// The passes are those of one generation: each component's, in order, over all its blocks.
    private static func checkPasses(
        _ schedule: Schedule, _ manifest: Manifest, _ error: (String, String) -> DocumentError
    ) throws {
        var index = 0
        for component in manifest.components {
            let length = manifest.blocks.count { $0.component == component.name }
            for step in 0..<numPasses(component, schedule, manifest) {
                guard index < schedule.passes.count else { throw error("$.passes", "passes of the plan are missing") }
                let pass = schedule.passes[index]
                if pass.component != component.name || pass.step != step || pass.visits.count != length {
                    throw error("$.passes[\(index)]", "not the pass of the plan that should stand here")
                }
                index += 1
            }
        }
        if index < schedule.passes.count {
            throw error("$.passes[\(index)]", "more passes than the plan has")
        }
    }

    private static func numPasses(
        _ component: Manifest.Component, _ schedule: Schedule, _ manifest: Manifest
    ) -> Int {
        switch component.passes {
        case .count(let count): return count
        case .steps:
            if case .fixed(let step) = schedule.leap { return step + 1 }
            return manifest.sampling.timesteps.count
        }
    }

    /// What is missing in the folder or not as it was exported: an error for each file or package, none if all is well.
    ///
    /// Sizes are always compared; contents with `readingAll`, which takes seconds for each gigabyte. The packages in
    /// `mayLack` need not be there: they are compiled already.
    public func problems(readingAll: Bool, mayLack: Set<String> = []) -> [DocumentError] {
        var found: [DocumentError] = []
        func note(_ check: () throws -> Void) {
            do { try check() } catch {
                let unknown = DocumentError(file: folder, what: "\(error)", mend: Manifest.exportAgain)
                found.append(error as? DocumentError ?? unknown)
            }
        }
        for package in manifest.blocks.flatMap(\.packages) {
            if mayLack.contains(package.file), !Files.exists("\(folder)/\(package.file)") { continue }
            note { try check(package, readingAll: readingAll) }
        }
        let values = manifest.noCaption.shape.reduce(1, *)
        note {
            try check(
                manifest.noCaption.file, numBytes: values * 4, checksum: manifest.noCaption.checksum,
                readingAll: readingAll)
        }
        return found
    }

    /// The values of a constant. Throws DocumentError unless they are as they were exported.
    func constant(_ constant: Manifest.Constant) throws -> [Float] {
        let path = "\(folder)/\(constant.file)"
        let numBytes = constant.shape.reduce(1, *) * MemoryLayout<Float>.size
        let bytes = try Files.read(path, maxBytes: numBytes, mend: Manifest.exportAgain)
        guard bytes.count == numBytes else { throw altered(path, "size") }
        guard SHA256.of(bytes) == constant.checksum else { throw altered(path, "checksum") }
        return bytes.withUnsafeBytes { raw in
            (0..<numBytes / 4).map { index in
                Float(bitPattern: UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: 4 * index, as: UInt32.self)))
            }
        }
    }

    private func altered(_ path: String, _ what: String) -> DocumentError {
        DocumentError(file: path, what: "is not as it was exported (\(what))", mend: Manifest.exportAgain)
    }

    private func check(_ file: String, numBytes: Int, checksum: String, readingAll: Bool) throws {
        let path = "\(folder)/\(file)"
        guard let found = Files.numBytes(path) else {
            throw DocumentError(file: path, what: "is missing", mend: Manifest.exportAgain)
        }
        if found != numBytes { throw altered(path, "size") }
        guard readingAll else { return }
        var hash = SHA256()
        try Files.readPieces(path, mend: Manifest.exportAgain) { hash.update($0) }
        if hash.hexadecimal() != checksum { throw altered(path, "checksum") }
    }

    private func check(_ package: Manifest.Package, readingAll: Bool) throws {
        let path = "\(folder)/\(package.file)"
        let files = try Files.below(path, mend: Manifest.exportAgain)
        if files.reduce(0, { $0 + $1.numBytes }) != package.numBytes { throw altered(path, "size") }
        guard readingAll else { return }
        var hash = SHA256()
        for file in files {
            hash.update("\(file.path)\u{0}\(file.numBytes)\u{0}".utf8)
            try Files.readPieces("\(path)/\(file.path)", mend: Manifest.exportAgain) { hash.update($0) }
        }
        if hash.hexadecimal() != package.checksum { throw altered(path, "checksum") }
    }
}
