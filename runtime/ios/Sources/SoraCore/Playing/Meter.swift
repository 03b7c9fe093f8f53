/// How hot the device says it is.
public enum ThermalState: String, CaseIterable, Sendable { case nominal, fair, serious, critical, unknown }

/// What the system says about this process and this device.
public protocol Meter: Sendable {
    /// What the system charges the app now, in bytes; nil where it does not say.
    func footprintBytes() -> Int?
    /// What the app may still allocate, in bytes; nil where the system does not say.
    func availableBytes() -> Int?
    func thermalState() -> ThermalState
    /// nil where there is no such mode.
    func isLowPowerMode() -> Bool?
}

extension Meter {
    /// What the footprint may come to before the system ends the app, in bytes; nil where it does not say.
    public var limitBytes: Int? { footprintBytes().flatMap { taken in availableBytes().map { taken + $0 } } }
}
