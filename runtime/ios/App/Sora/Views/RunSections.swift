import SoraModels
import SwiftUI

/// A generation that goes on.
struct RunSections: View {
    let model: GenerationModel
    @State private var isAsking = false

    var body: some View {
        if let texts = model.runTexts, let progress = model.progress {
            Section {
                VStack(alignment: .leading, spacing: 8) {
                    Text(texts.headline).font(.headline)
                    ProgressView(value: texts.fraction)
                    Text(texts.times).font(.footnote).monospacedDigit().foregroundStyle(.secondary)
                    ForEach(texts.notes, id: \.self) { note in Text(note).font(.footnote) }
                }
                .accessibilityElement(children: .ignore)
                .accessibilityLabel(texts.accessibilityLabel)
            }
            MemorySection(memory: progress.memory)
            Section {
                if model.isPaused {
                    Button(Texts.Run.resume, systemImage: "play.fill") { model.resume() }
                } else {
                    Button(Texts.Run.pause, systemImage: "pause.fill") { model.pause() }
                        .disabled(model.state == .cancelling)
                }
                // The question belongs to the button: on a section it would belong to each of its rows.
                Button(Texts.Run.cancel, systemImage: "stop.fill", role: .destructive) { isAsking = true }
                    .disabled(model.state == .cancelling)
                    .confirmationDialog(Texts.Run.cancelQuestion, isPresented: $isAsking, titleVisibility: .visible) {
                        Button(Texts.Run.cancel, role: .destructive) { model.cancel() }
                        Button(Texts.Run.keepGoing, role: .cancel) {}
                    }
            }
            if !texts.rows.isEmpty { PassesSection(rows: texts.rows) }
        }
    }
}

/// What each pass took beside what was predicted.
struct PassesSection: View {
    let rows: [RunTexts.Row]

    var body: some View {
        Section {
            ForEach(rows) { row in
                LabeledContent(row.label) { Text(row.text).monospacedDigit() }
                    .font(.footnote)
                    .accessibilityElement(children: .ignore)
                    .accessibilityLabel(row.accessibilityLabel)
            }
        } header: {
            Text(Texts.Run.steps)
        }
    }
}

/// The footprint against the limit, and the ledger below it.
struct MemorySection: View {
    let memory: MemoryReading

    var body: some View {
        Section {
            VStack(alignment: .leading, spacing: 8) {
                Text(memory.text).monospacedDigit()
                ProgressView(value: memory.share).tint(memory.level.colour)
                ProgressView(value: memory.ledgerShare).tint(.secondary)
                Text(memory.ledgerText).font(.footnote).monospacedDigit().foregroundStyle(.secondary)
            }
            .accessibilityElement(children: .ignore)
            .accessibilityLabel(memory.accessibilityLabel)
        } header: {
            Text(Texts.Memory.title)
        }
    }
}

extension MemoryReading.Level {
    var colour: Color {
        switch self {
        case .calm: .accentColor
        case .close: .orange
        case .over: .red
        }
    }
}
