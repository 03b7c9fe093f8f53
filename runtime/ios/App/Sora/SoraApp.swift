import SoraModels
import SwiftUI
import UIKit

@main
struct SoraApp: App {
    @UIApplicationDelegateAdaptor(AppDelegate.self) private var delegate
    @Environment(\.scenePhase) private var phase

    var body: some Scene {
        WindowGroup {
            LibraryView(model: delegate.model)
                .onChange(of: delegate.model.keepsAwake, initial: true) { _, keepsAwake in
                    UIApplication.shared.isIdleTimerDisabled = keepsAwake
                }
                .onChange(of: phase) { _, phase in
                    switch phase {
                    case .active: delegate.model.enterForeground()
                    case .background: delegate.model.enterBackground()
                    default: break
                    }
                }
        }
    }
}

/// Holds the model for as long as the app lives, and hands on what only a delegate is told.
final class AppDelegate: NSObject, UIApplicationDelegate {
    let model = AppModel(Live.world())

    func applicationDidReceiveMemoryWarning(_ application: UIApplication) { model.memoryWarning() }
}
