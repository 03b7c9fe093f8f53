import SoraModels
import SwiftUI

/// The exports on this device.
struct LibraryView: View {
    let model: AppModel

    var body: some View {
        NavigationStack {
            List {
                if let notice = model.notice {
                    MessageSection(
                        symbol: "bolt.trianglebadge.exclamationmark", title: notice.title, message: notice.message,
                        advice: notice.advice, spoken: notice.accessibilityLabel,
                        button: Texts.Ended.putAway
                    ) { model.putNoticeAway() }
                }
                Section {
                    ForEach(model.library.entries) { entry in
                        if let screen = model.screen(entry.id), entry.playable != nil {
                            NavigationLink(value: screen.id) { LibraryRowView(row: LibraryRow(entry)) }
                        } else {
                            LibraryRowView(row: LibraryRow(entry))
                        }
                    }
                } footer: {
                    if model.library.state != .empty { Text(model.library.footnote) }
                }
            }
            .overlay {
                if model.library.state == .empty {
                    ContentUnavailableView(
                        Texts.Library.empty, systemImage: "shippingbox", description: Text(model.library.footnote))
                }
            }
            .navigationTitle(Texts.Library.title)
            .navigationDestination(for: LibraryEntry.ID.self) { id in
                if let screen = model.screen(id) {
                    GenerationView(model: screen.generation, profiling: screen.profiling)
                }
            }
            .toolbar {
                ToolbarItem(placement: .primaryAction) {
                    Menu {
                        Button(Texts.Library.refresh, systemImage: "arrow.clockwise") { look(readingAll: false) }
                        Button(Texts.Library.readAll, systemImage: "checkmark.seal") { look(readingAll: true) }
                        if model.canRemoveLeftovers {
                            Button(
                                Texts.Library.removeLeftovers(model.leftoverBytes), systemImage: "trash",
                                role: .destructive
                            ) { Task { await model.removeLeftovers() } }
                        }
                    } label: {
                        Label(Texts.Library.menu, systemImage: "ellipsis.circle")
                    }
                    .disabled(model.library.isLooking)
                }
            }
            .refreshable { await model.refresh() }
            .task { await model.refresh() }
        }
    }

    private func look(readingAll: Bool) {
        Task { await model.refresh(readingAll: readingAll) }
    }
}

/// An export in the list.
struct LibraryRowView: View {
    let row: LibraryRow

    var body: some View {
        VStack(alignment: .leading, spacing: 4) {
            Text(row.title).font(.headline)
            if !row.subtitle.isEmpty { Text(row.subtitle).font(.subheadline).foregroundStyle(.secondary) }
            Label(row.status, systemImage: row.tone.symbol).font(.footnote).foregroundStyle(row.tone.colour)
            ForEach(row.problems, id: \.self) { problem in
                Text(problem).font(.caption).foregroundStyle(.secondary)
            }
        }
        .accessibilityElement(children: .ignore)
        .accessibilityLabel(row.accessibilityLabel)
    }
}

extension LibraryRow.Tone {
    /// A shape beside the colour, for those who do not tell colours apart.
    var symbol: String {
        switch self {
        case .good: "checkmark.circle"
        case .caution: "exclamationmark.triangle"
        case .bad: "xmark.octagon"
        }
    }

    var colour: Color {
        switch self {
        case .good: .green
        case .caution: .orange
        case .bad: .red
        }
    }
}
