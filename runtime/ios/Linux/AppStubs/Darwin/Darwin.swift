// swift-format-ignore-file: AlwaysUseLowerCamelCase, TypeNamesShouldBeCapitalized
// The names are the system's. What Foundation has on Apple's systems alone stands here as well.
import Foundation

private func stub() -> Never { fatalError("a stub of Darwin: for type-checking only") }

public typealias kern_return_t = Int32
public typealias natural_t = UInt32
public typealias integer_t = Int32
public typealias mach_port_name_t = UInt32
public typealias mach_port_t = UInt32
public typealias task_name_t = UInt32
public typealias task_flavor_t = UInt32
public typealias task_info_t = UnsafeMutablePointer<integer_t>
public typealias mach_msg_type_number_t = UInt32

public struct task_vm_info_data_t {
    public init() { stub() }
    public var phys_footprint: UInt64 { stub() }
}

public var KERN_SUCCESS: Int32 { 0 }
public var TASK_VM_INFO: Int32 { 22 }
public func task_self_trap() -> mach_port_name_t { stub() }
public func task_info(
    _ target_task: task_name_t, _ flavor: task_flavor_t, _ task_info_out: task_info_t!,
    _ task_info_outCnt: UnsafeMutablePointer<mach_msg_type_number_t>!
) -> kern_return_t { stub() }
public func sysctlbyname(
    _ name: UnsafePointer<CChar>!, _ oldp: UnsafeMutableRawPointer!, _ oldlenp: UnsafeMutablePointer<Int>!,
    _ newp: UnsafeMutableRawPointer!, _ newlen: Int
) -> Int32 { stub() }

extension ProcessInfo {
    public enum ThermalState: Int, Sendable {
        case nominal
        case fair
        case serious
        case critical
    }
    public var thermalState: ThermalState { stub() }
    public var isLowPowerModeEnabled: Bool { stub() }
}
