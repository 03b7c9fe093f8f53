import Foundation

/// What lies on the disk: regular files of bounded size, and within a folder only by plain names. No link is followed.
package enum Files {
    private static let pieceBytes = 1 << 20

    /// All of a regular file. Throws DocumentError if it is missing, something else, or has more than `maxBytes`.
    static func read(_ path: String, maxBytes: Int, mend: String = "") throws -> [UInt8] {
        var bytes: [UInt8] = []
        try readPieces(path, mend: mend) { piece in
            bytes.append(contentsOf: piece)
            if bytes.count > maxBytes {
                let what = "the file is too large; at most \(maxBytes) bytes are read"
                throw DocumentError(file: path, what: what, mend: mend)
            }
        }
        return bytes
    }

    /// Hands a regular file over piece by piece. Throws DocumentError if it is missing or something else.
    static func readPieces(_ path: String, mend: String = "", _ take: (ArraySlice<UInt8>) throws -> Void) throws {
        let descriptor = try open(path, mend: mend)
        defer { _ = close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: pieceBytes)
        while true {
            let count = buffer.withUnsafeMutableBytes { Foundation.read(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            if count < 0 { throw unreadable(path, errno, mend) }
            if count == 0 { return }
            try take(buffer[..<count])
        }
    }

    private static func open(_ path: String, mend: String) throws -> Int32 {
        let descriptor = Foundation.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW)
        guard descriptor >= 0 else { throw unreadable(path, errno, mend) }
        var found = stat()
        guard fstat(descriptor, &found) == 0, isRegular(found) else {
            _ = close(descriptor)
            throw DocumentError(file: path, what: "this is not a file", mend: mend)
        }
        return descriptor
    }

    private static func unreadable(_ path: String, _ code: Int32, _ mend: String) -> DocumentError {
        let what =
            switch code {
            case ENOENT: "no such file"
            case ELOOP: "this is a link, not a file"
            default: "cannot be read: \(String(cString: strerror(code)))"
            }
        return DocumentError(file: path, what: what, mend: mend)
    }

    /// The files of a folder and of the folders in it: paths below `folder`, in the order of their parts, and bytes.
    /// Throws DocumentError if the folder is missing, or if anything in it is neither a file nor a folder.
    package static func below(_ folder: String, mend: String = "") throws -> [(path: String, numBytes: Int)] {
        var pending: [[String]] = [[]]
        var files: [(parts: [String], numBytes: Int)] = []
        while let parts = pending.popLast() {
            let path = ([folder] + parts).joined(separator: "/")
            var found = stat()
            guard lstat(path, &found) == 0 else { throw DocumentError(file: path, what: "is missing", mend: mend) }
            if isFolder(found) {
                guard let names = try? FileManager.default.contentsOfDirectory(atPath: path) else {
                    throw DocumentError(file: path, what: "cannot be read", mend: mend)
                }
                pending += names.map { parts + [$0] }
            } else if isRegular(found), !parts.isEmpty {
                files.append((parts, Int(found.st_size)))
            } else {
                throw DocumentError(file: path, what: "is not a file or a folder of its own", mend: mend)
            }
        }
        return files.sorted { isBefore($0.parts, $1.parts) }
            .map { ($0.parts.joined(separator: "/"), $0.numBytes) }
    }

    /// Bytes of a regular file, nil if there is none.
    package static func numBytes(_ path: String) -> Int? {
        var found = stat()
        return lstat(path, &found) == 0 && isRegular(found) ? Int(found.st_size) : nil
    }

    /// Whether anything lies there, a link included.
    package static func exists(_ path: String) -> Bool {
        var found = stat()
        return lstat(path, &found) == 0
    }

    private static func isRegular(_ found: stat) -> Bool { found.st_mode & S_IFMT == S_IFREG }

    private static func isFolder(_ found: stat) -> Bool { found.st_mode & S_IFMT == S_IFDIR }

    /// As Python sorts paths: part by part, by their scalars.
    private static func isBefore(_ one: [String], _ other: [String]) -> Bool {
        one.lexicographicallyPrecedes(other) { $0.unicodeScalars.lexicographicallyPrecedes($1.unicodeScalars) }
    }
}
