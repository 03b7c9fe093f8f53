import SoraCore

/// `sora tokens TOKENIZER.json`: for each line of the input the ids of that prompt, without padding, or `refused: WHY`.
func printTokens(_ arguments: [String]) throws {
    let given = try Arguments(arguments, of: "tokens")
    guard given.words.count == 1 else { throw Usage(what: "error: tokens takes one tokenizer document") }
    let tokenizer = Tokenizer(try TokenizerDocument.read(path: given.words[0]))
    while let prompt = readLine() {
        do {
            let (ids, mask) = try tokenizer.encode(prompt)
            let counting = zip(ids, mask).filter { $0.1 == 1 }.map { "\($0.0)" }
            print(counting.joined(separator: " "))
        } catch {
            print("refused: \(error)")
        }
    }
}
