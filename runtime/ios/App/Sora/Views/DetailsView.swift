import SoraModels
import SwiftUI

/// What is known of an export, and the way to measuring its blocks.
struct DetailsView: View {
    let entry: LibraryEntry
    let profiling: ProfilingModel

    var body: some View {
        List {
            if let export = entry.playable?.export {
                Section {
                    ForEach(ExportDetails.rows(export, limitBytes: profiling.limitBytes)) { row in
                        LabeledContent(row.label, value: row.text)
                            .accessibilityElement(children: .ignore)
                            .accessibilityLabel(row.accessibilityLabel)
                    }
                }
            }
            Section {
                NavigationLink {
                    ProfilingView(model: profiling)
                } label: {
                    Label(Texts.Profiling.title, systemImage: "gauge.with.needle")
                }
            }
        }
        .navigationTitle(Texts.Library.details)
    }
}
