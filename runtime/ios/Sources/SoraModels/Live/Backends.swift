import SoraCore

/// What loads and runs an export's packages on this device.
public protocol Backends: Sendable {
    /// Packages of which a compiled model is kept: they need not be there.
    func compiledPackages(of export: Export) -> Set<String>
    /// Compiles what is not compiled yet, so that no load has to. `tell` is called before each package, and may end it.
    func prepare(_ export: Export, _ tell: (_ package: String) throws -> Void) throws
    /// Bytes of what is kept of other exports than these, such as of some that have been deleted.
    func leftoverBytes(besides exports: [Export]) -> Int
    /// Deletes it, as far as it can be.
    func removeLeftovers(besides exports: [Export])
    func backend(for export: Export) throws -> any BlockBackend
}
