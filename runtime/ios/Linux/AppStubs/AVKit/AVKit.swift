@_exported import AVFoundation
import SwiftUI

public struct VideoPlayer<VideoOverlay: View>: StubView {}
extension VideoPlayer where VideoOverlay == EmptyView {
    public init(player: AVPlayer?) { stub() }
}
