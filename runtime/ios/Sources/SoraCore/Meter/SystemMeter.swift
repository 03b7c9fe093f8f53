import Foundation

#if os(iOS)
    import os
#endif

/// What this system says: the one place that asks it, on iOS, macOS and Linux.
///
///     footprint      Apple: what the memory limit counts. Linux: resident bytes, as runtime/executor/footprint.py has them
///     available      iOS alone has a limit for each app and says what is left of it
///     thermal state  unknown on Linux
public struct SystemMeter: Meter {
    public init() {}

    #if canImport(Darwin)
        /// The right to ask about this process. Asked for once: every call of the trap adds a reference to it.
        private static let task = task_self_trap()

        public func footprintBytes() -> Int? {
            var info = task_vm_info_data_t()
            let size = MemoryLayout<task_vm_info_data_t>.size / MemoryLayout<natural_t>.size
            var count = mach_msg_type_number_t(size)
            let status = withUnsafeMutablePointer(to: &info) { pointer in
                pointer.withMemoryRebound(to: integer_t.self, capacity: size) {
                    task_info(Self.task, task_flavor_t(TASK_VM_INFO), $0, &count)
                }
            }
            return status == KERN_SUCCESS ? Int(clamping: info.phys_footprint) : nil
        }

        public func thermalState() -> ThermalState {
            switch ProcessInfo.processInfo.thermalState {
            case .nominal: .nominal
            case .fair: .fair
            case .serious: .serious
            case .critical: .critical
            @unknown default: .unknown
            }
        }

        public func isLowPowerMode() -> Bool? { ProcessInfo.processInfo.isLowPowerModeEnabled }
    #else
        /// The second number of /proc/self/statm, in pages. Read without Foundation's buffers: it is read every 10 ms.
        public func footprintBytes() -> Int? {
            let descriptor = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { return nil }
            defer { close(descriptor) }
            return withUnsafeTemporaryAllocation(byteCount: 256, alignment: 1) { buffer in
                let count = read(descriptor, buffer.baseAddress, buffer.count)
                guard count > 0 else { return nil }
                let fields = buffer[..<count].split(separator: UInt8(ascii: " "))
                guard fields.count > 1, let pages = Int(String(decoding: fields[1], as: UTF8.self)) else { return nil }
                return pages * sysconf(Int32(_SC_PAGESIZE))
            }
        }

        public func thermalState() -> ThermalState { .unknown }

        public func isLowPowerMode() -> Bool? { nil }
    #endif

    #if os(iOS)
        /// The system says 0 of a process that it sets no limit.
        public func availableBytes() -> Int? {
            let left = os_proc_available_memory()
            return left > 0 ? left : nil
        }
    #else
        public func availableBytes() -> Int? { nil }
    #endif
}

/// What the device and its system call themselves.
public struct SystemNames: Equatable, Sendable {
    /// As the device catalogue has it, such as iPhone16,1; on Linux the processor's architecture.
    public let machine: String
    /// Such as "iOS 18.1".
    public let os: String
    /// Such as 22B83; empty where there is none.
    public let osBuild: String

    public init(machine: String, os: String, osBuild: String) {
        self.machine = machine
        self.os = os
        self.osBuild = osBuild
    }

    #if canImport(Darwin)
        public static func ofThisSystem() -> SystemNames {
            #if os(macOS)
                let (name, key) = ("macOS", "hw.model")
            #else
                let (name, key) = ("iOS", "hw.machine")
            #endif
            let version = ProcessInfo.processInfo.operatingSystemVersion
            let patch = version.patchVersion > 0 ? ".\(version.patchVersion)" : ""
            return SystemNames(
                machine: asked(key), os: "\(name) \(version.majorVersion).\(version.minorVersion)\(patch)",
                osBuild: asked("kern.osversion"))
        }

        private static func asked(_ key: String) -> String {
            var size = 0
            guard sysctlbyname(key, nil, &size, nil, 0) == 0, size > 0 else { return "" }
            var bytes = [UInt8](repeating: 0, count: size)
            guard sysctlbyname(key, &bytes, &size, nil, 0) == 0 else { return "" }
            return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    #else
        public static func ofThisSystem() -> SystemNames {
            var names = utsname()
            guard uname(&names) == 0 else { return SystemNames(machine: "unknown", os: "Linux", osBuild: "") }
            func text<Field>(_ field: Field) -> String {
                withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            }
            return SystemNames(
                machine: text(names.machine), os: "\(text(names.sysname)) \(text(names.release))", osBuild: "")
        }
    #endif
}
