// swift-tools-version: 6.0
// The phone's side of a plan: see README.md. No package from outside.
import PackageDescription

let package = Package(
    name: "Sora",
    platforms: [.iOS(.v18), .macOS(.v15)],
    products: [
        .library(name: "SoraCore", targets: ["SoraCore"]),
        .library(name: "SoraModels", targets: ["SoraModels"]),
        .executable(name: "sora", targets: ["sora"]),
    ],
    targets: [
        .target(name: "SoraCore"),
        .target(name: "SoraModels", dependencies: ["SoraCore"]),
        .executableTarget(name: "sora", dependencies: ["SoraCore"]),
        .testTarget(name: "SoraCoreTests", dependencies: ["SoraCore"]),
        .testTarget(name: "SoraModelsTests", dependencies: ["SoraModels"]),
    ],
    swiftLanguageModes: [.v6]
)
