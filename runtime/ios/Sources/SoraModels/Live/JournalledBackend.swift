import SoraCore

/// A backend that writes into a journal what it is about to do, so that the next start knows at what the app was ended.
struct JournalledBackend: BlockBackend {
    private let backend: any BlockBackend
    private let session: JournalSession
    private let blocks: [String: Manifest.Block]

    init(_ backend: any BlockBackend, _ manifest: Manifest, _ session: JournalSession) {
        self.backend = backend
        self.session = session
        var blocks: [String: Manifest.Block] = [:]
        for block in manifest.blocks {
            for package in block.packages { blocks[package.file] = block }
        }
        self.blocks = blocks
    }

    private func record<Result>(
        _ action: Ending.Action, _ function: Manifest.Function, on units: Manifest.ComputeUnits,
        _ work: () throws -> Result
    ) throws -> Result {
        guard let block = blocks[function.package] else { return try work() }
        return try session.record(action, BlockFunction(block, function, on: units), work)
    }

    func load(_ function: Manifest.Function, on units: Manifest.ComputeUnits) throws {
        try record(.load, function, on: units) { try backend.load(function, on: units) }
    }

    func run(_ function: Manifest.Function, on units: Manifest.ComputeUnits, _ inputs: [String: Tensor]) throws
        -> [String: Tensor]
    {
        try record(.run, function, on: units) { try backend.run(function, on: units, inputs) }
    }

    /// Not written down: it takes no memory.
    func evict(package: String) throws { try backend.evict(package: package) }
}
