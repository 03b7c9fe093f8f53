import SoraModels
import SwiftUI

/// What each block of an export costs on this device, measured.
struct ProfilingView: View {
    let model: ProfilingModel

    var body: some View {
        let texts = ProfilingTexts(model)
        List {
            Section {
                VStack(alignment: .leading, spacing: 8) {
                    Text(texts.headline).font(.headline)
                    ProgressView(value: model.fraction)
                    Text(texts.detail).font(.footnote).foregroundStyle(.secondary)
                    if !texts.memory.isEmpty { Text(texts.memory).font(.footnote).monospacedDigit() }
                }
                .accessibilityElement(children: .ignore)
                .accessibilityLabel(texts.accessibilityLabel)
            }
            Section {
                if model.isUnderWay {
                    Button(Texts.Profiling.cancel, systemImage: "stop.fill", role: .destructive) { model.cancel() }
                        .disabled(model.state == .cancelling)
                } else {
                    Button(texts.startLabel, systemImage: "play.fill") { model.start() }.disabled(!model.canStart)
                }
                if let capture = model.capture {
                    ShareLink(item: URL(fileURLWithPath: capture.path)) {
                        Label(Texts.Profiling.share, systemImage: "square.and.arrow.up")
                    }
                }
            } footer: {
                if model.isBusyElsewhere { Text(Texts.Profiling.busy) }
            }
            if !texts.misses.isEmpty {
                Section {
                    ForEach(texts.misses, id: \.self) { miss in Text(miss).font(.footnote) }
                } header: {
                    Text(Texts.Profiling.misses)
                }
            }
        }
        .navigationTitle(Texts.Profiling.title)
        .task { await model.refresh() }
    }
}
