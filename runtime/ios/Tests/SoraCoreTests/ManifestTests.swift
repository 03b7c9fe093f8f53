import Foundation
import Testing

@testable import SoraCore

private let checksum = String(repeating: "a", count: 64)

/// Of an export of one component with one block, whose package and constant a test may write.
let manifestJSON = """
    {"format": "ondevice-sora-export-2", "complete": true, "model": "small", "model_name": "Small",
     "plan": {"name": "toy"}, "plan_sha256": "\(checksum)", "weights": {"description": "drawn", "seed": 7},
     "made_with": "a test", "text_tokens": 8, "encoder_tokens": 12,
     "sampling": {"timesteps": [1000.0, 500], "time_scale": 1000, "guidance": 7.0, "fps": 24, "batch": 2,
      "latent_channels": 4, "latent_shape": [4, 5, 8, 8], "solver": "ab2"},
     "decoding": {"num_frames": 17, "height": 64, "width": 64, "chunk_latent_frames": 5, "chunk_frames": [17],
      "batch_frames": 4},
     "no_caption": {"file": "no_caption.bin", "shape": [2, 3], "checksum": "\(checksum)"},
     "tokenizer": {"file": "tokenizer.json", "checksum": "\(checksum)"},
     "components": [{"name": "denoiser", "passes": "steps", "reads": ["latent"], "writes": ["velocity"]},
      {"name": "decoder", "passes": 1, "reads": ["latent"], "writes": ["images"]}],
     "blocks": [{"component": "denoiser", "number": 0, "first_unit": "input", "last_unit": "final",
      "precision": "float32", "compute_units": "cpu_and_gpu", "source": "\(checksum)",
      "packages": [{"file": "denoiser.000.mlpackage", "num_bytes": 9, "checksum": "\(checksum)"}],
      "functions": [{"kind": "plain", "package": "denoiser.000.mlpackage", "function": "main",
       "inputs": [{"feature": "latent", "tensor": "latent", "dtype": "float32", "shape": [2, 4, 5, 8, 8]}],
       "outputs": [{"feature": "velocity", "tensor": "velocity", "dtype": "float16", "shape": [2, 8, 5, 8, 8]}]}]}],
     "origin": {"sizes": [1, 2.5, null]}}
    """

@Suite("A manifest is read strictly")
struct ManifestTests {
    @Test func whatIsReadIsWhatStandsThere() throws {
        let manifest = try Manifest.read(Array(manifestJSON.utf8), file: "manifest.json")
        #expect(manifest.modelName == "Small")
        #expect(manifest.sampling.timesteps == [1000, 500])
        #expect(manifest.sampling.solver == .ab2)
        #expect(manifest.components.map(\.passes) == [.steps, .count(1)])
        #expect(manifest.blocks[0].name == "input..final")
        #expect(manifest.blocks[0].function(.plain)?.outputs[0].type == .float16)
        #expect(manifest.blocks[0].function(.tdtm) == nil)
        #expect(manifest.tokenizer?.file == "tokenizer.json")
        #expect(manifest.block(component: "denoiser", number: 1) == nil)
    }

    @Test(arguments: [
        ("export-2", "export-1", "format 'ondevice-sora-export-1' is not"),
        ("\"made_with\": \"a test\",", "", "the key 'made_with' is missing"),
        ("\"seed\": 7", "\"seed\": -7", "weights.seed: expected a whole number from 0"),
        ("\"seed\": 7", "\"seed\": 7, \"path\": \"/home\"", "weights.path: this key is not known"),
        ("\"plan\": {\"name\": \"toy\"}", "\"plan\": 1", "plan: expected an object"),
        ("\"text_tokens\": 8", "\"text_tokens\": 0", "text_tokens: expected a whole number from 1"),
        ("\"time_scale\": 1000", "\"time_scale\": 0", "sampling.time_scale: expected a number above 0"),
        ("[1000.0, 500]", "[]", "sampling.timesteps: expected a list of 1"),
        ("\"batch\": 2", "\"batch\": 3", "sampling.batch: expected a whole number from 1 to 2"),
        ("\"ab2\"", "\"heun\"", "sampling.solver: no such solver"),
        ("[4, 5, 8, 8]", "[4, 5, 8]", "sampling.latent_shape: expected a list of 4"),
        ("\"no_caption.bin\"", "\"../no_caption.bin\"", "no_caption.file: expected the name of a .bin"),
        ("[2, 3]", "[1000000000, 1000000000, 1000000000]", "no_caption.shape: more values than can be held"),
        ("\"tokenizer.json\"", "\"/etc/passwd\"", "tokenizer.file: expected 'tokenizer.json'"),
        ("\"passes\": \"steps\"", "\"passes\": \"all\"", "components[0].passes: expected a whole number"),
        ("\"passes\": 1", "\"passes\": 0", "components[1].passes: expected a whole number from 1"),
        (
            "\"component\": \"denoiser\"", "\"component\": \"painter\"",
            "blocks[0].component: 'painter' is none of the components"
        ),
        ("\"precision\": \"float32\"", "\"precision\": \"float8\"", "blocks[0].precision: no such precision"),
        ("\"compute_units\": \"cpu_and_gpu\"", "\"compute_units\": \"gpu\"", "blocks[0].compute_units: expected"),
        ("\"kind\": \"plain\"", "\"kind\": \"tail\"", "blocks[0].functions: one function of each kind is needed"),
        (
            "\"kind\": \"plain\", \"package\": \"denoiser.000", "\"kind\": \"plain\", \"package\": \"denoiser.001",
            "blocks[0].functions[0].package: 'denoiser.001.mlpackage' is none of the block's packages"
        ),
        ("\"dtype\": \"float32\"", "\"dtype\": \"int8\"", "inputs[0].dtype: expected one of float32, float16, int32"),
    ])
    func oneThingWrong(before: String, after: String, words: String) {
        #expect(manifestJSON.contains(before))
        let error = #expect(throws: DocumentError.self) {
            try Manifest.read(Array(manifestJSON.replacingFirst(before, with: after).utf8), file: "manifest.json")
        }
        #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }

    @Test func aTokenizerMayBeMissing() throws {
        let json = manifestJSON.replacingFirst(
            "{\"file\": \"tokenizer.json\", \"checksum\": \"\(checksum)\"}", with: "null")
        #expect(try Manifest.read(Array(json.utf8), file: "m").tokenizer == nil)
    }
}
