@_exported import Foundation
@_exported import Observation

public func stub() -> Never { fatalError("a stub of SwiftUI: for type-checking only") }

@MainActor @preconcurrency public protocol View {
    associatedtype Body: View
    @ViewBuilder @MainActor @preconcurrency var body: Self.Body { get }
}

extension Never: View {
    public var body: Never { stub() }
}

/// A view without a body of its own.
@MainActor @preconcurrency public protocol StubView: View where Body == Never {}
extension StubView {
    public var body: Never { stub() }
}

@resultBuilder public struct ViewBuilder {
    public static func buildExpression<Content: View>(_ content: Content) -> Content { stub() }
    public static func buildBlock() -> EmptyView { stub() }
    public static func buildBlock<Content: View>(_ content: Content) -> Content { stub() }
    public static func buildBlock<each Content: View>(_ content: repeat each Content) -> TupleView<
        (repeat each Content)
    > {
        stub()
    }
    public static func buildIf<Content: View>(_ content: Content?) -> Content? { stub() }
    public static func buildEither<First: View, Second: View>(first: First) -> ConditionalContent<First, Second> {
        stub()
    }
    public static func buildEither<First: View, Second: View>(second: Second) -> ConditionalContent<First, Second> {
        stub()
    }
}

public struct EmptyView: StubView {
    public init() { stub() }
}
public struct TupleView<T>: StubView {}
public struct ConditionalContent<First, Second>: StubView {}
extension Optional: View where Wrapped: View {
    public var body: Never { stub() }
}

// Text and symbols

public struct LocalizedStringKey: ExpressibleByStringInterpolation, Equatable {
    public init(stringLiteral value: String) { stub() }
}
public struct Text: StubView {
    public init<S: StringProtocol>(_ content: S) { stub() }
    public init(_ key: LocalizedStringKey) { stub() }
}
public struct Label<Title: View, Icon: View>: StubView {}
extension Label where Title == Text, Icon == Image {
    public init<S: StringProtocol>(_ title: S, systemImage name: String) { stub() }
}
public struct Image: StubView {
    public init(systemName: String) { stub() }
}

// Layout

public enum HorizontalAlignment { case leading, center, trailing }
public enum VerticalAlignment { case top, center, bottom, firstTextBaseline }
public enum Axis {
    case horizontal, vertical
    public struct Set: OptionSet, Sendable {
        public let rawValue: Int8
        public init(rawValue: Int8) { self.rawValue = rawValue }
        public static let horizontal = Axis.Set(rawValue: 1)
        public static let vertical = Axis.Set(rawValue: 2)
    }
}
public struct VStack<Content: View>: StubView {
    public init(
        alignment: HorizontalAlignment = .center, spacing: CGFloat? = nil, @ViewBuilder content: () -> Content
    ) { stub() }
}
public struct HStack<Content: View>: StubView {
    public init(alignment: VerticalAlignment = .center, spacing: CGFloat? = nil, @ViewBuilder content: () -> Content) {
        stub()
    }
}
public struct ScrollView<Content: View>: StubView {
    public init(_ axes: Axis.Set = .vertical, showsIndicators: Bool = true, @ViewBuilder content: () -> Content) {
        stub()
    }
}

// Lists

public struct List<SelectionValue: Hashable, Content: View>: StubView {}
extension List where SelectionValue == Never {
    public init(@ViewBuilder content: () -> Content) { stub() }
}
public struct Section<Parent, Content, Footer> {}
extension Section: View, StubView where Parent: View, Content: View, Footer: View {
    public typealias Body = Never
    public init(
        @ViewBuilder content: () -> Content, @ViewBuilder header: () -> Parent, @ViewBuilder footer: () -> Footer
    ) { stub() }
}
extension Section where Parent == EmptyView, Content: View, Footer: View {
    public init(@ViewBuilder content: () -> Content, @ViewBuilder footer: () -> Footer) { stub() }
}
extension Section where Parent: View, Content: View, Footer == EmptyView {
    public init(@ViewBuilder content: () -> Content, @ViewBuilder header: () -> Parent) { stub() }
}
extension Section where Parent == EmptyView, Content: View, Footer == EmptyView {
    public init(@ViewBuilder content: () -> Content) { stub() }
}
public struct ForEach<Data: RandomAccessCollection, ID: Hashable, Content> {}
extension ForEach: View, StubView where Content: View {
    public typealias Body = Never
}
extension ForEach where ID == Data.Element.ID, Content: View, Data.Element: Identifiable {
    public init(_ data: Data, @ViewBuilder content: @escaping (Data.Element) -> Content) { stub() }
}
extension ForEach where Content: View {
    public init(_ data: Data, id: KeyPath<Data.Element, ID>, @ViewBuilder content: @escaping (Data.Element) -> Content)
    {
        stub()
    }
}
public struct LabeledContent<Label, Content> {}
extension LabeledContent: View, StubView where Label: View, Content: View {
    public typealias Body = Never
}
extension LabeledContent where Label == Text, Content: View {
    public init<S: StringProtocol>(_ title: S, @ViewBuilder content: () -> Content) { stub() }
}
extension LabeledContent where Label == Text, Content == Text {
    public init<S1: StringProtocol, S2: StringProtocol>(_ title: S1, value: S2) { stub() }
}
public struct ContentUnavailableView<Label: View, Description: View, Actions: View>: StubView {}
extension ContentUnavailableView where Label == SwiftUI.Label<Text, Image>, Description == Text?, Actions == EmptyView {
    public init<S: StringProtocol>(_ title: S, systemImage name: String, description: Text? = nil) { stub() }
}

// Controls

public struct ButtonRole: Equatable, Sendable {
    public static let destructive = ButtonRole()
    public static let cancel = ButtonRole()
}
public struct Button<Label: View>: StubView {}
extension Button where Label == Text {
    public init<S: StringProtocol>(_ title: S, action: @escaping @MainActor () -> Void) { stub() }
    public init<S: StringProtocol>(_ title: S, role: ButtonRole?, action: @escaping @MainActor () -> Void) { stub() }
}
extension Button where Label == SwiftUI.Label<Text, Image> {
    public init<S: StringProtocol>(_ title: S, systemImage: String, action: @escaping @MainActor () -> Void) { stub() }
    public init<S: StringProtocol>(
        _ title: S, systemImage: String, role: ButtonRole?, action: @escaping @MainActor () -> Void
    ) { stub() }
}
public struct Menu<Label: View, Content: View>: StubView {
    public init(@ViewBuilder content: () -> Content, @ViewBuilder label: () -> Label) { stub() }
}
public struct TextField<Label: View>: StubView {}
extension TextField where Label == Text {
    public init<S: StringProtocol>(_ title: S, text: Binding<String>) { stub() }
    public init<S: StringProtocol>(_ title: S, text: Binding<String>, axis: Axis) { stub() }
}
public struct Toggle<Label: View>: StubView {}
extension Toggle where Label == Text {
    public init<S: StringProtocol>(_ title: S, isOn: Binding<Bool>) { stub() }
}
public struct ProgressView<Label: View, CurrentValueLabel: View>: StubView {}
extension ProgressView where Label == EmptyView, CurrentValueLabel == EmptyView {
    public init<V: BinaryFloatingPoint>(value: V?, total: V = 1.0) { stub() }
}
public struct ShareLink<Data, PreviewImage, PreviewIcon, Label: View>: StubView {}
extension ShareLink where PreviewImage == Never, PreviewIcon == Never, Data == CollectionOfOne<URL> {
    public init(
        item: URL, subject: Text? = nil, message: Text? = nil, @ViewBuilder label: () -> Label
    ) { stub() }
}

// Navigation

public struct NavigationStack<Data, Root: View>: StubView {}
public struct NavigationPath {}
extension NavigationStack where Data == NavigationPath {
    public init(@ViewBuilder root: () -> Root) { stub() }
}
public struct NavigationLink<Label: View, Destination: View>: StubView {
    public init(@ViewBuilder destination: () -> Destination, @ViewBuilder label: () -> Label) { stub() }
}
extension NavigationLink where Destination == Never {
    public init<P: Hashable>(value: P?, @ViewBuilder label: () -> Label) { stub() }
}
@MainActor @preconcurrency public protocol ToolbarContent {}
public struct ToolbarItemPlacement: Sendable {
    public static let primaryAction = ToolbarItemPlacement()
}
public struct ToolbarItem<ID, Content: View>: ToolbarContent {}
extension ToolbarItem where ID == () {
    public init(placement: ToolbarItemPlacement, @ViewBuilder content: () -> Content) { stub() }
}
@resultBuilder public struct ToolbarContentBuilder {
    public static func buildBlock<Content: ToolbarContent>(_ content: Content) -> Content { stub() }
}
