"""generate: the files it leaves, what the sidecar says, and that a mistake or an interruption leaves none."""

import base64
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from imageio import v3
from imageio_ffmpeg import get_ffmpeg_exe
from worlds.pages import words
from worlds.tiny import PLAN, TEXT_CONFIG, save_tiny_model

from ondevice_sora.base.installation import how_to_install
from ondevice_sora.commands.main import main
from ondevice_sora.records.trace import read_trace
from ondevice_sora.runtime.sampling import generation
from ondevice_sora.runtime.sampling.pictures import CAPTION_PIXELS
from ondevice_sora.runtime.small import shipped

PROMPT = "a red circle moving left"


pytestmark = pytest.mark.usefixtures("planned_folder")


def plan(text):
    Path("plan.yaml").write_text(PLAN + text)


@pytest.fixture
def generate(weights):
    def generate(*arguments, prompt=PROMPT):
        try:
            return main(["generate", prompt, "--plan", "plan.yaml", "--weights", str(weights), *arguments])
        except SystemExit as stop:
            return stop.code

    return generate


def written():
    return {path.name for path in Path().iterdir()} - {"plan.yaml"}


def read_mp4(path):
    """Width, height, frames a second and number of frames, as ffmpeg reads them."""
    command = [get_ffmpeg_exe(), "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    told = re.search(r"Video: h264.*?, (\d+)x(\d+).*?, (\d+) fps", done.stderr.decode())
    width, height, fps = map(int, told.groups())
    return width, height, fps, len(done.stdout) // (3 * width * height)


def test_a_prompt_alone_names_video_contact_sheet_and_sidecar(generate, capsys):
    assert generate() == 0
    name = "a-red-circle-moving-left"
    assert written() == {f"{name}.mp4", f"{name}.png", f"{name}.json"}
    captured = capsys.readouterr()
    assert captured.out.startswith("5 of 5 network evaluations in ")
    assert captured.err == "".join(f"Wrote {name}{suffix}\n" for suffix in (".mp4", ".png", ".json"))


def test_the_files_hold_the_frames(generate):
    assert generate("-o", "out.mp4", "--gif", "--scale", "2") == 0
    assert read_mp4("out.mp4") == (128, 128, 24, 17)
    assert v3.imread("out.gif", plugin="pillow").shape == (17, 128, 128, 3)
    assert v3.imread("out.png").shape == (2 * (2 * 64 + CAPTION_PIXELS) + 2, 4 * 2 * 64 + 3 * 2, 3)


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_the_page_plays_the_video_and_says_how_it_was_made(generate, suffix):
    plan("lpl: {mode: fixed, leap_step: 2}\n")
    assert generate("-o", f"out{suffix}", "--page", "--seed", "4") == 0
    assert written() == {f"out{suffix}", "out.png", "out.json", "out.html"}
    page = Path("out.html").read_text()
    assert base64.b64encode(Path(f"out{suffix}").read_bytes()).decode() in page
    said = words(page)
    for part in (
        PROMPT,
        "seed 4",
        "64x64 pixels, 17 frames, 708 ms",
        "3 of 5 steps evaluated",
        "leapt from here",
        "ondevice-sora generate",
    ):
        assert part in said, part


def test_equal_seeds_make_equal_videos_and_others_do_not(generate):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert generate("--seed", str(seed), "-o", f"{name}.gif") == 0
    first, again, other = (v3.imread(f"{name}.gif") for name in "abc")
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_sidecar_says_how_the_video_came_about(generate):
    plan("lpl: {mode: dynamic, rule: curvature, accepted_error: 9}\ntdtm: {steps: {first: 2}}\n")
    assert generate("-o", "out.mp4", "--seed", "5") == 0
    told = json.loads(Path("out.json").read_text())
    assert (told["prompt"], told["seed"], told["plan"]["lpl"]["rule"]) == (PROMPT, 5, "curvature")
    assert told["timesteps"] == pytest.approx([1000, 800, 600, 400, 200])
    assert (told["num_evaluations"], told["leap_step"]) == (3, 2), "the rule needs three drifts and accepts any error"
    assert 0 < told["leap_estimated_error"] <= 9
    assert [step["merged"] for step in told["steps"]] == [True, True, False]
    assert [step["cosine_whole"] is None for step in told["steps"]] == [True, False, False]
    assert sum(step["seconds"] for step in told["steps"]) == pytest.approx(told["denoiser_s"])
    assert told["total_s"] == pytest.approx(told["text_encoder_s"] + told["denoiser_s"] + told["decoder_s"])
    assert told["weights_sha256"] == told["weights_sha256"].lower() and len(told["weights_sha256"]) == 64


@pytest.mark.parametrize("options", [[], ["--trace"]], ids=["whole", "in blocks"])
def test_a_prompt_that_the_model_was_not_taught_is_refused_before_the_work(options, capsys):
    assert main(["generate", "a small yellow square", *options]) == 2
    assert "Did you mean 'a small yellow square moving left'?" in capsys.readouterr().err
    assert written() == set()


@pytest.mark.parametrize(
    ("lpl", "evaluations"),
    [
        ("{mode: fixed, leap_step: 1}", 2),
        ("{mode: dynamic, rule: paper}", None),
        ("{mode: dynamic, rule: gpu_code}", 5),
        ("{mode: dynamic, rule: bent_curvature, accepted_error: 0.000001}", 5),
    ],
)
def test_every_rule_of_the_plan_runs(generate, lpl, evaluations):
    plan(f"lpl: {lpl}\n")
    assert generate("-o", "out.mp4") == 0
    count = json.loads(Path("out.json").read_text())["num_evaluations"]
    assert count == evaluations if evaluations else 3 <= count <= 5


def test_files_are_not_overwritten_unless_asked(generate, capsys):
    Path("out.json").write_text("mine")
    assert generate("-o", "out.mp4") == 2
    assert "the file exists already" in capsys.readouterr().err
    assert written() == {"out.json"}
    assert generate("-o", "out.mp4", "--force") == 0
    assert Path("out.json").read_text() != "mine"


@pytest.mark.parametrize(
    "where",
    ["ondevice_sora.runtime.sampling.pictures.write_video", "ondevice_sora.runtime.sampling.pictures.write_png"],
)
def test_an_interruption_while_writing_leaves_nothing(generate, monkeypatch, where):
    def interrupt(path, *_):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(where, interrupt)
    assert generate("-o", "out.mp4", "--gif") == 130
    assert written() == set()


def test_an_interruption_while_sampling_leaves_nothing(generate, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(generation, "sample", interrupt)
    assert generate("-o", "out.mp4") == 130
    assert written() == set()
    assert capsys.readouterr().err == "interrupted: no file was written\n"


@pytest.mark.parametrize("options", [[], ["--trace"]])
def test_a_real_ctrl_c_ends_the_sampling_before_its_next_step(generate, monkeypatch, capsys, ctrl_c, options):
    steps: list[str] = []

    def cosine(*_):
        if not steps:
            ctrl_c()
        steps.append("compared with the one before")
        return 1.0

    monkeypatch.setattr("ondevice_sora.runtime.sampling.sampler.drift_cosine", cosine)
    plan("components: {denoiser: {compute_units: cpu_only}, text_encoder: {compute_units: cpu_only}, "
         "decoder: {compute_units: cpu_only}}\n")  # fmt: skip
    assert generate("-o", "out.mp4", *options) == 130
    assert len(steps) == 2  # of the second step: both cosines
    assert written() == set()
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted: no file was written"


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("", "the prompt is empty"),
        ("a red circel moving left", "Did you mean 'circle'"),
        ("red " * 30, "the prompt has 31 tokens, its end counted; the model reads 24"),
    ],
)
def test_a_prompt_that_cannot_be_read_is_refused(generate, capsys, prompt, message):
    assert generate(prompt=prompt) == 2
    assert message in capsys.readouterr().err
    assert written() == set()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            PLAN.replace("width: 64", "width: 67"),
            "plan.yaml:3: video.width: width 67 is not a multiple of 8 pixels\nUse 64 or 72.",
        ),
        (PLAN.replace("model: small", "model: sdxl_base_ios"), "model: 'sdxl_base_ios' is not run here"),
        (PLAN + "lpl: {mode: dynamic, stop_steps: {3: 1}}\n", "no rule to generate with"),
        (PLAN + "tdtm: {steps: all, units: [spacial_*]}\n", "no unit that merges tokens has a name like 'spacial_*'"),
    ],
)
def test_a_plan_that_the_small_model_cannot_run_is_refused(generate, capsys, text, message):
    Path("plan.yaml").write_text(text)
    assert generate() == 2
    assert message in capsys.readouterr().err
    assert written() == set()


def test_a_frame_size_that_patches_do_not_divide_is_padded_not_refused(generate):
    Path("plan.yaml").write_text(PLAN.replace("width: 64", "width: 72"))
    assert generate("-o", "out.mp4", "--scale", "1") == 0
    assert read_mp4("out.mp4") == (72, 64, 24, 17)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "out.avi"], "cannot write '.avi' videos"),
        (["-o", "out.gif", "--gif"], "--gif has no effect"),
        (["-o", "nowhere/out.mp4"], "there is no folder nowhere"),
        (["--seed", "-1"], "'-1' is not a whole number"),
        (["--seed", str(2**63)], "from 0 to 9223372036854775807"),
        (["--scale", "0"], "from 1 to 16"),
    ],
)
def test_unusable_options_are_refused_before_anything_runs(generate, capsys, arguments, message):
    assert generate(*arguments) == 2
    assert message in capsys.readouterr().err
    assert written() == set()


def test_missing_shipped_weights_are_one_clear_error(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path / "weights")
    assert main(["generate", PROMPT]) == 2
    error = capsys.readouterr().err
    assert "this installation has no weights of the small model" in error
    assert "--weights" in error


def test_weights_of_another_vocabulary_are_refused(tmp_path, capsys):
    save_tiny_model(tmp_path / "other", replace(TEXT_CONFIG, vocab_size=99))
    assert main(["generate", PROMPT, "--plan", "plan.yaml", "--weights", "other"]) == 2
    assert "reads 24 tokens out of 99, the small model 24 out of 27" in capsys.readouterr().err


def test_damaged_weights_leave_nothing(tmp_path, capsys):
    file = save_tiny_model(tmp_path / "cut") / "denoiser" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    assert main(["generate", PROMPT, "--plan", "plan.yaml", "--weights", "cut"]) == 2
    assert "not a whole safetensors file" in capsys.readouterr().err
    assert written() == {"cut"}


@pytest.mark.parametrize("package", ["torch", "imageio_ffmpeg"])
def test_a_missing_package_is_named_with_its_extra(monkeypatch, capsys, package):
    monkeypatch.setitem(sys.modules, package, None)
    for module in [name for name in sys.modules if name.startswith("ondevice_sora.runtime.")]:
        monkeypatch.delitem(sys.modules, module)
    assert main(["generate", PROMPT]) == 2
    error = capsys.readouterr().err
    assert f"this needs {package}, which is not installed" in error
    assert how_to_install("generate") in error


BLOCKS = """components:
  text_encoder: {blocks: unit, compute_units: cpu_only}
  denoiser: {blocks: {units_per_block: 2}, compute_units: cpu_only, keep: optimal}
  decoder: {blocks: unit, compute_units: cpu_only, prefetch: 2}
"""


def test_with_a_trace_it_runs_block_by_block_to_the_same_frames(generate, capsys):
    plan(BLOCKS)
    assert generate("-o", "whole.gif", "--scale", "1") == 0
    assert generate("-o", "blocks.gif", "--scale", "1", "--trace", "measured.json") == 0
    assert "Wrote measured.json" in capsys.readouterr().err
    assert np.array_equal(v3.imread("whole.gif", plugin="pillow"), v3.imread("blocks.gif", plugin="pillow"))
    trace = read_trace("measured.json")
    assert trace.kind == "measured"
    assert {span.component for span in trace.spans} == {
        "text_encoder", "denoiser", "decoder.temporal", "decoder.spatial",
    }  # fmt: skip
    assert "block by block" in json.loads(Path("blocks.json").read_text())["notes"][0]
    assert written() == {f"{name}.{suffix}" for name in ("whole", "blocks") for suffix in ("gif", "png", "json")} | {
        "measured.json"
    }


def test_what_a_plan_says_for_a_phone_is_not_done_here_and_that_is_said(generate, capsys):
    plan("components: {denoiser: {blocks: whole, compute_units: cpu_and_gpu, precision: int8}}")
    assert generate("--trace", "-o", "out.gif") == 0
    told = capsys.readouterr()
    assert "every block on the CPU, in float32, whatever the plan says for a phone" in told.err
    assert "memory: at most" in told.out
    assert {span.lane for span in read_trace("out.trace.json").spans} == {"load", "cpu"}


def test_a_kept_store_is_used_again_and_a_file_says_of_which_weights(generate, capsys):
    plan(BLOCKS)
    assert generate("-o", "first.gif", "--scale", "1", "--store", "blocks") == 0
    assert "in blocks" in capsys.readouterr().err
    before = {path.name: path.stat().st_mtime_ns for path in Path("blocks").iterdir()}
    plan("components: {denoiser: {blocks: whole}}\nmemory: {budget: 20 MB}\n")
    assert generate("-o", "second.gif", "--scale", "1", "--store", "blocks") == 0
    assert "to be written" not in capsys.readouterr().err
    assert {path.name: path.stat().st_mtime_ns for path in Path("blocks").iterdir()} == before
    assert np.array_equal(v3.imread("first.gif", plugin="pillow"), v3.imread("second.gif", plugin="pillow"))
    told = [json.loads(Path(f"{name}.json").read_text()) for name in ("first", "second")]
    assert told[0]["store_sha256"] == told[1]["store_sha256"]
    assert told[1]["memory"]["peak_bytes"] <= told[1]["memory"]["budget_bytes"] == 20_000_000
    assert told[1]["store"] == {"bytes": told[0]["store"]["bytes"], "stored_as": "checkpoint"}
    assert not list(Path().glob("*.trace.json"))


def test_a_kept_block_that_was_altered_is_noticed(generate, capsys):
    assert generate("-o", "first.gif", "--store", "blocks") == 0
    path = next(Path("blocks").glob("denoiser.001-*"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert generate("-o", "second.gif", "--store", "blocks") == 2
    assert "block 'spatial_0' of denoiser is not as it was written (checksum)" in capsys.readouterr().err
    assert not Path("second.gif").exists()


def test_half_precision_makes_another_video_and_says_so(generate):
    for name, options in (("whole", []), ("half", ["--store", "blocks", "--store-precision", "float16"])):
        assert generate("-o", f"{name}.gif", "--scale", "1", *options) == 0
    told = json.loads(Path("half.json").read_text())
    assert told["store"]["stored_as"] == "float16"
    frames = [v3.imread(f"{name}.gif", plugin="pillow").astype(float) for name in ("whole", "half")]
    assert 0 < np.abs(frames[0] - frames[1]).mean() < 8


def test_a_store_that_was_not_finished_is_gone_on_with(generate, monkeypatch, capsys):
    from ondevice_sora.runtime.executor.in_blocks import BlockwiseVideo

    def interrupt(self, on_file):
        self.writer.write(3)
        raise KeyboardInterrupt

    monkeypatch.setattr("ondevice_sora.runtime.executor.in_blocks.LARGE_BYTES", 1)
    with monkeypatch.context() as patched:
        patched.setattr(BlockwiseVideo, "write", interrupt)
        assert generate("-o", "out.gif", "--store", "blocks") == 130
        kept = "no file was written; finished blocks are kept in blocks, and the same command goes on from them"
        assert capsys.readouterr().err.splitlines()[-1] == f"interrupted: {kept}"
    before = {path.name for path in Path("blocks").glob("*.safetensors")}
    assert len(before) == 4
    assert written() == {"blocks"}
    assert generate("-o", "out.gif", "--store", "blocks") == 0
    assert before < {path.name for path in Path("blocks").glob("*.safetensors")}


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        ("memory: {budget: 100 kB}\n", ["--store", "blocks"], "plan.yaml:5: memory.budget: unit '"),
        ("", ["--store-precision", "float16"], "--store-precision has no effect on a model that runs whole"),
        ("components: {denoiser: {blocks: [input]}}\n", ["--trace"], "unit 'spatial_0' is in no block"),
        ("", ["--store", "plan.yaml"], "plan.yaml: this is a file; a folder is needed"),
    ],
)
def test_what_cannot_run_in_blocks_is_refused_in_one_message(generate, capsys, settings, options, message):
    plan(settings)
    assert generate(*options) == 2
    told = capsys.readouterr().err
    assert f"error: {message}" in told or message in told
    assert "Traceback" not in told
    assert written() == set()


def test_no_room_for_the_store_is_told_before_anything_is_written(generate, capsys, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    assert generate("--store", "blocks") == 2
    assert "the block store takes 463 kB of disk; 1.00 kB are free there" in capsys.readouterr().err
    assert written() == set()
