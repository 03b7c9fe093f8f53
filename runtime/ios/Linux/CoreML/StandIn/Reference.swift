import Foundation

/// The project's reference executor in another process, on the packages themselves: `SORA_STANDIN_COMMAND`, a command of
/// the shell (runtime/coreml/program/serving.py).
///
/// It has a channel for loads as descriptor 3, one for runs as 4, and as 5 a file that holds the arrays of a run. It ends
/// when this process does: the channels do.
final class Reference: Provider, @unchecked Sendable {
    static let shared = Reference(ProcessInfo.processInfo.environment["SORA_STANDIN_COMMAND"])

    private let command: String?
    private let lock = NSLock()
    private var started: Result<Peer, any Error>?

    init(_ command: String?) { self.command = command }

    /// The process, started when it is first needed.
    private func peer() throws -> Peer {
        try lock.withLock {
            let found = started ?? Result { try Peer(command) }
            started = found
            return try found.get()
        }
    }

    func functions(of model: CompiledModel) throws -> [String] {
        try peer().loads.ask(Peer.Request(functionsOf: model.package.path), for: Peer.Names.self).functions
    }

    func load(_ model: CompiledModel, _ function: String?, _ units: MLComputeUnits) throws -> any LoadedFunction {
        let peer = try peer()
        let request = Peer.Request(load: model.package.path, function: function)
        return try LoadedProgram(peer, try peer.loads.ask(request))
    }
}

/// The other process.
final class Peer: Sendable {
    struct Request: Encodable {
        var functionsOf: String?
        var load: String?
        var function: String?
        var run: Int?
        /// Where in the file each array begins, in bytes.
        var inputs: [String: Int]?
        var outputs: [String: Int]?
        var evict: Int?
    }

    struct Names: Decodable { let functions: [String] }

    struct Loaded: Decodable {
        struct Feature: Decodable {
            let name: String
            let type: String
            let shape: [Int]
        }

        let model: Int
        let inputs: [Feature]
        let outputs: [Feature]
    }

    struct Done: Decodable {}

    let loads: Channel
    let runs: Channel
    let arrays: SharedFile

    init(_ command: String?) throws {
        guard let command else {
            throw StandIn.error(
                "this is a stand-in for Core ML, and SORA_STANDIN_COMMAND names nothing that could make predictions")
        }
        let (ourLoads, theirLoads) = try Self.sockets()
        let (ourRuns, theirRuns) = try Self.sockets()
        defer { for descriptor in [theirLoads, theirRuns] { close(descriptor) } }
        loads = Channel(ourLoads)
        runs = Channel(ourRuns)
        arrays = try SharedFile()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, 2, 1)
        for (number, descriptor) in [theirLoads, theirRuns, arrays.descriptor].enumerated() {
            posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(3 + number))
        }
        let words = ["/bin/sh", "-c", "exec \(command)"]
        var arguments = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var process: pid_t = 0
        let code = posix_spawn(&process, "/bin/sh", &actions, nil, &arguments, environ)
        guard code == 0 else { throw StandIn.error("\(command): \(String(cString: strerror(code)))") }
    }

    /// Two ends of a stream, neither of which any other process gets, and neither below 10: what lies there is replaced
    /// in the new process.
    private static func sockets() throws -> (Int32, Int32) {
        var ends: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw StandIn.error("no socket: \(String(cString: strerror(errno)))")
        }
        return (high(ends[0]), high(ends[1]))
    }

    /// The same file under a number of at least 10.
    static func high(_ descriptor: Int32) -> Int32 {
        defer { close(descriptor) }
        return fcntl(descriptor, F_DUPFD_CLOEXEC, 10)
    }
}

/// A file without a name, as large as it has to be, in the memory of both processes.
final class SharedFile: @unchecked Sendable {
    /// Held by who uses the memory.
    let lock = NSLock()
    let descriptor: Int32
    private var start: UnsafeMutableRawPointer?
    private var numBytes = 0

    init() throws {
        var path = Array("\(FileManager.default.temporaryDirectory.path)/arrays-XXXXXX".utf8CString)
        let made = mkstemp(&path)
        guard made >= 0 else { throw StandIn.error("no temporary file: \(String(cString: strerror(errno)))") }
        unlink(path)
        descriptor = Peer.high(made)
    }

    deinit {
        if let start { munmap(start, numBytes) }
        close(descriptor)
    }

    /// At least so many bytes; what was there before is somewhere else then. For one user at a time.
    func memory(numBytes wanted: Int) throws -> UnsafeMutableRawPointer {
        if let start, wanted <= numBytes { return start }
        if let start { munmap(start, numBytes) }
        start = nil
        guard ftruncate(descriptor, wanted) == 0,
            let made = mmap(nil, wanted, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), made != MAP_FAILED
        else { throw StandIn.error("no file of \(wanted) bytes: \(String(cString: strerror(errno)))") }
        numBytes = wanted
        start = made
        return made
    }
}

final class LoadedProgram: LoadedFunction {
    let inputs: [Declared]
    let outputs: [Declared]
    private let peer: Peer
    private let number: Int

    init(_ peer: Peer, _ loaded: Peer.Loaded) throws {
        self.peer = peer
        number = loaded.model
        func declared(_ features: [Peer.Loaded.Feature]) throws -> [Declared] {
            try features.map { feature in
                guard let type = MLMultiArrayDataType(name: feature.type) else {
                    throw StandIn.error("\(feature.name) is \(feature.type), which no multi-array is")
                }
                return Declared(name: feature.name, type: type, shape: feature.shape)
            }
        }
        inputs = try declared(loaded.inputs)
        outputs = try declared(loaded.outputs)
    }

    func predict(_ given: [String: ArrayView], into wanted: [String: ArrayView]) throws {
        try peer.arrays.lock.withLock {
            var end = 0
            func places(_ features: [Declared]) -> [String: Int] {
                Dictionary(
                    uniqueKeysWithValues: features.map { feature in
                        defer { end += (feature.layout.numBytes + 63) / 64 * 64 }
                        return (feature.name, end)
                    })
            }
            let (from, to) = (places(inputs), places(outputs))
            let memory = try peer.arrays.memory(numBytes: end)
            for (name, view) in given { view.copy(toDense: memory + from[name, default: 0]) }
            _ = try peer.runs.ask(Peer.Request(run: number, inputs: from, outputs: to), for: Peer.Done.self)
            for (name, view) in wanted where outputs.contains(where: { $0.name == name && $0.fits(view.layout) }) {
                view.copy(fromDense: memory + to[name, default: 0])
            }
        }
    }

    func giveBack() { _ = try? peer.runs.ask(Peer.Request(evict: number), for: Peer.Done.self) }
}
