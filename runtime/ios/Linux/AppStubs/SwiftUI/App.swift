@_exported import UIKit

@MainActor @preconcurrency public protocol App {
    associatedtype Body: Scene
    @SceneBuilder @MainActor @preconcurrency var body: Self.Body { get }
    @MainActor @preconcurrency init()
}
extension App {
    @MainActor @preconcurrency public static func main() { stub() }
}
@MainActor @preconcurrency public protocol Scene {
    associatedtype Body: Scene
    @SceneBuilder @MainActor @preconcurrency var body: Self.Body { get }
}
extension Never: Scene {}
@resultBuilder public struct SceneBuilder {
    public static func buildBlock<Content: Scene>(_ content: Content) -> Content { stub() }
}
public struct WindowGroup<Content: View>: Scene {
    public init(@ViewBuilder content: () -> Content) { stub() }
    public var body: Never { stub() }
}

public enum ScenePhase: Comparable, Sendable { case background, inactive, active }
public struct EnvironmentValues {
    public var scenePhase: ScenePhase { stub() }
}

public protocol DynamicProperty {}
@frozen @propertyWrapper public struct Environment<Value>: DynamicProperty {
    public init(_ keyPath: KeyPath<EnvironmentValues, Value>) { stub() }
    public var wrappedValue: Value { stub() }
}
@frozen @propertyWrapper public struct State<Value>: DynamicProperty {
    public init(wrappedValue value: Value) { stub() }
    public var wrappedValue: Value {
        get { stub() }
        nonmutating set { stub() }
    }
    public var projectedValue: Binding<Value> { stub() }
}
extension State where Value: ExpressibleByNilLiteral {
    public init() { stub() }
}
@frozen @propertyWrapper @dynamicMemberLookup public struct Binding<Value> {
    public init(projectedValue: Binding<Value>) { stub() }
    public var wrappedValue: Value {
        get { stub() }
        nonmutating set { stub() }
    }
    public var projectedValue: Binding<Value> { self }
    public subscript<Subject>(dynamicMember keyPath: WritableKeyPath<Value, Subject>) -> Binding<Subject> { stub() }
}
@propertyWrapper @dynamicMemberLookup public struct Bindable<Value> {
    @available(*, unavailable, message: "the value must be an object that is Observable")
    public init(wrappedValue: Value) { stub() }
    public var wrappedValue: Value {
        get { stub() }
        set { stub() }
    }
    public var projectedValue: Bindable<Value> { self }
}
extension Bindable where Value: AnyObject & Observable {
    public init(wrappedValue: Value) { stub() }
    public init(projectedValue: Bindable<Value>) { stub() }
    public subscript<Subject>(dynamicMember keyPath: ReferenceWritableKeyPath<Value, Subject>) -> Binding<Subject> {
        stub()
    }
}
@MainActor @preconcurrency @propertyWrapper
public struct UIApplicationDelegateAdaptor<Delegate: NSObject & UIApplicationDelegate>:
    DynamicProperty
{
    public init(_ delegateType: Delegate.Type = Delegate.self) { stub() }
    public var wrappedValue: Delegate { stub() }
}
