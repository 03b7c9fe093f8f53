/// How the blocks of a schedule are called, and which tensors are still read after each.
struct Wiring: Sendable {
    /// The block of a schedule, in its variant.
    struct Call: Sendable {
        let units: Manifest.ComputeUnits
        /// The visit's function, and the block's tail if it has one: the first whose shapes fit is called.
        let functions: [Manifest.Function]
        /// What later blocks of the component read, and what the component writes.
        let handedOn: Set<String>
    }

    /// By the schedule's block numbers.
    let calls: [Call]

    /// Throws DocumentError unless every block finds what it reads, and each component writes what it says.
    init(_ export: Export) throws {
        let manifest = export.manifest
        for component in manifest.components { try Self.check(component, export) }
        calls = try export.schedule.blocks.map { planned in
            guard let component = manifest.components.first(where: { $0.name == planned.component }),
                let block = manifest.block(component: planned.component, number: planned.number),
                let function = block.function(planned.variant == .plain ? .plain : .tdtm)
            else { throw export.error("the export has no \(planned.label)") }
            let later = manifest.blocks.filter { $0.component == component.name && $0.number > block.number }
            let read = later.flatMap(\.functions).flatMap(\.inputs).map(\.tensor)
            return Call(
                units: block.computeUnits, functions: [function] + [block.function(.tail)].compactMap { $0 },
                handedOn: Set(read + component.writes))
        }
    }

    private static func check(_ component: Manifest.Component, _ export: Export) throws {
        var known = Set(component.reads)
        let blocks = export.manifest.blocks.filter { $0.component == component.name }
        for block in blocks.sorted(by: { $0.number < $1.number }) {
            for function in block.functions {
                for input in function.inputs where !known.contains(input.tensor) {
                    let what = "reads '\(input.tensor)', which nothing before it writes"
                    throw export.error("block '\(block.name)' of \(component.name) \(what)")
                }
            }
            known.formUnion(block.functions.flatMap(\.outputs).map(\.tensor))
        }
        for name in component.writes where !known.contains(name) {
            throw export.error("no block of \(component.name) writes '\(name)'")
        }
    }

    /// The function for tensors of these shapes. Throws TensorError if there is none.
    func function(_ block: Int, for tensors: [String: Tensor]) throws -> Manifest.Function {
        for function in calls[block].functions
        where function.inputs.allSatisfy({ tensors[$0.tensor]?.shape == $0.shape }) {
            return function
        }
        let shapes = tensors.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value.shape)" }
        throw TensorError(what: "it takes no inputs of these shapes: \(shapes.joined(separator: ", "))")
    }
}

/// A tensor that is not what it should be.
struct TensorError: Error, CustomStringConvertible {
    let what: String
    var description: String { what }
}

extension Export {
    /// What is wrong with the manifest, or with how it fits the schedule.
    func error(_ what: String) -> DocumentError {
        DocumentError(file: "\(folder)/\(Manifest.fileName)", what: what, mend: Manifest.exportAgain)
    }
}
