import Testing

@testable import SoraCore

/// A schedule made up for a test, as the file that Python would write. Change what a test is about.
struct Toy {
    /// A visit of `passes`: which package it uses, and what is done for it.
    struct Visit {
        var block: Int
        var loads: Bool
        var gate = -1
        var evicts: Bool
        var leaves = false
    }

    /// Component, and its visits.
    var passes: [(component: String, visits: [Visit])]
    var residentBytes = 100
    var workingBytes = 10
    var baselineBytes = 5
    var neededBytes = 1_000_000
    var transientShare = 0.0
    var residualShare = 0.0
    var held: [Int] = []
    var budgetBytes: Int?
    var plan = "toy"

    private var visits: [Visit] { passes.flatMap(\.visits) }

    var json: String {
        var components: [Int: String] = [:]
        for pass in passes {
            for visit in pass.visits { components[visit.block] = pass.component }
        }
        let blocks = (0...(components.keys.max() ?? 0)).map { number in
            let component = components[number] ?? "none"
            let first = components.filter { $0.value == component }.keys.min() ?? 0
            return """
                {"component": "\(component)", "number": \(number - first), "name": "b\(number)", \
                "variant": "plain", "package": "b\(number).mlpackage", "function": "main", "lane": "gpu", \
                "resident_bytes": \(residentBytes), "working_bytes": \(workingBytes), "stored_bytes": \(residentBytes), \
                "load_s": 2.0, "first_load_s": 4.0, "run_s": 3.0, "first_run_s": 3.5, "unload_s": 0.25}
                """
        }
        var first = 0
        var steps: [String: Int] = [:]
        var passRows: [String] = []
        var visitRows: [String] = []
        for pass in passes {
            let step = steps[pass.component, default: 0]
            steps[pass.component] = step + 1
            passRows.append(
                """
                {"component": "\(pass.component)", "step": \(step), "first": \(first), "length": \(pass.visits.count)}
                """)
            first += pass.visits.count
            visitRows += pass.visits.map { visit in
                "[\(visit.block), \(step), \(visit.loads), false, \(visit.loads), \(visit.gate), "
                    + "\(visit.evicts), \(visit.leaves)]"
            }
        }
        let sum = String(repeating: "0", count: 64)
        return """
            {"format": "ondevice-sora-schedule-1", "plan": "\(plan)", "plan_sha256": "\(sum)",
             "manifest_sha256": "\(sum)", "device": "toy", "profile": {"name": "toy", "sha256": "\(sum)"},
             "limit_bytes": 1000000, "limit_source": "made up",
             "budget_bytes": \(budgetBytes.map(String.init) ?? "null"), "baseline_bytes": \(baselineBytes),
             "needed_bytes": \(neededBytes), "transient_share": \(transientShare), "residual_share": \(residualShare),
             "predicted": {"total_s": 1.5, "peak_bytes": 120}, "leap": {"mode": "none"},
             "blocks": [
              \(blocks.joined(separator: ",\n  "))
             ],
             "held": \(held), "left": [],
             "passes": [\(passRows.joined(separator: ", "))],
             "visits": [\(visitRows.joined(separator: ", "))]}
            """
    }

    func schedule() throws -> Schedule { try Schedule.read(Array(json.utf8), file: "toy.json") }

    /// One component of two blocks, walked twice, each block loaded for its visit and evicted after it; the loader is
    /// one visit ahead.
    static let streamed = Toy(passes: [
        (
            "denoiser",
            [
                Visit(block: 0, loads: true, evicts: true, leaves: true),
                Visit(block: 1, loads: true, evicts: true, leaves: true),
            ]
        ),
        (
            "denoiser",
            [
                Visit(block: 0, loads: true, gate: 0, evicts: true),
                Visit(block: 1, loads: true, gate: 1, evicts: true),
            ]
        ),
    ])
}
