import Foundation

/// Requests to another process and its answers, one after another, each a line of JSON.
final class Channel: @unchecked Sendable {
    private let lock = NSLock()
    private let descriptor: Int32
    private var rest: [UInt8] = []

    /// Owns the descriptor of a stream in both directions.
    init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// The answer, decoded. Throws what the other process says went wrong, and if it is gone.
    func ask<Answer: Decodable>(_ request: some Encodable, for: Answer.Type = Answer.self) throws -> Answer {
        try lock.withLock {
            try send(Array(try JSONEncoder().encode(request)) + [UInt8(ascii: "\n")])
            let line = Data(try receive())
            if let failed = try? JSONDecoder().decode(Failed.self, from: line) { throw StandIn.error(failed.error) }
            return try JSONDecoder().decode(Answer.self, from: line)
        }
    }

    private struct Failed: Decodable { let error: String }

    private static let gone = "the process of SORA_STANDIN_COMMAND has ended; what it said stands above"

    private func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Foundation.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw StandIn.error(Self.gone) }
            sent += count
        }
    }

    private func receive() throws -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            if let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                defer { rest.removeFirst(end + 1) }
                return Array(rest[..<end])
            }
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw StandIn.error(Self.gone) }
            rest += buffer[..<count]
        }
    }
}
