import AVKit
import SoraModels
import SwiftUI

/// The video, and what it took.
struct FinishedSections: View {
    let model: GenerationModel
    let video: FinishedVideo
    @State private var player: AVPlayer?

    var body: some View {
        Section {
            VideoPlayer(player: player)
                .aspectRatio(model.aspectRatio, contentMode: .fit)
                .task(id: video.video) { player = AVPlayer(url: URL(fileURLWithPath: video.video)) }
                .accessibilityLabel(model.prompt)
            Text(model.finishedSummary)
        } header: {
            Text(Texts.Finished.title)
        } footer: {
            Text(Texts.Finished.place)
        }
        Section {
            ShareLink(item: URL(fileURLWithPath: video.video)) {
                Label(Texts.Finished.shareVideo, systemImage: "square.and.arrow.up")
            }
            ShareLink(item: URL(fileURLWithPath: video.trace)) {
                Label(Texts.Finished.shareTrace, systemImage: "chart.bar.xaxis")
            }
            Button(Texts.Finished.again, systemImage: "arrow.counterclockwise") { model.writeAgain() }
        } footer: {
            Text(Texts.Finished.traceHint)
        }
        if let texts = model.runTexts { PassesSection(rows: texts.rows) }
    }
}
