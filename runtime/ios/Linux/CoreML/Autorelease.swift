import Foundation

/// As of the module ObjectiveC, which `import CoreML` brings along on Apple's systems: what Core ML hands out stays alive
/// until the innermost pool of its thread ends, whoever has let go of it.
public func autoreleasepool<Result>(invoking body: () throws -> Result) rethrows -> Result {
    let pools = Pools.ofThread
    pools.begin()
    defer { pools.end() }
    return try body()
}

/// The pools of one thread, innermost last. What is handed out where there is none is kept as long as the thread lives.
final class Pools {
    private static let key = "ondevice-sora.pools"
    private var kept: [[AnyObject]] = [[]]

    static var ofThread: Pools {
        let dictionary = Thread.current.threadDictionary
        if let found = dictionary[key] as? Pools { return found }
        let made = Pools()
        dictionary[key] = made
        return made
    }

    func begin() { kept.append([]) }

    func end() { kept.removeLast() }

    /// Hands `object` out: it lives at least until the pool ends.
    static func handOut(_ object: AnyObject) {
        guard StandIn.shared.isOn(.pooled) else { return }
        let pools = ofThread
        if pools.kept.count == 1 { StandIn.shared.count { $0.handedOutWithoutPool += 1 } }
        pools.kept[pools.kept.count - 1].append(object)
    }
}
