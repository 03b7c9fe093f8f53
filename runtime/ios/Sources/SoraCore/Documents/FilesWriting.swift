import Foundation

extension Files {
    /// Puts `text` where `path` says, whole or not at all: also when the program or the device ends at any moment.
    /// Throws DocumentError, and leaves what was there, if it cannot be written.
    package static func replace(_ path: String, with text: String) throws {
        let beside = "\(path).new"
        do {
            _ = unlink(beside)
            let file = try AppendedFile(path: beside)
            try file.append(Array(text.utf8), isSynced: true)
        } catch let error as DocumentError {
            _ = unlink(beside)
            throw DocumentError(file: path, what: error.what, mend: error.mend)
        }
        guard rename(beside, path) == 0 else {
            let code = errno
            _ = unlink(beside)
            throw unwritable(path, code)
        }
    }

    /// Makes a folder and those above it. Throws DocumentError.
    package static func makeFolder(_ path: String) throws {
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw DocumentError(file: path, what: "the folder cannot be made", mend: "Choose another folder")
        }
    }

    /// Takes a file away. Throws DocumentError.
    package static func remove(_ path: String) throws {
        guard unlink(path) == 0 else { throw unwritable(path, errno) }
    }

    static func unwritable(_ path: String, _ code: Int32) -> DocumentError {
        let (what, mend) =
            switch code {
            case ENOSPC, EDQUOT, EFBIG: ("there is no space left on the disk", "Make room, then start again")
            case ENOENT, ENOTDIR: ("there is no such folder", "Make the folder first")
            case ELOOP: ("this is a link, not a file", "Choose another name")
            default: (String(cString: strerror(code)), "Choose another place")
            }
        return DocumentError(file: path, what: "cannot be written: \(what)", mend: mend)
    }
}

/// A file that bytes are added to. What was added survives the end of the program, at whatever moment that comes; what
/// was added synced survives the end of the device.
final class AppendedFile: @unchecked Sendable {
    private let path: String
    private let descriptor: Int32
    private var numBytes: Int

    /// Opens the file, or makes it. With `isLocked` no other may open it likewise until this one is gone.
    /// Throws DocumentError.
    init(path: String, isLocked: Bool = false) throws {
        self.path = path
        descriptor = Foundation.open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o644)
        guard descriptor >= 0 else { throw Files.unwritable(path, errno) }
        var found = stat()
        guard fstat(descriptor, &found) == 0, found.st_mode & S_IFMT == S_IFREG else {
            _ = close(descriptor)
            throw DocumentError(file: path, what: "cannot be written: this is not a file", mend: "Choose another name")
        }
        numBytes = Int(found.st_size)
        if isLocked, flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            _ = close(descriptor)
            throw DocumentError(file: path, what: "another run writes it", mend: "Wait for its end, or end it")
        }
    }

    /// A program that is being started at this moment may still have a copy of the descriptor: it must not keep the lock.
    deinit {
        _ = flock(descriptor, LOCK_UN)
        _ = close(descriptor)
    }

    /// All of it, from its beginning on. Throws DocumentError if it has more than `maxBytes`.
    func contents(maxBytes: Int) throws -> [UInt8] {
        guard numBytes <= maxBytes else {
            throw DocumentError(file: path, what: "the file is too large; at most \(maxBytes) bytes are read")
        }
        var bytes = [UInt8](repeating: 0, count: numBytes)
        var count = 0
        while count < numBytes {
            let more = bytes.withUnsafeMutableBytes {
                let rest = UnsafeMutableRawBufferPointer(rebasing: $0[count...])
                return pread(descriptor, rest.baseAddress, rest.count, off_t(count))
            }
            if more < 0 && errno == EINTR { continue }
            guard more > 0 else { break }
            count += more
        }
        return Array(bytes[..<count])
    }

    /// Cuts off what stands behind `length`. Throws DocumentError.
    func shorten(to length: Int) throws {
        guard ftruncate(descriptor, off_t(length)) == 0 else { throw Files.unwritable(path, errno) }
        numBytes = length
    }

    /// Adds bytes at the end: all of them, or none and DocumentError. `isSynced` waits until the disk has them.
    func append(_ bytes: [UInt8], isSynced: Bool) throws {
        var count = 0
        while count < bytes.count {
            let more = bytes.withUnsafeBytes {
                let rest = UnsafeRawBufferPointer(rebasing: $0[count...])
                return pwrite(descriptor, rest.baseAddress, rest.count, off_t(numBytes + count))
            }
            if more < 0 && errno == EINTR { continue }
            guard more > 0 else {
                let error = Files.unwritable(path, more < 0 ? errno : ENOSPC)
                _ = ftruncate(descriptor, off_t(numBytes))
                throw error
            }
            count += more
        }
        numBytes += count
        if isSynced, fsync(descriptor) != 0 {
            let error = Files.unwritable(path, errno)
            try? shorten(to: numBytes - count)
            throw error
        }
    }
}
