/// A function of a package on a choice of compute units, and the block that it is: what is loaded, run and measured.
public struct BlockFunction: Hashable, Sendable {
    public let component: String
    public let firstUnit: String
    public let lastUnit: String
    public let kind: Manifest.FunctionKind
    public let precision: String
    public let computeUnits: Manifest.ComputeUnits
    public let package: String
    /// `main` where the package has one only.
    public let function: String
    /// SHA-256 of the package, as the manifest has it.
    public let checksum: String

    /// `function` is one of the block's own. `computeUnits` are the plan's unless others are given.
    public init(_ block: Manifest.Block, _ function: Manifest.Function, on computeUnits: Manifest.ComputeUnits? = nil) {
        component = block.component
        firstUnit = block.firstUnit
        lastUnit = block.lastUnit
        kind = function.kind
        precision = block.precision
        self.computeUnits = computeUnits ?? block.computeUnits
        package = function.package
        self.function = function.function
        checksum = block.packages.first { $0.file.isExactly(function.package) }?.checksum ?? ""
    }

    init(
        component: String, firstUnit: String, lastUnit: String, kind: Manifest.FunctionKind, precision: String,
        computeUnits: Manifest.ComputeUnits, package: String, function: String, checksum: String
    ) {
        self.component = component
        self.firstUnit = firstUnit
        self.lastUnit = lastUnit
        self.kind = kind
        self.precision = precision
        self.computeUnits = computeUnits
        self.package = package
        self.function = function
        self.checksum = checksum
    }

    /// As in schedules and traces.
    public var block: String { firstUnit == lastUnit ? firstUnit : "\(firstUnit)..\(lastUnit)" }

    /// Such as "block 'spatial_3' of denoiser, tdtm, on cpu_and_gpu".
    public var name: String {
        let variant = kind == .plain ? "" : ", \(kind.rawValue)"
        return "block '\(block)' of \(component)\(variant), on \(computeUnits.rawValue)"
    }

    /// The keys by which journals name it, with their values as JSON.
    var members: KeyValuePairs<String, String> {
        [
            "component": JSONText.text(component), "first_unit": JSONText.text(firstUnit),
            "last_unit": JSONText.text(lastUnit), "kind": JSONText.text(kind.rawValue),
            "precision": JSONText.text(precision), "compute_units": JSONText.text(computeUnits.rawValue),
            "package": JSONText.text(package), "function": JSONText.text(function), "sha256": JSONText.text(checksum),
        ]
    }

    static let keys = [
        "component", "first_unit", "last_unit", "kind", "precision", "compute_units", "package", "function", "sha256",
    ]

    /// Of a record that has these keys.
    init(_ all: Record) throws {
        self.init(
            component: try all("component").text(.name), firstUnit: try all("first_unit").text(.name),
            lastUnit: try all("last_unit").text(.name), kind: try all("kind").choice(),
            precision: try Manifest.precision(all("precision")), computeUnits: try all("compute_units").choice(),
            package: try all("package").text(.package), function: try all("function").text(.line),
            checksum: try all("sha256").text(.checksum))
    }
}
