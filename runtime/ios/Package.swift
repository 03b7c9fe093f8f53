// swift-tools-version: 6.0
// The phone's side of a plan: see README.md. No package from outside.
import PackageDescription

let package = Package(
    name: "Sora",
    platforms: [.iOS(.v18), .macOS(.v15)],
    products: [
        .library(name: "SoraCore", targets: ["SoraCore"]),
        .executable(name: "sora", targets: ["sora"]),
    ],
    targets: [
        .target(name: "SoraCore"),
        .executableTarget(name: "sora", dependencies: ["SoraCore"]),
        .testTarget(name: "SoraCoreTests", dependencies: ["SoraCore", "ToyBlocks", "toy-harness"]),
        // Blocks that take nothing, for tests; and a program that measures them, which tests end at any moment.
        .target(name: "ToyBlocks", dependencies: ["SoraCore"], path: "Tests/ToyBlocks"),
        .executableTarget(name: "toy-harness", dependencies: ["SoraCore", "ToyBlocks"], path: "Tests/ToyHarness"),
    ],
    swiftLanguageModes: [.v6]
)
