import Foundation
import Testing

@testable import CoreML
@testable import SoraCore
@testable import SoraCoreML

/// All tests of this target, one after another: the stand-in is one for the process.

@Suite(.serialized) struct CoreMLTests {}

/// A folder with toys in the places of packages, and the manifest that describes them. It is removed in the end.
final class World {
    let folder: URL
    let manifest: Manifest
    /// Where compiled models are kept.
    let kept: URL

    /// Packages by name, each a block with a kind for each function. The stand-in behaves as told from now on.
    init(_ toys: [String: Toy], _ behaviour: StandIn.Behaviour = StandIn.Behaviour(), checksum: Character = "a") throws
    {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent("world-\(UUID().uuidString)")
        folder = root.appendingPathComponent("export")
        kept = root.appendingPathComponent("kept")
        for (name, toy) in toys { try toy.write(to: folder.appendingPathComponent(name)) }
        let blocks = toys.sorted { $0.key < $1.key }.enumerated().map { number, each in
            World.block(number, each.key, each.value, String(repeating: checksum, count: 64))
        }
        manifest = try Manifest.read(Array(World.document(blocks).utf8), file: "manifest.json")
        StandIn.shared.behave(behaviour)
    }

    deinit { try? FileManager.default.removeItem(at: folder.deletingLastPathComponent()) }

    func models(checksumsOf other: World? = nil, in place: URL? = nil) -> CompiledModels {
        CompiledModels((other ?? self).manifest, of: folder.path, in: (place ?? kept).path)
    }

    func backend(offersBackings: Bool = false) -> CoreMLBackend {
        CoreMLBackend(models(), offersBackings: offersBackings)
    }

    func function(_ package: String, _ name: String = "main") throws -> Manifest.Function {
        let all = manifest.blocks.flatMap(\.functions)
        return try #require(all.first { $0.package == package && $0.function == name })
    }

    private static func block(_ number: Int, _ package: String, _ toy: Toy, _ sum: String) -> String {
        func features(_ features: [Toy.Feature]) -> String {
            let rows = features.map {
                #"{"feature": "\#($0.name)", "tensor": "\#($0.name)", "dtype": "\#($0.type)", "shape": \#($0.shape)}"#
            }
            return "[\(rows.joined(separator: ", "))]"
        }
        let functions = zip(["plain", "tdtm", "tail"], toy.functions).map { kind, function in
            """
            {"kind": "\(kind)", "package": "\(package)", "function": "\(function.name)", \
            "inputs": \(features(function.inputs)), "outputs": \(features(function.outputs))}
            """
        }
        return """
            {"component": "denoiser", "number": \(number), "first_unit": "u\(number)", "last_unit": "u\(number)", \
            "precision": "float32", "compute_units": "all", "source": "\(sum)", \
            "packages": [{"file": "\(package)", "num_bytes": 2, "checksum": "\(sum)"}], \
            "functions": [\(functions.joined(separator: ", "))]}
            """
    }

    private static func document(_ blocks: [String]) -> String {
        let sum = String(repeating: "0", count: 64)
        return """
            {"format": "\(Manifest.format)", "complete": true, "model": "toy", "model_name": "toy", "plan": {},
             "plan_sha256": "\(sum)", "weights": {"description": "none", "seed": null}, "made_with": "a test",
             "text_tokens": 4, "encoder_tokens": 4,
             "sampling": {"timesteps": [1000.0], "time_scale": 1000.0, "guidance": 1.0, "fps": 8.0, "batch": 1,
                          "latent_channels": 4, "latent_shape": [4, 1, 2, 2], "solver": "euler"},
             "decoding": {"num_frames": 1, "height": 8, "width": 8, "chunk_latent_frames": 1, "chunk_frames": [1],
                          "batch_frames": 1},
             "no_caption": {"file": "no_caption.bin", "shape": [1, 1], "checksum": "\(sum)"}, "tokenizer": null,
             "components": [{"name": "denoiser", "passes": "steps", "reads": ["x"], "writes": ["y"]}],
             "blocks": [\(blocks.joined(separator: ", "))], "origin": {}}
            """
    }
}

extension Toy {
    /// One function, `x` to `y_out`, doubled and one more.
    static func doubling(
        _ shape: [Int] = [2, 3], _ type: String = "float32", output: String? = nil, function: String = "main",
        times: Double = 2
    ) -> Toy {
        Toy(functions: [
            Function(
                function, inputs: [Feature("x", type, shape)],
                outputs: [Feature("y_out", output ?? type, shape, from: "x", times: times, plus: 1)])
        ])
    }

    /// Two functions: `plain` doubles, `tdtm` trebles.
    static func twice(_ shape: [Int] = [2, 3]) -> Toy {
        Toy(functions: [
            doubling(shape, function: "plain").functions[0], doubling(shape, function: "tdtm", times: 3).functions[0],
        ])
    }
}

extension Tensor {
    /// Row by row; `released` is called when the memory is given back.
    static func dense(
        _ values: [Float], _ shape: [Int], released: @escaping () -> Void = {}
    ) -> Tensor {
        let memory = UnsafeMutableBufferPointer<Float>.allocate(capacity: values.count)
        _ = memory.initialize(from: values)
        let storage = TensorStorage(UnsafeMutableRawBufferPointer(memory)) {
            $0.deallocate()
            released()
        }
        return Tensor(shape: shape, strides: Layout.dense(shape, .float32).strides, type: .float32, storage: storage)
    }

    /// The values row by row, by shape and strides.
    var values: [Float] {
        let layout = Layout(shape: shape, strides: strides, type: type.ofCoreML)
        let bytes = storage.bytes
        var found: [Float] = []
        layout.forEachRow { offset, _ in
            for number in 0..<(shape.last ?? 1) {
                let index = offset + number * (strides.last ?? 1)
                switch type {
                case .float32: found.append(bytes.load(fromByteOffset: index * 4, as: Float.self))
                case .float16: found.append(Float(bytes.load(fromByteOffset: index * 2, as: Float16.self)))
                case .int32: found.append(Float(bytes.load(fromByteOffset: index * 4, as: Int32.self)))
                }
            }
        }
        return found
    }
}

/// What an action says when it fails.
func failure(_ action: () throws -> Void) -> String {
    do {
        try action()
        return "nothing"
    } catch let error as CoreMLFailure {
        return error.description
    } catch {
        return (error as NSError).localizedDescription
    }
}
