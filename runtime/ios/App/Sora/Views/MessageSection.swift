import SwiftUI

/// What has happened, what it means, and the way on.
struct MessageSection: View {
    let symbol: String
    let title: String
    let message: String
    let advice: String
    let spoken: String
    let button: String
    let act: @MainActor () -> Void

    var body: some View {
        Section {
            VStack(alignment: .leading, spacing: 6) {
                Label(title, systemImage: symbol).font(.headline)
                Text(message)
                Text(advice).font(.footnote).foregroundStyle(.secondary)
            }
            .accessibilityElement(children: .ignore)
            .accessibilityLabel(spoken)
            Button(button, action: act)
        }
    }
}
