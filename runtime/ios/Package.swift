// swift-tools-version: 6.0
// The phone's side of a plan: see README.md. No package from outside.
import PackageDescription

var targets: [Target] = [
    .target(name: "SoraCore"),
    .target(name: "SoraModels", dependencies: ["SoraCore"]),
    .executableTarget(name: "sora", dependencies: ["SoraCore", "SoraCoreML"]),
    .testTarget(name: "SoraCoreTests", dependencies: ["SoraCore", "sora", "ToyBlocks", "toy-harness"]),
    // Blocks that take nothing, for tests; and a program that measures them, which tests end at any moment.
    .target(name: "ToyBlocks", dependencies: ["SoraCore"], path: "Tests/ToyBlocks"),
    .executableTarget(name: "toy-harness", dependencies: ["SoraCore", "ToyBlocks"], path: "Tests/ToyHarness"),
    .testTarget(name: "SoraModelsTests", dependencies: ["SoraModels", "ToyBlocks"]),
]

// Core ML's classes are not Sendable, so who calls it cannot be in Swift 6 mode.
let swift5: [SwiftSetting] = [.swiftLanguageMode(.v5)]
#if os(Linux)
    // A stand-in for Core ML, and tests that set how it behaves.
    let coreML: [Target.Dependency] = ["CoreML"]
    targets += [
        .target(name: "CoreML", path: "Linux/CoreML", swiftSettings: swift5),
        .testTarget(
            name: "SoraCoreMLTests", dependencies: ["SoraCore", "SoraCoreML", "CoreML"], swiftSettings: swift5),
    ]
#else
    let coreML: [Target.Dependency] = []
#endif
targets.append(.target(name: "SoraCoreML", dependencies: ["SoraCore"] + coreML, swiftSettings: swift5))

let package = Package(
    name: "SoraRuntime",  // not as the app: Xcode names its folders of intermediate files after both
    platforms: [.iOS(.v18), .macOS(.v15)],
    products: [
        .library(name: "SoraCore", targets: ["SoraCore"]),
        .library(name: "SoraCoreML", targets: ["SoraCoreML"]),
        .library(name: "SoraModels", targets: ["SoraModels"]),
        .executable(name: "sora", targets: ["sora"]),
    ],
    targets: targets,
    swiftLanguageModes: [.v6]
)
