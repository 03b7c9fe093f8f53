import SoraCore
import SoraModels
import SwiftUI

/// One export: a prompt becomes a video.
struct GenerationView: View {
    @Bindable var model: GenerationModel
    let profiling: ProfilingModel

    var body: some View {
        List {
            switch model.state {
            case .writing: PromptSections(model: model)
            case .running, .paused, .cancelling: RunSections(model: model)
            case .finished(let video): FinishedSections(model: model, video: video)
            case .failed(let failure):
                MessageSection(
                    symbol: "xmark.octagon", title: failure.title, message: failure.message, advice: failure.advice,
                    spoken: failure.accessibilityLabel, button: Texts.Failure.back
                ) { model.writeAgain() }
                if let trace = failure.trace {
                    Section {
                        ShareLink(item: URL(fileURLWithPath: trace)) {
                            Label(Texts.Finished.shareTrace, systemImage: "chart.bar.xaxis")
                        }
                    } footer: {
                        Text(Texts.Failure.traceHint)
                    }
                }
            }
        }
        .scrollDismissesKeyboard(.immediately)
        .navigationTitle(model.entry.name)
        .toolbar {
            ToolbarItem(placement: .primaryAction) {
                NavigationLink {
                    DetailsView(entry: model.entry, profiling: profiling)
                } label: {
                    Label(Texts.Library.details, systemImage: "info.circle")
                }
            }
        }
    }
}

/// Prompt and seed, and why it cannot begin.
struct PromptSections: View {
    @Bindable var model: GenerationModel

    var body: some View {
        Section {
            TextField(Texts.Prompt.placeholder, text: $model.prompt, axis: .vertical)
                .lineLimit(2...6)
                .textInputAutocapitalization(.never)
                .autocorrectionDisabled()
                .accessibilityLabel(Texts.Prompt.title)
            if let state = model.promptState {
                Text(state.hint).font(.footnote).foregroundStyle(state.isGood ? Color.secondary : Color.orange)
                switch state {
                case .empty: Button(Texts.Prompt.useExample) { model.useExample() }
                case .refused(_, let suggestion?):
                    Button(Texts.Prompt.replace(with: suggestion)) { model.takeSuggestion() }
                case .good, .tooLong, .refused(_, nil): EmptyView()
                }
            }
        } header: {
            Text(Texts.Prompt.title)
        }
        if !model.offeredWords.isEmpty {
            Section {
                ScrollView(.horizontal) {
                    HStack {
                        ForEach(model.offeredWords, id: \.self) { word in
                            Button(word) { model.add(word: word) }
                                .buttonStyle(.bordered)
                                .accessibilityLabel(Texts.Prompt.addLabel(word))
                        }
                    }
                }
            } header: {
                Text(Texts.Prompt.words)
            }
        }
        Section {
            HStack {
                TextField(Texts.Prompt.seed, text: $model.seedText)
                    .keyboardType(.numberPad)
                    .monospacedDigit()
                    .accessibilityLabel(Texts.Prompt.seed)
                Button(Texts.Prompt.drawSeed, systemImage: "dice") { model.drawSeed() }
                    .labelStyle(.iconOnly)
                    .buttonStyle(.borderless)
            }
        } header: {
            Text(Texts.Prompt.seed)
        } footer: {
            Text(Texts.Prompt.seedHint)
        }
        Section {
            Toggle(Texts.Prompt.saveMemory, isOn: $model.savesMemory)
        } footer: {
            Text(Texts.Prompt.saveMemoryHint)
        }
        Section {
            Button(Texts.Prompt.start, systemImage: "play.fill") { model.start() }.disabled(!model.canStart)
        } footer: {
            if let refusal = model.refusal { Text(Texts.Prompt.refusal(refusal)) }
        }
    }
}
