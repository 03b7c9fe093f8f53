import Foundation
import Testing

@testable import SoraCore

/// The worked values beside this package, which Python writes and checks (studies/numbers.py).
enum Numbers {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../../numbers").standardizedFileURL.path

    static func bytes(_ name: String) throws -> [UInt8] { try Files.read("\(folder)/\(name)", maxBytes: 10_000_000) }

    static func document(_ name: String) throws -> JSON { try JSONReader.read(try bytes(name), file: name) }

    static func rows(_ name: String) throws -> [JSON] { try document(name).at("rows").list() }

    /// Float32, little-endian.
    static func floats(_ name: String) throws -> [Float] {
        let bytes = try bytes(name)
        return stride(from: 0, to: bytes.count, by: 4).map { start in
            Float(bitPattern: (0..<4).reduce(0) { $0 | UInt32(bytes[start + $1]) << (8 * UInt32($1)) })
        }
    }
}

struct NotThere: Error {}

extension JSON {
    func at(_ key: String) throws -> JSON {
        guard let value = self[key] else { throw NotThere() }
        return value
    }

    func list() throws -> [JSON] {
        guard case .list(let values) = self else { throw NotThere() }
        return values
    }

    func number() throws -> Double {
        switch self {
        case .integer(let number): return Double(number)
        case .real(let number): return number
        default: throw NotThere()
        }
    }

    func integer() throws -> Int {
        guard case .integer(let number) = self else { throw NotThere() }
        return number
    }

    func text() throws -> String {
        guard case .text(let text) = self else { throw NotThere() }
        return text
    }

    func numbers() throws -> [Double] { try list().map { try $0.number() } }
    func integers() throws -> [Int] { try list().map { try $0.integer() } }
    func floats() throws -> [Float] { try numbers().map { Float($0) } }
}

private func farthest(_ found: some Sequence<Float>, _ told: some Sequence<Float>) -> Float {
    zip(found, told).map { abs($0 - $1) }.max() ?? .infinity
}

@Suite("Numbers are those that Python and PyTorch give")
struct NumbersTests {
    @Test func noiseIsTorchs() throws {
        let rows = try Numbers.rows("noise.json")
        let tolerance = Float(try Numbers.document("noise.json").at("tolerance").number())
        #expect(rows.count >= 30)
        for row in rows {
            let (seed, count) = (try row.at("seed").integer(), try row.at("count").integer())
            let values = Noise.values(seed: UInt64(seed), count: count)
            let (first, last) = (try row.at("first").floats(), try row.at("last").floats())
            #expect(values.count == count)
            #expect(farthest(values, first) <= tolerance, "seed \(seed), \(count) values")
            #expect(farthest(values.suffix(last.count), last) <= tolerance, "seed \(seed), \(count) values")
        }
    }

    @Test func aStepWithGuidance() throws {
        let tolerance = Float(try Numbers.document("euler.json").at("tolerance").number())
        for row in try Numbers.rows("euler.json") {
            let latent = try row.at("latent").floats()
            let shape = try row.at("latent_shape").integers()
            let guidance = try row.at("guidance").number()
            let batch = guidance == 1 ? 1 : 2
            let velocity = try row.at("velocity").floats()
            let drift = Euler.drift(
                velocity: Array(velocity.prefix(velocity.count / 2 * batch)), batch: batch, latentChannels: shape[1],
                rest: shape[2...].reduce(1, *), guidance: guidance)
            let stepped = Euler.step(
                latent: latent, drift: drift, time: try row.at("time").number(),
                timeAfter: try row.at("time_after").number(), timeScale: 1000)
            #expect(farthest(stepped, try row.at("stepped").floats()) <= tolerance)
        }
    }

    @Test(arguments: 0..<9)
    func aRuleLeapsWhereOursDoes(index: Int) throws {
        let told = try Numbers.document("leap.json")
        let tolerance = try told.at("tolerance").number()
        let row = try told.at("rows").list()[index]
        let shape = Array(try told.at("leapt_shape").integers().dropFirst(2))
        let count = shape.reduce(1, *)
        let times = try told.at("times").numbers()
        let trajectory = try Numbers.floats("trajectory.bin")
        let leapt = try Numbers.floats("leapt.bin")[(index * count)..<((index + 1) * count)]
        let sampling = Manifest.Sampling(
            timesteps: times, timeScale: 1000, guidance: 1, fps: 24, batch: 1, latentChannels: shape[0],
            latentShape: shape, solver: .euler)
        var sampler = Sampler(sampling, leap: try leap(of: row), noise: Array(trajectory[..<count]))
        var verdicts: [JSON] = []
        while let number = sampler.nextStep {
            #expect(sampler.time == times[number])
            #expect(farthest(sampler.latent, trajectory[(2 * number * count)..<((2 * number + 1) * count)]) <= 1e-5)
            let drift = Array(trajectory[((2 * number + 1) * count)..<((2 * number + 2) * count)])
            guard let step = sampler.take(velocity: drift) else { throw NotThere() }
            verdicts.append(.flag(step.leapt))
            if let cosine = step.cosine {
                #expect(abs(cosine - (try row.at("cosines").list()[number].number())) <= tolerance)
            }
            if let error = step.error {
                let expected = try row.at("errors").list()[number].number()
                #expect(abs(error - expected) <= tolerance * max(1, expected))
            }
        }
        #expect(verdicts == (try row.at("verdicts").list()))
        #expect(farthest(sampler.latent, leapt) <= Float(tolerance))
        let behindTheEnd = sampler.take(velocity: Array(leapt))
        #expect(behindTheEnd == nil)
    }

    @Test func twoStepAdamsBashforth() throws {
        let told = try Numbers.document("ab2.json")
        let shape = try told.at("latent_shape").integers()
        let times = try told.at("times").numbers()
        let sampling = Manifest.Sampling(
            timesteps: times, timeScale: 1000, guidance: 1, fps: 24, batch: 1, latentChannels: shape[0],
            latentShape: shape, solver: .ab2)
        var sampler = Sampler(sampling, leap: .none, noise: try told.at("latent").floats())
        for row in try told.at("rows").list() {
            #expect(sampler.time == (try row.at("time").number()))
            guard sampler.take(velocity: try row.at("velocity").floats()) != nil else { throw NotThere() }
            let tolerance = Float(try told.at("tolerance").number())
            #expect(farthest(sampler.latent, try row.at("stepped").floats()) <= tolerance)
        }
        #expect(sampler.nextStep == nil)
    }

    /// Through the reader of schedules, which is what a generation has it from.
    private func leap(of row: JSON) throws -> Schedule.Leap {
        let members = try row.at("leap")
        guard case .object(let pairs) = members else { throw NotThere() }
        let text = pairs.map { pair in
            switch pair.value {
            case .text(let text): "\"\(pair.key)\": \"\(text)\""
            default: "\"\(pair.key)\": \(pair.value.shown)"
            }
        }.joined(separator: ", ")
        let json = Toy.streamed.json.replacingFirst("{\"mode\": \"none\"}", with: "{\(text)}")
        return try Schedule.read(Array(json.utf8), file: "schedule.json").leap
    }

    @Test func aVelocityOfAnotherSizeIsNotTaken() {
        let sampling = Manifest.Sampling(
            timesteps: [1000, 500], timeScale: 1000, guidance: 7, fps: 24, batch: 2, latentChannels: 4,
            latentShape: [4, 2, 2, 2], solver: .euler)
        var sampler = Sampler(sampling, leap: .none, seed: 42)
        #expect(sampler.latent == Noise.values(seed: 42, count: 32))
        for count in [0, 32, 63, 65] {
            let step = sampler.take(velocity: Array(repeating: 0, count: count))
            #expect(step == nil, "\(count)")
        }
        let step = sampler.take(velocity: Array(repeating: 0, count: 64))
        #expect(step?.number == 0)
        #expect(sampler.nextStep == 1 && sampler.time == 500)
    }

    @Test func chunksAndBatches() throws {
        for row in try Numbers.rows("decoding.json") {
            let chunks = try row.at("chunks").list().map { try $0.integers() }
            let batches = try row.at("batches").list().map { try $0.integers() }
            let numFrames = try row.at("num_frames").integer()
            let decoding = Manifest.Decoding(
                numFrames: numFrames, height: 64, width: 64,
                chunkLatentFrames: try row.at("chunk_latent_frames").integer(), chunkFrames: chunks.map { $0[2] },
                batchFrames: batches[0][1])
            let walk = DecodingWalk(decoding, numLatentFrames: try row.at("latent_size").integers()[0])
            #expect(walk.chunks.map { [$0.latentFrames.lowerBound, $0.latentFrames.count, $0.numFrames] } == chunks)
            #expect(walk.batches.map { [$0.lowerBound, $0.count] } == batches)
        }
    }

    @Test func valuesBecomeBytes() throws {
        for row in try Numbers.rows("rounding.json") {
            let bytes = try row.at("values").floats().map { Int(Levels.byte($0)) }
            #expect(bytes == (try row.at("bytes").integers()))
        }
    }
}

@Suite("Prompts become the ids that Python and sentencepiece give")
struct TokenizerTests {
    private func tokenizer(_ name: String) throws -> Tokenizer {
        Tokenizer(try TokenizerDocument.read(path: "\(Numbers.folder)/\(name)"))
    }

    @Test func everyPromptOfTheFixture() throws {
        var known: [String: Tokenizer] = [:]
        for name in ["tokenizer-words.json", "tokenizer-unigram.json"] { known[name] = try tokenizer(name) }
        for row in try Numbers.rows("tokens.json") {
            let prompt = try row.at("prompt").text()
            guard let tokenizer = known[try row.at("tokenizer").text()] else { throw NotThere() }
            if let why = row["refused"] {
                let error = #expect(throws: TokenizerError.self) { try tokenizer.encode(prompt) }
                let found =
                    switch error {
                    case .empty: "empty"
                    case .unknown: "unknown"
                    case .tooLong: "long"
                    case .untaught, nil: "nothing"
                    }
                #expect(found == (try why.text()), "\(prompt.debugDescription)")
            } else {
                let (ids, mask) = try tokenizer.encode(prompt)
                let count = mask.reduce(0, +)
                #expect(ids.count == tokenizer.document.length && mask.count == ids.count)
                let told = try row.at("ids").integers()
                #expect(ids.prefix(Int(count)).map(Int.init) == told, "\(prompt.debugDescription)")
                #expect(ids.dropFirst(Int(count)).allSatisfy { $0 == Int32(tokenizer.document.pad) })
            }
        }
    }

    @Test func everySentenceIsTakenOrRefusedAsInPython() throws {
        let tokenizer = try tokenizer("tokenizer-words.json")
        let rows = try Numbers.rows("sentences.json")
        #expect(rows.count > 300)
        for row in rows {
            let prompt = try row.at("prompt").text()
            let told = try row["what"].map { _ in [try row.at("what").text(), try row.at("mend").text()] }
            var found: [String]?
            do {
                _ = try tokenizer.encode(prompt)
                try tokenizer.checkSentence(prompt)
            } catch let error as TokenizerError { found = [error.what, error.mend] }
            #expect(found == told, "\(prompt.debugDescription)")
        }
    }

    @Test func withoutSentencesEveryOneIsTaken() throws {
        let json = String(decoding: try Numbers.bytes("tokenizer-words.json"), as: UTF8.self)
        let start = try #require(json.range(of: "\"sentences\":")).lowerBound
        let end = try #require(json.range(of: "\"format\":")).lowerBound
        for none in ["", "\"sentences\":null,"] {
            let written = Array((json[..<start] + none + json[end...]).utf8)
            let tokenizer = Tokenizer(try TokenizerDocument.read(written, file: "tokenizer.json"))
            try tokenizer.checkSentence("red and blue")
            #expect(throws: TokenizerError.self) { try tokenizer.checkSentence("red and bleu") }
        }
    }

    @Test(arguments: [
        ("\"pad\":0", "\"pad\":1", "end: 1 is the id of padding as well"),
        ("\"a\":2", "\"a\":0", "words.a: the id 0 stands twice"), ("\"a\":2", "\"a\":3", "the id 3 stands twice"),
        ("\"a\":2", "\"a.b\":2", "the word has a separator in it"), ("\"a\":2", "\"\":2", "a word without spaces"),
        ("\"kind\":\"words\"", "\"kind\":\"bytes\"", "kind: expected one of words, unigram"),
        ("\"kind\":\"words\"", "\"kind\":\"unigram\"", "this key is not known"),
        ("\"length\":24", "\"length\":0", "length: expected a whole number from 1"),
        ("\"separators\"", "\"parts\"", "parts: this key is not known"),
        ("\"lower_case\":true", "\"lower_case\":1", "lower_case: expected true or false"),
        ("[\"small\"", "[\"tiny\"", "sentences.choices.SIZE[0]: 'tiny' is none of the words"),
        ("\"SIZE\":[", "\"red\":[", "sentences.choices.red: 'red' is a word, and a name of choices as well"),
        ("\"moving\",\"DIRECTION\"", "\"moving\",\"WAY\"", "sentences.form[3].words[2]: 'WAY' is none of the words"),
        ("\"optional\":true", "\"optional\":1", "sentences.form[0].optional: expected true or false"),
    ])
    func aDocumentWhosePartsDoNotAgreeIsRefused(before: String, after: String, words: String) throws {
        let json = String(decoding: try Numbers.bytes("tokenizer-words.json"), as: UTF8.self)
        #expect(json.contains(before))
        let error = #expect(throws: DocumentError.self) {
            try TokenizerDocument.read(Array(json.replacingFirst(before, with: after).utf8), file: "tokenizer.json")
        }
        #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }

    /// A normalisation that is spoilt is refused, or no text leads out of it.
    @Test func noNormalisationEndsTheProgram() throws {
        let text = try Numbers.document("tokenizer-unigram.json").at("charsmap").text()
        guard let data = Data(base64Encoded: text) else { throw NotThere() }
        let whole = [UInt8](data)
        #expect(Charsmap(whole) != nil && Charsmap([]) != nil)
        var random = SplitMix(state: 17)
        let words = "a café ﬃ １２ \u{200b}\u{301}½".utf8.map { $0 }
        var numRefused = 0
        for _ in 0..<300 {
            var bytes = whole
            for _ in 0..<4 {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            guard let charsmap = Charsmap(bytes) else {
                numRefused += 1
                continue
            }
            for place in words.indices { _ = charsmap.replacement(in: words, at: place) }
        }
        #expect(numRefused > 0 && numRefused < 300)
        #expect(Charsmap(Array(whole.dropLast(2))) == nil && Charsmap([1, 2, 3]) == nil)
    }
}
