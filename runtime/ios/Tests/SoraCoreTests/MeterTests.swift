import Foundation
import Testing

@testable import SoraCore

/// A footprint that a test sets.
private final class Footprint: Meter, @unchecked Sendable {
    private let lock = NSLock()
    private var bytes: Int?
    private var reads = 0
    private var onRead: ((Int) -> Int?)?

    init(_ bytes: Int?) { self.bytes = bytes }

    /// Told the number of each reading, gives what it says.
    init(reading: @escaping (Int) -> Int?) { onRead = reading }

    func set(_ bytes: Int?) { lock.withLock { self.bytes = bytes } }
    var numReads: Int { lock.withLock { reads } }

    func footprintBytes() -> Int? {
        lock.withLock {
            reads += 1
            return onRead.map { $0(reads) } ?? bytes
        }
    }
    func availableBytes() -> Int? { lock.withLock { bytes.map { 100 - $0 } } }
    func thermalState() -> ThermalState { .nominal }
    func isLowPowerMode() -> Bool? { nil }
}

@Suite("What the system says")
struct SystemMeterTests {
    @Test func memoryThatIsTouchedIsCharged() throws {
        let meter = SystemMeter()
        let before = try #require(meter.footprintBytes())
        let size = 64 << 20
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16_384)
        memory.initializeMemory(as: UInt8.self, repeating: 1)
        let during = try #require(meter.footprintBytes())
        memory.deallocate()
        let after = try #require(meter.footprintBytes())
        #expect(during - before > size / 2)
        #expect(during - after > size / 2)
    }

    @Test func whatLinuxDoesNotSayIsNotGuessed() {
        #if os(Linux)
            let meter = SystemMeter()
            #expect(meter.availableBytes() == nil)
            #expect(meter.limitBytes == nil)
            #expect(meter.thermalState() == .unknown)
            #expect(meter.isLowPowerMode() == nil)
        #endif
    }

    @Test func theSystemHasNames() {
        let names = SystemNames.ofThisSystem()
        #expect(!names.machine.isEmpty && !names.os.isEmpty)
        #expect(names == SystemNames.ofThisSystem())
        #expect(names.os.split(separator: " ").count >= 2, "a name and a version: \(names.os)")
    }

    @Test func theLimitIsWhatIsTakenAndWhatIsLeft() {
        #expect(Footprint(30).limitBytes == 100)
        #expect(Footprint(nil).limitBytes == nil)
    }
}

@Suite("The largest footprint between two marks")
struct PeakMeterTests {
    @Test func isThatOfWhatFollowedTheMark() {
        let meter = Footprint(10)
        let peak = PeakMeter(meter)
        #expect(peak.mark() == 10)
        meter.set(50)
        #expect(peak.peakBytes() == 50)
        meter.set(20)
        #expect(peak.peakBytes() == 50)
        #expect(peak.mark() == 20)
        #expect(peak.peakBytes() == 20)
    }

    @Test func isUnknownWhereTheSystemDoesNotSay() {
        let peak = PeakMeter(Footprint(nil))
        #expect(peak.mark() == nil)
        #expect(peak.peakBytes() == nil)
    }

    @Test func aReadingThatFailsIsNoReading() {
        let meter = Footprint(10)
        let peak = PeakMeter(meter)
        peak.mark()
        meter.set(nil)
        #expect(peak.peakBytes() == 10)
    }

    @Test func theThreadSeesWhatHappensInBetween() {
        let wasHigh = DispatchSemaphore(value: 0)
        let meter = Footprint(reading: { number in
            if number == 4 { wasHigh.signal() }
            return number == 3 ? 99 : number
        })
        let peak = PeakMeter(meter)
        peak.mark()
        peak.start()
        wasHigh.wait()
        peak.stop()
        #expect(peak.peakBytes() == 99)
    }

    @Test func afterStopNothingIsRead() {
        let hasRead = DispatchSemaphore(value: 0)
        let meter = Footprint(reading: { number in
            if number == 2 { hasRead.signal() }
            return 1
        })
        let peak = PeakMeter(meter)
        peak.start()
        peak.start()
        hasRead.wait()
        peak.stop()
        let before = meter.numReads
        Thread.sleep(forTimeInterval: 3 * PeakMeter.intervalS)
        #expect(meter.numReads == before)
        peak.stop()
    }

    @Test func eachSampleIsTold() {
        let told = Told()
        let meter = Footprint(7)
        let peak = PeakMeter(meter) { told.add($0) }
        peak.mark()
        meter.set(9)
        _ = peak.peakBytes()
        #expect(told.all == [7, 9])
    }

    private final class Told: @unchecked Sendable {
        private let lock = NSLock()
        private var values: [Int] = []
        func add(_ value: Int) { lock.withLock { values.append(value) } }
        var all: [Int] { lock.withLock { values } }
    }
}
