/// What the form of a schedule cannot say: that it can be played to its end.
struct ScheduleCheck {
    let schedule: Schedule
    let document: Node

    private func error(_ pointer: String, _ what: String) -> DocumentError {
        DocumentError(file: document.file, pointer: pointer, what: what, mend: document.mend)
    }

    /// Throws DocumentError for the first thing that is wrong.
    func check() throws {
        try checkBlocks()
        try checkPackagesBeforehand("$.held", schedule.held)
        try checkPackagesBeforehand("$.left", schedule.left)
        if let budget = schedule.budgetBytes, schedule.neededBytes > budget {
            throw error("$.needed_bytes", "more than the budget of \(budget) bytes")
        }
        try checkPasses()
        try checkVisits()
    }

    private struct Identity: Hashable {
        let component: String
        let number: Int
        let variant: Schedule.Variant
    }

    private func checkBlocks() throws {
        var seen: Set<Identity> = []
        var componentOf: [String: String] = [:]
        var most = Double(schedule.baselineBytes)
        for (number, block) in schedule.blocks.enumerated() {
            let identity = Identity(component: block.component, number: block.number, variant: block.variant)
            if !seen.insert(identity).inserted {
                throw error("$.blocks[\(number)]", "block '\(block.name)' of \(block.component) stands twice")
            }
            if let known = componentOf.updateValue(block.component, forKey: block.package), known != block.component {
                throw error("$.blocks[\(number)]", "package \(block.package) is of \(known) as well")
            }
            let shares = 1 + schedule.transientShare + schedule.residualShare
            most += Double(block.residentBytes) * shares + Double(block.workingBytes)
        }
        if most > Double(Schedule.bytes.upperBound) {
            throw error("$.blocks", "their bytes are too many to be added up")
        }
    }

    private func checkPackagesBeforehand(_ pointer: String, _ numbers: [Int]) throws {
        let packages = numbers.filter { $0 < schedule.blocks.count }.map { schedule.packageOfBlock[$0] }
        if packages.count < numbers.count || Set(packages).count < packages.count {
            throw error(pointer, "not the blocks of different packages")
        }
    }

    private func checkPasses() throws {
        var end = 0
        var known: Set<String> = []
        var before: String?
        for (number, pass) in schedule.passes.enumerated() {
            if pass.visits.lowerBound != end || pass.visits.upperBound > schedule.visits.count {
                throw error("$.passes[\(number)]", "passes follow each other, over all visits")
            }
            if pass.component != before, !known.insert(pass.component).inserted {
                throw error("$.passes[\(number)]", "the passes of \(pass.component) do not stand together")
            }
            before = pass.component
            end = pass.visits.upperBound
        }
        if end != schedule.visits.count {
            throw error("$.passes", "passes of \(end) visits, but there are \(schedule.visits.count)")
        }
    }

    /// Every visit finds its block loaded, and can be reached without waiting for ever.
    private func checkVisits() throws {
        var resident = Set(schedule.held.map { schedule.packageOfBlock[$0] })
        var evictedAt: [Int: Int] = [:]
        for (number, pass) in schedule.passes.enumerated() {
            for index in pass.visits {
                let visit = schedule.visits[index]
                let pointer = "$.visits[\(index)]"
                guard visit.block < schedule.blocks.count else {
                    throw error(pointer, "no block has the number \(visit.block)")
                }
                let block = schedule.blocks[visit.block]
                if block.component != pass.component || visit.step != pass.step {
                    let what = "of \(block.component), step \(visit.step), in pass \(number) of \(pass.component)"
                    throw error(pointer, "\(what), step \(pass.step)")
                }
                let next = index - pass.visits.lowerBound
                if block.number != next {
                    throw error(pointer, "block \(block.number) where block \(next) comes next")
                }
                if visit.gate >= index {
                    let what = "its gate \(visit.gate) does not lie before it"
                    throw error(pointer, "\(what): it would wait for itself")
                }
                let package = schedule.packageOfBlock[visit.block]
                if visit.loads == resident.contains(package) {
                    let word = visit.loads ? "already" : "not"
                    throw error(pointer, "package \(block.package) is \(word) in memory here")
                }
                if visit.loads, let before = evictedAt[package], visit.gate < before {
                    let what = "its gate \(visit.gate) does not wait for visit \(before)"
                    throw error(pointer, "\(what), which evicts package \(block.package)")
                }
                if visit.isCold && !visit.loads || visit.leaves && !visit.evicts || visit.loads && !visit.isFirstRun {
                    throw error(pointer, "a first load without a load, or a first eviction without one")
                }
                if visit.evicts {
                    resident.remove(package)
                    evictedAt[package] = index
                } else {
                    resident.insert(package)
                }
            }
        }
    }
}
