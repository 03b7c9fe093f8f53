@_exported import Foundation

@MainActor open class UIApplication: NSObject {
    public class var shared: UIApplication { fatalError("a stub") }
    public var isIdleTimerDisabled = false
}
@MainActor public protocol UIApplicationDelegate: NSObjectProtocol {
    func applicationDidReceiveMemoryWarning(_ application: UIApplication)
}
extension UIApplicationDelegate {
    public func applicationDidReceiveMemoryWarning(_ application: UIApplication) {}
}
public enum UIKeyboardType: Int, Sendable {
    case `default`
    case numberPad = 4
}
