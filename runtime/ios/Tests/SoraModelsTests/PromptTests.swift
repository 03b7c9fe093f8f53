import Testing

@testable import SoraCore
@testable import SoraModels

@Suite("A prompt, before anything is loaded")
@MainActor struct PromptTests {
    let engine = TestGeneration()

    private func model(_ export: TestExport = TestExport(), limitBytes: Int? = 1000) throws -> GenerationModel {
        GenerationModel(
            try export.entry(limitBytes: limitBytes), engine: engine, turn: Turn(), limitBytes: limitBytes)
    }

    @Test func anEmptyPromptOffersTheExample() throws {
        let model = try model()
        #expect(model.promptState == .empty(example: "a red circle"))
        #expect(model.promptState?.hint == "For example: a red circle")
        #expect(!model.canStart)
        model.useExample()
        #expect(model.promptState == .good(numTokens: 4, length: 6))
        #expect(model.promptState?.hint == "4 of 6 tokens")
        #expect(model.canStart)
    }

    @Test func everyUnknownWordIsToldWithTheNearest() throws {
        let model = try model()
        model.prompt = "a Rad circel cat"
        let hint =
            "The model does not know 'rad', 'circel', 'cat'. Did you mean 'red', 'circle'? "
            + "It knows: a, red, circle, circles, blue."
        #expect(model.promptState?.hint == hint)
        #expect(model.refusal.map(Texts.Prompt.refusal) == hint)
        #expect(!model.canStart)
    }

    @Test func theNearestWordsArePutInTheirPlaceAndNowhereElse() throws {
        let model = try model()
        model.prompt = "rad,  a Rad circel"
        model.takeSuggestion()
        #expect(model.prompt == "red,  a red circle")
        model.takeSuggestion()
        #expect(model.prompt == "red,  a red circle")
    }

    @Test func whereNothingIsNearNothingIsSuggested() throws {
        let model = try model()
        model.prompt = "xyz"
        #expect(model.promptState?.hint.hasPrefix("The model does not know 'xyz'. It knows: a, ") == true)
        model.takeSuggestion()
        #expect(model.prompt == "xyz")
    }

    @Test func anotherSentenceThanItWasTaughtIsRefusedWithTheNearest() throws {
        let model = try model(TestExport(tokenizer: TestExport.taughtTokenizer))
        model.prompt = "circle, blue"
        let hint =
            "'circle blue': the model was not taught sentences like this one, and its video would not show it. "
            + "Did you mean 'a blue circle'? It knows: [a] COLOUR circle. COLOUR: red, blue."
        #expect(model.promptState?.hint == hint)
        model.start()
        #expect(model.state == .writing && engine.asked == [])
        model.takeSuggestion()
        #expect(model.prompt == "a blue circle" && model.canStart)
    }

    @Test func aLongPromptIsRefusedAndNotCut() throws {
        let model = try model()
        model.prompt = "a a a a a a a"
        #expect(model.promptState == .tooLong(numTokens: 8, length: 6))
        #expect(model.promptState?.hint == "Too long: 8 tokens, and the model reads 6. Write a shorter one.")
        #expect(!model.canStart)
    }

    @Test func knownWordsAreOfferedByTheirBeginning() throws {
        let model = try model()
        #expect(model.offeredWords == ["a", "blue", "circle", "circles", "red"])
        model.prompt = "a Ci"
        #expect(model.offeredWords == ["circle", "circles"])
        model.prompt = "a circle"
        #expect(model.offeredWords == ["circles"])
        model.prompt = "a circle,"
        #expect(model.offeredWords.count == 5)
    }

    @Test func aChosenWordTakesThePlaceOfTheOneBeingWritten() throws {
        let model = try model()
        model.add(word: "a")
        #expect(model.prompt == "a ")
        model.prompt += "ci"
        model.add(word: "circle")
        #expect(model.prompt == "a circle ")
        #expect(model.canStart)
    }

    @Test func theButtonsAreNamedByWhatTheyDo() {
        #expect(Texts.Prompt.addLabel("red") == "Add the word red")
        #expect(Texts.Prompt.replace(with: "circle") == "Write “circle”")
    }

    @Test(arguments: ["", "-1", "1.5", "x", "4294967296", "99999999999999999999"])
    func whatIsNoSeedIsRefused(seed: String) throws {
        let model = try model()
        model.useExample()
        model.seedText = seed
        #expect(model.refusal == .seed(seed))
        #expect(
            model.refusal.map(Texts.Prompt.refusal)
                == "“\(seed)” is no seed. Write a whole number from 0 to 4294967295.")
        #expect(!model.canStart)
    }

    @Test func aSeedThatIsDrawnIsOne() throws {
        let model = try model()
        model.useExample()
        for _ in 0..<20 {
            model.drawSeed()
            #expect(model.seed != nil && model.canStart)
        }
        model.seedText = "4294967295"
        #expect(model.seed == 4_294_967_295)
    }

    @Test func whatWillNotFitIsRefusedBeforehandInPlainWords() throws {
        let model = try model(TestExport(neededBytes: 2_520_000_000), limitBytes: 1_400_000_000)
        model.useExample()
        let refusal = try #require(model.refusal)
        #expect(refusal == .tooLarge(neededBytes: 2_520_000_000, limitBytes: 1_400_000_000))
        let text = Texts.Prompt.refusal(refusal)
        #expect(
            text.hasPrefix("This will not fit: it needs up to 2.52 GB of memory, and iOS ends this app at 1.40 GB."))
        #expect(text.contains("smaller budget"))
        model.start()
        #expect(model.state == .writing && engine.asked == [])
    }

    @Test func whatIsDamagedIsRefused() throws {
        let model = GenerationModel(
            try TestExport().entry(problems: ["b0: is missing"]), engine: engine, turn: Turn(), limitBytes: nil)
        model.useExample()
        #expect(model.refusal == .unusable)
        #expect(model.refusal.map(Texts.Prompt.refusal)?.contains("the list of models says why") == true)
    }

    @Test func withoutATokenizerNothingIsOffered() throws {
        let model = try model(TestExport(tokenizer: ""))
        #expect(model.promptState == nil && model.offeredWords == [] && model.refusal == .unusable)
        model.useExample()
        model.add(word: "a")
        model.takeSuggestion()
        #expect(model.prompt == "")
    }
}
