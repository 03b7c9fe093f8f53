import Testing

@testable import SoraCore

private func complaint(_ json: String) -> String {
    do {
        _ = try Schedule.read(Array(json.utf8), file: "schedule.json")
        return "nothing"
    } catch {
        return "\(error)"
    }
}

@Suite("A schedule that cannot be played is refused where it is wrong")
struct ScheduleTests {
    @Test func whatIsReadIsWhatStandsThere() throws {
        let schedule = try Toy.streamed.schedule()
        #expect(schedule.visits.count == 4)
        #expect(schedule.passes.map(\.visits) == [0..<2, 2..<4])
        #expect(schedule.packages == ["b0.mlpackage", "b1.mlpackage"])
        #expect(schedule.visits[2].gate == 0)
        #expect(schedule.visits[0].leaves && !schedule.visits[2].leaves)
        #expect(schedule.blocks[1].firstLoadS == 4)
        #expect(schedule.budgetBytes == nil)
        #expect(schedule.leap == .none)
    }

    /// Replaced text, and where the complaint must be and what it must say.
    @Test(arguments: [
        ("\"leap\": {\"mode\": \"none\"}", "\"leap\": {\"mode\": \"never\"}", "leap.mode: expected one of none, fixed"),
        ("{\"mode\": \"none\"}", "{\"mode\": \"none\", \"step\": 1}", "leap.step: this key is not known"),
        ("{\"mode\": \"none\"}", "{\"mode\": \"fixed\"}", "leap: the key 'step' is missing"),
        (
            "{\"mode\": \"none\"}", "{\"mode\": \"curvature\", \"accepted_error\": 0, \"bend\": true}",
            "leap.accepted_error: expected a number above 0"
        ),
        ("\"held\": []", "\"held\": [0, 0]", "held: not the blocks of different packages"),
        ("\"left\": []", "\"left\": [2]", "left: not the blocks of different packages"),
        ("\"left\": []", "\"left\": [-1]", "left[0]: expected a whole number from 0"),
        ("\"budget_bytes\": null", "\"budget_bytes\": 5", "needed_bytes: more than the budget of 5 bytes"),
        ("\"plan\": \"toy\"", "\"plan\": \"toy\", \"surprise\": 1", "surprise: this key is not known"),
        ("\"plan\": \"toy\"", "\"plan\": \"a\\u001bb\"", "plan: expected one line"),
        ("\"plan\": \"toy\"", "\"plan\": \"\"", "plan: expected one line"),
        ("\"plan\": \"toy\",", "", "the key 'plan' is missing"),
        ("schedule-1", "schedule-9", "is not 'ondevice-sora-schedule-1'"),
        ("\"format\"", "\"formal\"", "not a schedule: no 'format'"),
        ("\"package\": \"b0.mlpackage\"", "\"package\": \"../b0.mlpackage\"", "blocks[0].package: expected the name"),
        ("\"package\": \"b0.mlpackage\"", "\"package\": \"/b0.mlpackage\"", "blocks[0].package: expected the name"),
        ("\"package\": \"b0.mlpackage\"", "\"package\": \".mlpackage\"", "blocks[0].package: expected the name"),
        ("\"package\": \"b0.mlpackage\"", "\"package\": \"a/b.mlpackage\"", "blocks[0].package: expected the name"),
        ("\"package\": \"b0.mlpackage\"", "\"package\": \"b0.mlpackage\\n\"", "blocks[0].package: expected the name"),
        ("\"number\": 1", "\"number\": 0", "blocks[1]: block 'b1' of denoiser stands twice"),
        ("\"lane\": \"gpu\"", "\"lane\": \"load\"", "blocks[0].lane: expected one of cpu, gpu, ane"),
        ("\"load_s\": 2.0", "\"load_s\": -1", "blocks[0].load_s: expected a number from 0"),
        ("\"load_s\": 2.0", "\"load_s\": 1e13", "blocks[0].load_s: expected a number from 0"),
        ("\"load_s\": 2.0", "\"load_s\": true", "blocks[0].load_s: expected a number from 0"),
        ("\"load_s\": 2.0", "\"load_s\": NaN", "NaN and Infinity are not numbers"),
        ("\"resident_bytes\": 100", "\"resident_bytes\": 100.0", "blocks[0].resident_bytes: expected a whole number"),
        ("\"resident_bytes\": 100", "\"resident_bytes\": 99999999999999999999", "resident_bytes: expected a whole"),
        ("\"resident_bytes\": 100", "\"resident_bytes\": 1000000000000000000", "blocks: their bytes are too many"),
        ("\"first\": 2", "\"first\": 1", "passes[1]: passes follow each other"),
        ("\"first\": 2, \"length\": 2", "\"first\": 2, \"length\": 3", "passes[1]: passes follow each other"),
        ("\"first\": 2, \"length\": 2", "\"first\": 2, \"length\": 1", "passes: passes of 3 visits, but there are 4"),
        ("[0, 0, true", "[7, 0, true", "visits[0]: no block has the number 7"),
        ("[1, 0, true", "[0, 0, true", "visits[1]: block 0 where block 1 comes next"),
        ("[0, 1, true", "[0, 0, true", "visits[2]: of denoiser, step 0, in pass 1 of denoiser, step 1"),
        ("[0, 1, true, false, true, 0", "[0, 1, true, false, true, 2", "visits[2]: its gate 2 does not lie before"),
        ("[0, 1, true, false, true, 0", "[0, 1, true, false, true, -2", "visits[2][5]: expected a whole number"),
        (
            "[0, 1, true, false, true, 0", "[0, 1, true, false, true, -1",
            "visits[2]: its gate -1 does not wait for visit 0, which evicts package b0.mlpackage"
        ),
        ("[0, 1, true, false, true", "[0, 1, false, false, true", "visits[2]: package b0.mlpackage is not in memory"),
        (
            "[0, 0, true, false, true, -1, true", "[0, 0, true, false, true, -1, false",
            "visits[0]: a first load without a load, or a first eviction"
        ),
        ("[0, 0, true, false, true", "[0, 0, true, false, false", "visits[0]: a first load without a load"),
        (
            "[0, 0, true, false, true, -1, true, true]", "[0, 0, true, false, true, -1, true]",
            "visits[0]: expected a list of 8"
        ),
        (
            "[0, 0, true, false, true, -1, true, true]", "[0, 0, 1, false, true, -1, true, true]",
            "visits[0][2]: expected true or false"
        ),
    ])
    func oneThingWrong(before: String, after: String, words: String) {
        let json = Toy.streamed.json
        #expect(complaint(json) == "nothing")
        #expect(json.contains(before))
        let spoiled = complaint(json.replacingFirst(before, with: after))
        #expect(spoiled.contains(words), "\(spoiled)")
        #expect(spoiled.hasPrefix("schedule.json"))
        #expect(spoiled.hasSuffix("Make it again with `ondevice-sora schedule`"))
    }

    @Test func evictedWhereItStays() {
        let stays = Toy(passes: [
            ("a", [Toy.Visit(block: 0, loads: true, evicts: false)]),
            ("a", [Toy.Visit(block: 0, loads: true, evicts: true)]),
        ])
        #expect(complaint(stays.json).contains("visits[1]: package b0.mlpackage is already in memory here"))
    }

    @Test func aComponentComesOnce() {
        let torn = Toy(passes: [
            ("a", [Toy.Visit(block: 0, loads: true, evicts: true)]),
            ("b", [Toy.Visit(block: 1, loads: true, evicts: true)]),
            ("a", [Toy.Visit(block: 0, loads: true, gate: 0, evicts: true)]),
        ])
        #expect(complaint(torn.json).contains("passes[2]: the passes of a do not stand together"))
    }

    @Test func aPackageIsOfOneComponent() {
        let shared = Toy(passes: [
            ("a", [Toy.Visit(block: 0, loads: true, evicts: true)]),
            ("b", [Toy.Visit(block: 1, loads: true, evicts: true)]),
        ])
        let json = shared.json.replacingFirst("b1.mlpackage", with: "b0.mlpackage")
        #expect(complaint(json).contains("blocks[1]: package b0.mlpackage is of a as well"))
    }

    @Test func truncatedAnywhereItIsRefused() {
        let bytes = Array(Toy.streamed.json.utf8)
        for length in stride(from: 0, to: bytes.count, by: 7) {
            #expect(throws: DocumentError.self) { try Schedule.read(Array(bytes[..<length]), file: "s") }
        }
    }

    @Test func aShareIsRoundedAsPythonRounds() throws {
        var toy = Toy.streamed
        toy.transientShare = 0.5
        let schedule = try toy.schedule()
        #expect([1, 2, 3, 5, 7].map(schedule.transientBytes) == [0, 1, 2, 2, 4])
    }
}

extension String {
    func replacingFirst(_ before: String, with after: String) -> String {
        guard let range = firstRange(of: before) else { return self }
        return replacingCharacters(in: range, with: after)
    }

    private func replacingCharacters(in range: Range<Index>, with after: String) -> String {
        String(self[..<range.lowerBound]) + after + String(self[range.upperBound...])
    }
}
