/// A file of JSON values, one a line. Its last line may break off: a program that ended while it wrote.
enum JSONLines {
    /// The whole lines, and how many bytes they take with their ends.
    static func whole(_ bytes: [UInt8]) -> (rows: [ArraySlice<UInt8>], numBytes: Int) {
        let numBytes = (bytes.lastIndex(of: 0x0a) ?? -1) + 1
        guard numBytes > 0 else { return ([], 0) }
        return (bytes[..<(numBytes - 1)].split(separator: 0x0a, omittingEmptySubsequences: false), numBytes)
    }

    /// The value of a line; `row` counts from 0. Throws DocumentError.
    static func node(_ line: ArraySlice<UInt8>, row: Int, file: String, mend: String) throws -> Node {
        let place = "\(file):\(row + 1)"
        let value = try JSONReader.read(Array(line), file: place, mend: mend)
        return Node(value: value, place: .top, file: place, mend: mend)
    }
}
