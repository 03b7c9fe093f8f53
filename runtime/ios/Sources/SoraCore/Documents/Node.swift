/// A value in a document and where it stands, so that a complaint can name the place.
///
/// Every reading says what is allowed: the keys of an object, the range of a number, the form of a text. The rest is
/// refused.
struct Node {
    /// The way to a value from the top.
    indirect enum Place {
        case top
        case key(Place, String)
        case index(Place, Int)

        /// Such as `$.visits[3]`.
        var pointer: String {
            switch self {
            case .top: "$"
            case .key(let parent, let key): "\(parent.pointer).\(key)"
            case .index(let parent, let index): "\(parent.pointer)[\(index)]"
            }
        }
    }

    let value: JSON
    let place: Place
    let file: String
    let mend: String

    /// A document: an object whose `format` is `format`. `name` is what it should be, such as "a schedule".
    static func document(_ bytes: [UInt8], file: String, name: String, format: String, mend: String) throws -> Node {
        let node = Node(value: try JSONReader.read(bytes, file: file, mend: mend), place: .top, file: file, mend: mend)
        guard case .object = node.value else { throw node.error("expected an object, found \(node.value.shown)") }
        guard let found = node.value["format"] else { throw node.error("not \(name): no 'format': '\(format)'") }
        guard case .text(let text) = found, text.isExactly(format) else {
            throw node.error("format \(found.shown) is not '\(format)'")
        }
        return node
    }

    func error(_ what: String) -> DocumentError {
        DocumentError(file: file, pointer: place.pointer, what: what, mend: mend)
    }

    private func expected(_ what: String) -> DocumentError { error("expected \(what), found \(value.shown)") }

    /// Throws unless this is an object of exactly these keys; `optional` ones may be missing.
    func record(_ keys: [String], optional: [String] = []) throws -> Record {
        guard case .object(let members) = value else { throw expected("an object") }
        for member in members where !(keys + optional).contains(where: member.key.isExactly) {
            throw child(member.value, .key(place, member.key)).error("this key is not known")
        }
        var found: [String: Node] = [:]
        for key in keys {
            guard let inside = value[key] else { throw error("the key '\(key)' is missing") }
            found[key] = child(inside, .key(place, key))
        }
        for key in optional { found[key] = value[key].map { child($0, .key(place, key)) } }
        return Record(nodes: found, whole: self)
    }

    /// Throws unless this is an object, of whatever keys.
    func anyObject() throws -> JSON {
        guard case .object = value else { throw expected("an object") }
        return value
    }

    /// Throws unless this is an object of so many members, of whatever keys; each key with its value.
    func entries(_ counts: ClosedRange<Int>) throws -> [(key: String, node: Node)] {
        guard case .object(let members) = value, counts.contains(members.count) else {
            throw expected("an object of \(counts.lowerBound) to \(counts.upperBound)")
        }
        return members.map { ($0.key, child($0.value, .key(place, $0.key))) }
    }

    func list(_ counts: ClosedRange<Int>) throws -> [Node] {
        guard case .list(let values) = value else { throw expected("a list") }
        guard counts.contains(values.count) else {
            throw expected("a list of \(counts.lowerBound) to \(counts.upperBound)")
        }
        return values.enumerated().map { child($1, .index(place, $0)) }
    }

    func integer(_ range: ClosedRange<Int>) throws -> Int {
        guard case .integer(let number) = value, range.contains(number) else {
            throw expected("a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func real(_ range: ClosedRange<Double>) throws -> Double {
        let number: Double
        switch value {
        case .integer(let whole): number = Double(whole)
        case .real(let real): number = real
        default: throw expected("a number from \(range.lowerBound) to \(range.upperBound)")
        }
        guard range.contains(number) else {
            throw expected("a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// Above zero, and at most `limit`.
    func positive(_ limit: Double) throws -> Double {
        let number = try real(0...limit)
        guard number > 0 else { throw expected("a number above 0") }
        return number
    }

    func flag() throws -> Bool {
        guard case .flag(let flag) = value else { throw expected("true or false") }
        return flag
    }

    func text(_ form: TextForm) throws -> String {
        guard case .text(let text) = value, form.isFulfilled(text) else { throw expected(form.description) }
        return text
    }

    func choice<Choice: RawRepresentable & CaseIterable>(_: Choice.Type = Choice.self) throws -> Choice
    where Choice.RawValue == String {
        let known = Choice.allCases.map(\.rawValue)
        guard case .text(let text) = value, known.contains(where: text.isExactly), let choice = Choice(rawValue: text)
        else { throw expected("one of \(known.joined(separator: ", "))") }
        return choice
    }

    /// nil for null.
    func optional<Value>(_ read: (Node) throws -> Value) throws -> Value? {
        value == .null ? nil : try read(self)
    }

    private func child(_ value: JSON, _ place: Place) -> Node {
        Node(value: value, place: place, file: file, mend: mend)
    }
}

/// An object whose keys are those that were expected.
struct Record {
    fileprivate let nodes: [String: Node]
    let whole: Node

    fileprivate init(nodes: [String: Node], whole: Node) {
        self.nodes = nodes
        self.whole = whole
    }

    /// The value of a key that may be missing.
    func ifThere(_ key: String) -> Node? { nodes[key] }

    /// The value of a key that `record` was asked for. Throws for another: then the reader has a mistake.
    func callAsFunction(_ key: String) throws -> Node {
        guard let node = nodes[key] else { throw whole.error("the key '\(key)' is missing") }
        return node
    }
}
