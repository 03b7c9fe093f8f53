extension Schedule {
    static let makeAgain = "Make it again with `ondevice-sora schedule`"
    static let maxFileBytes = 50_000_000
    static let maxVisits = 100_000
    static let maxBlocks = 20_000
    static let bytes = 0...1_000_000_000_000_000_000
    static let count = 0...10_000_000_000_000
    static let seconds = 0.0...1e12
    static let shares = 0.0...10.0

    /// The schedule in a file. Throws DocumentError unless it is one that can be played.
    public static func read(path: String) throws -> Schedule {
        let bytes = try Files.read(path, maxBytes: maxFileBytes, mend: makeAgain)
        return try read(bytes, file: path)
    }

    /// The schedule that `bytes` hold; `file` is named in errors. Throws DocumentError unless it can be played.
    public static func read(_ bytes: [UInt8], file: String) throws -> Schedule {
        let document = try Node.document(bytes, file: file, name: "a schedule", format: format, mend: makeAgain)
        let schedule = try Schedule(document)
        try ScheduleCheck(schedule: schedule, document: document).check()
        return schedule
    }

    private init(_ document: Node) throws {
        let all = try document.record([
            "format", "plan", "plan_sha256", "manifest_sha256", "device", "profile", "limit_bytes", "limit_source",
            "budget_bytes", "baseline_bytes", "needed_bytes", "transient_share", "residual_share", "predicted", "leap",
            "blocks", "held", "left", "passes", "visits",
        ])
        let profile = try all("profile").record(["name", "sha256"])
        let predicted = try all("predicted").record(["total_s", "peak_bytes"])
        let number = 0...(Self.maxVisits - 1)
        plan = try all("plan").text(.title)
        planSHA256 = try all("plan_sha256").text(.checksum)
        manifestSHA256 = try all("manifest_sha256").text(.checksum)
        device = try all("device").text(.line)
        self.profile = try profile("name").text(.line)
        profileSHA256 = try profile("sha256").text(.checksum)
        limitBytes = try all("limit_bytes").integer(Self.bytes)
        limitSource = try all("limit_source").text(.line)
        budgetBytes = try all("budget_bytes").optional { try $0.integer(Self.bytes) }
        baselineBytes = try all("baseline_bytes").integer(Self.bytes)
        neededBytes = try all("needed_bytes").integer(Self.bytes)
        transientShare = try all("transient_share").real(Self.shares)
        residualShare = try all("residual_share").real(Self.shares)
        predictedTotalS = try predicted("total_s").real(Self.seconds)
        predictedPeakBytes = try predicted("peak_bytes").integer(Self.bytes)
        leap = try Leap(all("leap"))
        blocks = try all("blocks").list(1...Self.maxBlocks).map(Block.init)
        held = try all("held").list(0...Self.maxBlocks).map { try $0.integer(number) }
        left = try all("left").list(0...Self.maxBlocks).map { try $0.integer(number) }
        passes = try all("passes").list(1...Self.maxVisits).map(Pass.init)
        visits = try all("visits").list(1...Self.maxVisits).map(Visit.init)
        var packages: [String] = []
        var numbers: [String: Int] = [:]
        packageOfBlock = blocks.map { block in
            if let known = numbers[block.package] { return known }
            numbers[block.package] = packages.count
            packages.append(block.package)
            return packages.count - 1
        }
        self.packages = packages
    }
}

extension Schedule.Block {
    fileprivate init(_ node: Node) throws {
        let all = try node.record([
            "component", "number", "name", "variant", "package", "function", "lane", "resident_bytes", "working_bytes",
            "stored_bytes", "load_s", "first_load_s", "run_s", "first_run_s", "unload_s",
        ])
        component = try all("component").text(.name)
        number = try all("number").integer(Schedule.count)
        name = try all("name").text(.line)
        variant = try all("variant").choice()
        package = try all("package").text(.package)
        function = try all("function").text(.line)
        lane = try all("lane").choice()
        residentBytes = try all("resident_bytes").integer(Schedule.bytes)
        workingBytes = try all("working_bytes").integer(Schedule.bytes)
        storedBytes = try all("stored_bytes").integer(Schedule.bytes)
        loadS = try all("load_s").real(Schedule.seconds)
        firstLoadS = try all("first_load_s").real(Schedule.seconds)
        runS = try all("run_s").real(Schedule.seconds)
        firstRunS = try all("first_run_s").real(Schedule.seconds)
        unloadS = try all("unload_s").real(Schedule.seconds)
    }
}

extension Schedule.Pass {
    fileprivate init(_ node: Node) throws {
        let all = try node.record(["component", "step", "first", "length"])
        let first = try all("first").integer(0...(Schedule.maxVisits - 1))
        component = try all("component").text(.name)
        step = try all("step").integer(0...(Schedule.maxVisits - 1))
        visits = first..<(first + (try all("length").integer(1...Schedule.maxVisits)))
    }
}

extension Schedule.Visit {
    fileprivate init(_ node: Node) throws {
        let all = try node.list(8...8)
        block = try all[0].integer(0...(Schedule.maxVisits - 1))
        step = try all[1].integer(0...(Schedule.maxVisits - 1))
        loads = try all[2].flag()
        isCold = try all[3].flag()
        isFirstRun = try all[4].flag()
        gate = try all[5].integer(-1...(Schedule.maxVisits - 1))
        evicts = try all[6].flag()
        leaves = try all[7].flag()
    }
}

extension Schedule.Leap {
    private enum Mode: String, CaseIterable { case none, fixed, plateau, curvature }

    fileprivate init(_ node: Node) throws {
        guard case .object(let members) = node.value, members.contains(where: { $0.key.isExactly("mode") }) else {
            throw node.error("the key 'mode' is missing")
        }
        let tag = try node.record(members.map(\.key))("mode")
        switch try tag.choice(Mode.self) {
        case .none:
            _ = try node.record(["mode"])
            self = .none
        case .fixed:
            let all = try node.record(["mode", "step"])
            self = .fixed(step: try all("step").integer(0...999))
        case .plateau:
            let all = try node.record(["mode", "tolerance", "patience", "first_step", "over"])
            self = .plateau(
                tolerance: try all("tolerance").real(0...1), patience: try all("patience").integer(1...1000),
                firstStep: try all("first_step").integer(0...999), over: try all("over").choice())
        case .curvature:
            let all = try node.record(["mode", "accepted_error", "bend"])
            self = .curvature(
                acceptedError: try all("accepted_error").positive(10), bend: try all("bend").flag())
        }
    }
}
