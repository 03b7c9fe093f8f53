/// What loads and runs packages: Core ML. Its calls return when the work is done.
///
/// `load` is called from one thread, `run` and `evict` from another, beside each other. It decides nothing and counts
/// nothing. What it throws says what the system said; who calls names the block.
public protocol BlockBackend: Sendable {
    /// Brings a function's package into memory. Another function of a package that is in memory is loaded likewise,
    /// here or at its first run.
    func load(_ function: Manifest.Function, on units: Manifest.ComputeUnits) throws

    /// The outputs of one prediction, by the names of features. Throws if the package is not in memory.
    func run(_ function: Manifest.Function, on units: Manifest.ComputeUnits, _ inputs: [String: Tensor]) throws
        -> [String: Tensor]

    /// Gives all functions of a package back. Nothing happens if none is in memory.
    func evict(package: String) throws
}
