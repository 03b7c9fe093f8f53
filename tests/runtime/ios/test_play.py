"""`sora play` makes PyTorch's video out of an export, by the stand-in for Core ML and the reference executor."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("coremltools")
pytest.importorskip("imageio")

from worlds import swift
from worlds.toy_exports import TOKENS, ToyExport, toy_export

from ondevice_sora.commands.main import main
from ondevice_sora.records.trace import Trace, read_trace, write_trace
from ondevice_sora.runtime.coreml.export.exported import Export
from ondevice_sora.runtime.sampling.pictures import contact_sheet, enlarged
from ondevice_sora.simulator.prepare import described_as, load_inputs
from ondevice_sora.simulator.scheduled import to_play

if TYPE_CHECKING:
    from worlds.exports import Exported

pytestmark = [
    swift.needs_swift,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Core ML itself is there, not its stand-in"),
]

SEED = 3
LIKE_TORCH_DB = {"float32": 70.0, "float16": 55.0}
SLACK = 0.05
"""By how much more than a schedule's need may be held: tensors between blocks, and what an allocator keeps."""
TINY = 1_000_000
"""By what bytes are divided where memory is not what a test is about."""
TRAITS = ("padded", "float16", "ignores-backings", "read-only", "pooled", "refuses-main")


@dataclass(frozen=True)
class Playing:
    """What `sora play` has done, in its folder; `log` is what the stand-in has seen."""

    folder: Path
    done: subprocess.CompletedProcess[str]

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "log").read_text().splitlines()]

    def frames(self) -> NDArray[np.uint8]:
        """[frames, rows, columns, 3]."""
        assert self.done.returncode == 0, self.done.stderr
        return frames_of(self.folder / "out" / "video.avi")


def frames_of(path: Path) -> NDArray[np.uint8]:
    """Of an AVI with uncompressed images: rows from below, blue first, each row filled up to four bytes."""
    data = path.read_bytes()
    head = data.index(b"strf") + 8
    width, height = struct.unpack_from("<ii", data, head + 4)
    row = -(-width * 3 // 4) * 4
    frames = []
    at = data.index(b"movi") + 4
    while data[at : at + 4] == b"00db":
        image = np.frombuffer(data, np.uint8, row * height, at + 8).reshape(height, row)
        frames.append(image[::-1, : width * 3].reshape(height, width, 3)[:, :, ::-1])
        at += 8 + row * height
    return np.stack(frames)


def play(export: Path, folder: Path, *, behaviour: str = "", env: Mapping[str, str] | None = None) -> Playing:
    """Plays the tokens that Exported.torch_frames takes, into `folder`/out."""
    from worlds.exports import IDS, MASK

    tokens = folder / "tokens.json"
    record = {"format": "ondevice-sora-tokens-1", "input_ids": IDS[0].tolist(), "attention_mask": MASK[0].tolist()}
    tokens.write_text(json.dumps(record))
    return played(export, folder, tokens, behaviour, {"SORA_STANDIN_COMMAND": swift.SERVING, **(env or {})})


def played(export: Path, folder: Path, tokens: Path, behaviour: str, env: Mapping[str, str]) -> Playing:
    settings = {
        "SORA_STANDIN_BEHAVIOUR": behaviour, "SORA_STANDIN_LOG": str(folder / "log"),
        "XDG_DATA_HOME": str(folder / "support"), **env,
    }  # fmt: skip
    done = swift.ran("play", export, "--tokens", tokens, "--seed", str(SEED), "-o", folder / "out", env=settings)
    return Playing(folder, done)


def psnr_db(found: NDArray[np.uint8], wanted: NDArray[np.uint8]) -> float:
    assert found.shape == wanted.shape
    assert wanted.std() > 10, "a picture, not a grey area"
    error = np.mean((found.astype(float) - wanted) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-12)))


def variant(exported: Exported, folder: Path, more: str, merged: str = "[1]", denoiser: str = "float32") -> Exported:
    """The same weights by another plan; blocks that stay the same are not converted again."""
    from worlds.exports import export

    shutil.copytree(exported.directory, folder / "out", dirs_exist_ok=True)
    return export(exported.weights, folder, "float32", denoiser, merged, more)


@pytest.fixture(scope="module")
def small(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> Playing:
    """The export in float32, TDTM at its second step, played with all that Core ML may do."""
    return play(exported.directory, tmp_path_factory.mktemp("play"))


def test_in_float32_the_video_is_pytorchs(small: Playing, exported: Exported) -> None:
    assert psnr_db(small.frames(), exported.torch_frames(SEED)) >= LIKE_TORCH_DB["float32"]


def test_in_float16_the_video_is_nearly_pytorchs(exported_small: Exported, tmp_path: Path) -> None:
    playing = play(exported_small.directory, tmp_path)
    assert psnr_db(playing.frames(), exported_small.torch_frames(SEED)) >= LIKE_TORCH_DB["float16"]


def test_no_tensor_is_copied_between_blocks(small: Playing, exported: Exported) -> None:
    """What a block has made goes into the next as it came; only what goes into a component is memory of ours."""
    manifest = json.loads((exported.directory / "manifest.json").read_text())
    reads = {each["name"]: set(each["reads"]) for each in manifest["components"]}
    tensors = {
        (function["package"], function["function"], each["feature"]): (block["component"], each["tensor"])
        for block in manifest["blocks"] for function in block["functions"] for each in function["inputs"]
    }  # fmt: skip
    runs = [event for event in small.log if event["event"] == "run"]
    assert len(runs) == len(json.loads((exported.directory / "schedule.json").read_text())["visits"])
    for run in runs:
        for feature, origin in run["inputs"].items():
            component, tensor = tensors[run["package"], run["function"], feature]
            assert origin == ("wrapped" if tensor in reads[component] else "returned"), (run["package"], feature)
    passes = {"text_encoder": 1, "denoiser": 3, "decoder.temporal": 3, "decoder.spatial": 1}
    assert runs[-1]["arrays_read"] >= len(passes)
    assert runs[-1]["arrays_read"] <= len(json.loads((exported.directory / "schedule.json").read_text())["passes"])


def test_in_the_end_nothing_is_held(small: Playing) -> None:
    last = small.log[-1]
    assert (last["event"], last["models"], last["array_bytes"], last["handed_out_without_pool"]) == ("end", 0, 0, 0)


def test_its_trace_stands_in_one_report_beside_the_simulated_one(
    small: Playing, exported: Exported, tmp_path: Path
) -> None:
    export = Export.open(exported.directory)
    described = described_as(export.plan, export.architecture)
    outcome = to_play(export.plan, described, load_inputs(export.loaded)[1]).play()
    trace = Trace("simulated", export.plan.name, "iPhone 15 Pro", "small", outcome.spans, outcome.memory, 3_300_000_000)
    write_trace(trace, tmp_path / "simulated.json")
    measured, page = small.folder / "out" / "trace.json", tmp_path / "both.html"
    assert main(["report", str(tmp_path / "simulated.json"), str(measured), "-o", str(page)]) == 0
    names = [[(s.component, s.step, s.block) for s in each.spans if s.action == "run"] for each in
             (trace, read_trace(measured))]  # fmt: skip
    assert names[0] == names[1]
    assert "tiny" in page.read_text()


@pytest.mark.parametrize("prompt", ["red circle", "a blu dog", "circle moving up and square moving up", " "])
def test_what_run_refuses_play_refuses_in_the_same_words(
    prompt: str, exported: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(exported.directory), prompt, "-o", str(tmp_path / "v.mp4")]) == 2
    in_python = ". ".join(capsys.readouterr().err.splitlines())
    done = swift.ran("play", exported.directory, prompt, "-o", tmp_path / "out")
    assert (done.returncode, done.stderr.strip()) == (2, in_python)
    assert not (tmp_path / "out").exists()


def test_what_python_says_of_a_package_is_told(exported: Exported, tmp_path: Path) -> None:
    """A weight file that is cut in its blobs' heads keeps its size: the executor finds it."""
    folder = Path(shutil.copytree(exported.directory, tmp_path / "export"))
    weights = next((folder / "denoiser.001.mlpackage").rglob("weight.bin"))
    weights.write_bytes(bytes(weights.stat().st_size))
    playing = play(folder, tmp_path)
    assert playing.done.returncode == 2
    assert "denoiser.001.mlpackage" in playing.done.stderr
    assert "weight.bin" in playing.done.stderr
    assert "Traceback" not in playing.done.stderr


# Compiled models


def toy_played(export: ToyExport, folder: Path, behaviour: str = "") -> Playing:
    tokens = folder / "tokens.json"
    record = {"format": "ondevice-sora-tokens-1", "input_ids": [1] * TOKENS, "attention_mask": [1] * TOKENS}
    tokens.write_text(json.dumps(record))
    return played(export.directory, folder, tokens, behaviour, {})


def test_models_compiled_beforehand_are_taken_and_packages_are_not_needed(tmp_path: Path) -> None:
    export = toy_export(tmp_path / "export", "ours-192", TINY)
    packages = sorted(path.name for path in export.directory.glob("*.mlpackage"))
    for expected in (f"Compiled {len(packages)} models into ", "Nothing to do: every model is compiled"):
        done = swift.ran("compile", export.directory)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[-1].startswith(expected)
    found = sorted(path.name.rpartition("-")[0] for path in (export.directory / "compiled").glob("*.mlmodelc"))
    assert found == [name.removesuffix(".mlpackage") for name in packages]
    for name in packages[1:]:
        shutil.rmtree(export.directory / name)
    assert swift.ran("inspect", export.directory).returncode == 0
    assert toy_played(export, tmp_path).done.returncode == 0
    assert not (tmp_path / "support").exists(), "nothing had to be compiled"
    (export.directory / packages[0] / "more").write_text("altered")
    assert "is not as it was exported (size)" in toy_played(export, tmp_path).done.stderr


def test_without_the_package_and_its_compiled_model_the_package_is_missed(tmp_path: Path) -> None:
    export = toy_export(tmp_path / "export", "ours-192", TINY)
    shutil.rmtree(export.directory / "denoiser.003.mlpackage")
    playing = toy_played(export, tmp_path)
    assert playing.done.returncode == 2
    assert "denoiser.003.mlpackage: is missing" in playing.done.stderr


@pytest.mark.parametrize("arguments", [(), ("a", "b"), ("a", "-o"), ("a", "--loud")])
def test_compile_says_what_it_takes(arguments: tuple[str, ...]) -> None:
    done = swift.ran("compile", *arguments)
    assert done.returncode == 2
    assert "usage: sora inspect EXPORT" in done.stderr


# Memory


def check_memory(export: ToyExport, folder: Path) -> None:
    playing = toy_played(export, folder)
    assert playing.done.returncode == 0, playing.done.stderr
    log = playing.log
    assert sum(event["event"] == "run" for event in log) == export.num_visits
    held = [event["anonymous_bytes"] - log[0]["anonymous_bytes"] for event in log]
    need = export.needed_bytes - export.baseline_bytes
    assert max(held) <= need * (1 + SLACK)
    assert max(held) >= need / 2, "memory was really taken; how much at once depends on what goes on beside what"
    assert held[-1] <= need * SLACK
    assert (log[-1]["models"], log[-1]["array_bytes"]) == (0, 0)


def test_no_more_memory_is_held_than_the_schedule_needs_and_it_is_given_back(tmp_path: Path) -> None:
    """28 blocks of the denoiser, 30 steps, each number of bytes a fortieth of the full width's."""
    check_memory(toy_export(tmp_path / "export", "ours-192", 40), tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize("plan", ["ours-192", "app-192"])
def test_of_a_tenth_of_the_full_width_no_more_is_held_than_the_schedule_needs(plan: str, tmp_path: Path) -> None:
    check_memory(toy_export(tmp_path / "export", plan, 10), tmp_path)


# What goes wrong

FAULTS = {
    "slow-load=denoiser.003": None,
    "failing-load-once=denoiser.003": None,
    "failing-compile=denoiser.003": "Core ML does not compile it: Failed to compile denoiser.003.mlpackage",
    "failing-load=denoiser.003": "Core ML does not load it: Failed to build the model execution plan",
    "failing-run=denoiser.003": "Core ML does not run it: Unable to compute the prediction",
    "failing-run-once=denoiser.003": "Core ML does not run it: Unable to compute the prediction",
    "missing-output=denoiser.003": "Core ML returns no output 'hidden_out'",
    "other-name=denoiser.003": "Core ML returns no output 'hidden_out'",
    "other-shape=denoiser.003": "Core ML returns output 'hidden_out' as float32 [2, 16, 9]; the manifest has float32",
    "other-type=denoiser.003": "Core ML returns output 'hidden_out' as values of type",
    "other-description=denoiser.003": "input 'hidden' is float32 [2, 16, 8, 7]; the manifest has float32 [2, 16, 8]",
}


@pytest.mark.parametrize("behaviour", FAULTS)
def test_a_fault_ends_in_a_video_or_in_one_line_that_names_the_block(behaviour: str, tmp_path: Path) -> None:
    export = toy_export(tmp_path / "export", "ours-192", TINY)
    assert (
        swift.ran("compile", export.directory, "-o", tmp_path / "support" / "ondevice-sora" / "compiled").returncode
        == 0
    )
    if "compile" in behaviour:
        shutil.rmtree(tmp_path / "support")
    playing = toy_played(export, tmp_path, behaviour)
    told = FAULTS[behaviour]
    assert (playing.done.returncode == 0) == (told is None), playing.done.stderr
    assert (tmp_path / "out" / "video.avi").exists() == (told is None)
    if told is not None:
        (error,) = [line for line in playing.done.stderr.splitlines() if line.startswith("error: ")]
        assert told in error and "denoiser.003" in error
        assert re.match(r"error: (loading |running )?block '[^']+' of denoiser(, step 0 failed)?: ", error)
        assert not playing.log or playing.log[-1]["models"] == 0


def test_of_what_broke_off_report_opens_the_trace(tmp_path: Path) -> None:
    export = toy_export(tmp_path / "export", "ours-192", TINY)
    playing = toy_played(export, tmp_path, "failing-run=denoiser.003")
    trace, page = tmp_path / "out" / "broken-off.trace.json", tmp_path / "page.html"
    assert f"Wrote {trace}" in playing.done.stderr
    read = read_trace(trace)
    assert read.conditions["broke off"] in playing.done.stderr
    assert read.spans[-1].component == "denoiser"
    assert main(["report", str(trace), "-o", str(page)]) == 0


# Other plans, and each trait alone


@pytest.mark.exhaustive
@pytest.mark.parametrize("trait", [*TRAITS, "all"])
def test_without_one_trait_the_video_is_pytorchs(trait: str, exported: Exported, tmp_path: Path) -> None:
    behaviour = ",".join(f"no-{each}" for each in TRAITS if trait in (each, "all"))
    playing = play(exported.directory, tmp_path, behaviour=behaviour)
    assert psnr_db(playing.frames(), exported.torch_frames(SEED)) >= LIKE_TORCH_DB["float32"]


def test_with_a_fixed_leap_the_video_is_pytorchs(exported: Exported, tmp_path: Path) -> None:
    leaping = variant(exported, tmp_path, "lpl: {mode: fixed, leap_step: 1}\n")
    playing = play(leaping.directory, tmp_path)
    assert psnr_db(playing.frames(), leaping.torch_frames(SEED)) >= LIKE_TORCH_DB["float32"]
    assert json.loads((tmp_path / "out" / "played.json").read_text())["leap_step"] == 1


def test_branches_in_turn_make_pytorchs_video(exported: Exported, tmp_path: Path) -> None:
    turning = variant(exported, tmp_path, "sampler: {steps: 3, guidance: 4.0, branches: in_turn}\n")
    playing = play(turning.directory, tmp_path)
    assert psnr_db(playing.frames(), turning.torch_frames(SEED)) >= LIKE_TORCH_DB["float32"]


SHIPPED = {
    "plain": "",
    "fixed": "lpl: {mode: fixed, leap_step: 17}",
    "dynamic": "lpl: {mode: dynamic, rule: curvature, accepted_error: 0.1}\n"
    "tdtm: {steps: {first: 15}, packages: separate}",
    "shared": "tdtm: {steps: {first: 15}, packages: shared}",
    "blocks": "components: {denoiser: {blocks: {units_per_block: 3}, prefetch: 2, keep: 1}, decoder: {blocks: unit}}",
    "resident": "components: {denoiser: {blocks: unit, prefetch: 1, keep: always}}",
    "float16": "components: {denoiser: {precision: float16}, decoder: {precision: float16}}",
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_model_makes_pytorchs_video(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole, leaping, merging in packages apart and shared, in pieces with windows and residents, and in float16."""
    from imageio import v3

    monkeypatch.chdir(tmp_path)
    Path("plan.yaml").write_text(
        f"name: shipped\nmodel: small\nsampler: {{steps: 30, guidance: 2.5}}\n{SHIPPED[name]}\n"
    )
    assert main(["export", "--plan", "plan.yaml", "-o", "exported"]) == 0
    assert main(["schedule", "exported"]) == 0
    prompt = "a red circle moving left"
    settings = {"SORA_STANDIN_COMMAND": swift.SERVING, "XDG_DATA_HOME": str(tmp_path / "support")}
    done = swift.ran("play", "exported", prompt, "--seed", str(SEED), "-o", "out", env=settings)
    assert done.returncode == 0, done.stderr
    assert main(["generate", prompt, "--plan", "plan.yaml", "--seed", str(SEED), "-o", "torch.mp4"]) == 0
    record = json.loads(Path("torch.json").read_text())
    assert json.loads(Path("out/played.json").read_text())["leap_step"] == record["leap_step"]
    frames = frames_of(Path("out/video.avi"))
    sheet = v3.imread("torch.png")
    found = contact_sheet(frames)
    found = enlarged(found[None], sheet.shape[0] // found.shape[0])[0]
    assert psnr_db(found, sheet) >= LIKE_TORCH_DB["float16" if name == "float16" else "float32"]
