import SoraModels
import SwiftUI
import UIKit

@main
struct SoraApp: App {
    @UIApplicationDelegateAdaptor(AppDelegate.self) private var delegate

    var body: some Scene {
        WindowGroup { RootView(model: delegate.model) }
    }
}

/// Tells the model whether the app is in front, and the system whether the screen is to stay on. A view of its own: what
/// it reads of the model is followed, which is not promised of an App's body.
struct RootView: View {
    let model: AppModel
    @Environment(\.scenePhase) private var phase

    var body: some View {
        LibraryView(model: model)
            .onChange(of: model.keepsAwake, initial: true) { _, keepsAwake in
                UIApplication.shared.isIdleTimerDisabled = keepsAwake
            }
            .onChange(of: phase) { _, phase in
                switch phase {
                case .active: model.enterForeground()
                case .background: model.enterBackground()
                default: break
                }
            }
    }
}

/// Holds the model for as long as the app lives, and hands on what only a delegate is told.
final class AppDelegate: NSObject, UIApplicationDelegate {
    let model = AppModel(Live.world())

    func applicationDidReceiveMemoryWarning(_ application: UIApplication) { model.memoryWarning() }
}
