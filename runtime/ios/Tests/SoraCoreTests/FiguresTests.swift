import Testing

@testable import SoraCore

/// What base/units.py writes of the same numbers.
@Suite("Quantities are written as Python writes them")
struct FiguresTests {
    @Test(arguments: [
        (0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (12000, "12.0 kB"), (999_499, "999 kB"), (999_500, "1.00 MB"),
        (15_500_000, "15.5 MB"), (170_000_000, "170 MB"), (999_500_000, "1.00 GB"), (3_300_000_000, "3.30 GB"),
        (12_345_000_000, "12.3 GB"),
    ])
    func bytes(count: Int, text: String) { #expect(Figures.bytes(count) == text) }

    @Test(arguments: [
        (0, "0.00 s"), (0.0123, "12.3 ms"), (0.4, "400 ms"), (0.9996, "1.00 s"), (1, "1.00 s"), (9.994, "9.99 s"),
        (9.996, "10.0 s"), (35.4, "35.4 s"), (99.96, "100 s"), (119.4, "119 s"), (119.5, "2 min 00 s"),
        (412, "6 min 52 s"), (3599.6, "1 h 00 min"), (3900, "1 h 05 min"), (36000, "10 h 00 min"),
    ])
    func seconds(seconds: Double, text: String) { #expect(Figures.seconds(seconds) == text) }

    @Test(arguments: [(0, "0.0 %"), (0.042, "4.2 %"), (0.0999, "10.0 %"), (0.1, "10 %"), (0.874, "87 %"), (1, "100 %")])
    func percent(share: Double, text: String) { #expect(Figures.percent(share) == text) }
}
