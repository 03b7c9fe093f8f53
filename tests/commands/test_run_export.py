"""schedule, run EXPORT and what they make, as a user types them: plan, simulation, export, video."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("coremltools")
pytest.importorskip("imageio")

from ondevice_sora.commands.main import main
from ondevice_sora.plans.schedule_file import read_schedule
from ondevice_sora.profiles.models.catalogue import architecture
from ondevice_sora.records.trace import Trace, read_trace, write_trace
from ondevice_sora.runtime.coreml.export.exported import Export
from ondevice_sora.runtime.models import SIZES, without_weights
from ondevice_sora.runtime.networks.description import described_sizes
from ondevice_sora.simulator.prepare import described_as, load_inputs
from ondevice_sora.simulator.scheduled import to_play

if TYPE_CHECKING:
    from worlds.exports import Exported

PROMPT = "a red circle moving left"


@pytest.fixture(scope="module")
def video(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `run EXPORT PROMPT` writes, beside each other."""
    path = tmp_path_factory.mktemp("video") / "v.mp4"
    assert main(["run", str(exported.directory), PROMPT, "--seed", "1", "-o", str(path)]) == 0
    return path


def test_an_export_is_played_into_a_video_with_all_that_belongs_to_it(exported: Exported, video: Path) -> None:
    assert all(video.with_suffix(suffix).stat().st_size > 500 for suffix in (".mp4", ".png", ".json", ".trace.json"))
    record = json.loads(video.with_suffix(".json").read_text())
    assert record["prompt"] == PROMPT and record["num_evaluations"] == 3
    assert "in the reference executor" in record["notes"][0] and "iPhone 15 Pro" in record["notes"][0]
    trace = read_trace(video.with_suffix(".trace.json"))
    schedule = read_schedule(exported.directory / "schedule.json")
    runs = [span for span in trace.spans if span.action == "run"]
    wanted = [(schedule.blocks[v.block].component, v.step, schedule.blocks[v.block].name) for v in schedule.visits]
    assert [(span.component, span.step, span.block) for span in runs] == wanted
    assert {span.lane for span in runs} == {"cpu"}, "the processor that really ran them"
    assert trace.peak_bytes <= schedule.needed_bytes
    assert trace.memory[0].baseline == schedule.baseline_bytes


def test_the_trace_and_the_simulation_stand_in_one_report(exported: Exported, video: Path, tmp_path: Path) -> None:
    """Same blocks and visits; only the seconds are of another machine."""
    export = Export.open(exported.directory)
    described = described_as(export.plan, export.architecture)
    prepared = to_play(export.plan, described, load_inputs(export.loaded)[1])
    outcome = prepared.play()
    trace = Trace("simulated", export.plan.name, "iPhone 15 Pro", "small", outcome.spans, outcome.memory, 3_300_000_000)
    write_trace(trace, tmp_path / "simulated.json")
    measured, page = video.with_suffix(".trace.json"), tmp_path / "both.html"
    assert main(["report", str(tmp_path / "simulated.json"), str(measured), "-o", str(page)]) == 0
    text = page.read_text()
    assert "this computer, reference executor" in text and "How far the prediction is off" not in text


@pytest.mark.parametrize("name", ["small", "opensora"])
def test_an_export_of_the_published_sizes_is_scheduled_as_it_is_simulated(name: str) -> None:
    """Its networks are described by the sizes that `simulate` describes the model by."""
    described = architecture(name)
    assert described is not None
    tokens = described.config.text_encoder.tokens
    assert described_sizes(without_weights(*SIZES[name]), tokens) == described.config


def test_another_device_has_another_schedule(exported: Exported, tmp_path: Path, capsys: Any) -> None:
    out = Path(shutil.copytree(exported.directory, tmp_path / "out"))
    assert main(["schedule", str(out), "--device", "iphone12"]) == 0
    assert "tiny on iPhone 12: " in capsys.readouterr().out
    assert read_schedule(out / "schedule.json").device == "iPhone 12"
    assert main(["schedule", str(out), "--memory-limit", "160 MB", "-o", str(tmp_path / "tight.json")]) == 3
    assert "iOS would end the app" in capsys.readouterr().out
    command = ["run", str(out), PROMPT, "--schedule", str(tmp_path / "tight.json"), "-o", str(tmp_path / "v.gif")]
    assert main(command) == 0
    assert "note: on iPhone 15 Pro this schedule peaks at" in capsys.readouterr().err


def rewritten(file: str, change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def change_it(folder: Path) -> None:
        data = json.loads((folder / file).read_text())
        change(data)
        (folder / file).write_text(json.dumps(data))

    return change_it


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "no schedule": (lambda folder: (folder / "schedule.json").unlink(), "the export has no schedule.json"),
    "a missing package": (lambda folder: shutil.rmtree(folder / "denoiser.001.mlpackage"), "denoiser.001.mlpackage"),
    "a truncated manifest": (
        lambda folder: (folder / "manifest.json").write_text((folder / "manifest.json").read_text()[:-50]),
        "manifest.json",
    ),
    "a truncated schedule": (
        lambda folder: (folder / "schedule.json").write_text((folder / "schedule.json").read_text()[:-50]),
        "schedule.json",
    ),
    "another manifest": (
        lambda folder: (folder / "manifest.json").write_text((folder / "manifest.json").read_text() + "\n"),
        "a schedule of another export, or the manifest has changed",
    ),
    "another plan": (
        rewritten("schedule.json", lambda data: data.update(plan_sha256="0" * 64)),
        "a schedule of another plan",
    ),
    "a gate after its visit": (
        rewritten("schedule.json", lambda data: data["visits"][2].__setitem__(5, 7)),
        "gate 7 does not lie before it",
    ),
    "a package outside the folder": (
        rewritten("schedule.json", lambda data: data["blocks"][0].update(package="../x.mlpackage")),
        "blocks[0].package",
    ),
    "another package of the folder": (
        rewritten("schedule.json", lambda data: data["blocks"][0].update(package="denoiser.000.mlpackage")),
        "schedule.json",
    ),
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "no export"),
}


def without_tokenizer(folder: Path) -> None:
    rewritten("manifest.json", lambda manifest: manifest.update(tokenizer=None))(folder)
    assert main(["schedule", str(folder)]) == 0


BAD |= {
    "a missing tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json: no such file"),
    "an altered tokenizer": (
        rewritten("tokenizer.json", lambda data: data["words"].update(red=26)),
        "tokenizer.json: is not as it was written (checksum)",
    ),
    "no tokenizer": (without_tokenizer, "this export has no tokenizer: it plays tokens, not prompts"),
    "the first format": (
        rewritten("manifest.json", lambda manifest: manifest.update(format="ondevice-sora-export-1")),
        "an export of an earlier version, ondevice-sora-export-1",
    ),
}


@pytest.mark.parametrize(
    ("prompt", "complaint"),
    [
        ("a rde circle", "Did you mean 'red'"),
        ("red " * 9, "has 10 tokens"),
        ("red circle", "Did you mean 'a red circle moving left'?"),
    ],
)
def test_prompts_are_read_by_the_exports_own_tokenizer(
    prompt: str, complaint: str, exported: Exported, tmp_path: Path, capsys: Any
) -> None:
    """It reads nine tokens where the small model that ships reads 24."""
    assert main(["run", str(exported.directory), prompt, "-o", str(tmp_path / "v.mp4")]) == 2
    assert complaint in capsys.readouterr().err


def test_what_writes_videos_is_named_where_it_is_missing(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """The extra `coreml` has it not."""
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    assert main(["run", str(exported.directory), PROMPT, "-o", str(tmp_path / "v.mp4")]) == 2
    said = capsys.readouterr().err
    assert "this needs imageio_ffmpeg, which is not installed" in said and "[video]" in said


def with_sentences(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """The export as if its tokenizer document had been written so."""
    rewritten("tokenizer.json", change)(folder)
    digest = hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest()
    rewritten("manifest.json", lambda manifest: manifest["tokenizer"].update(checksum=digest))(folder)
    assert main(["schedule", str(folder)]) == 0


def test_the_exports_own_document_says_which_sentences_are_taken(
    exported: Exported, tmp_path: Path, capsys: Any
) -> None:
    """An export of an earlier version says of none, and takes any; one that knows no small objects refuses them."""
    out = Path(shutil.copytree(exported.directory, tmp_path / "out"))
    with_sentences(out, lambda told: told["sentences"]["choices"].update(SIZE=["large"]))
    assert main(["run", str(out), "small circle moving left", "-o", str(tmp_path / "v.gif")]) == 2
    assert "'small circle moving left': the model was not taught sentences like this one" in capsys.readouterr().err
    with_sentences(out, lambda told: told.pop("sentences"))
    assert main(["run", str(out), "red and blue", "-o", str(tmp_path / "v.gif")]) == 0


@pytest.mark.parametrize("name", BAD)
def test_a_bad_export_is_told_in_one_message(name: str, exported: Exported, tmp_path: Path, capsys: Any) -> None:
    spoil, complaint = BAD[name]
    out = Path(shutil.copytree(exported.directory, tmp_path / "out"))
    spoil(out)
    assert main(["run", str(out), PROMPT, "-o", str(tmp_path / "v.mp4")]) == 2
    said = capsys.readouterr().err
    assert complaint in said and said.count("error:") == 1 and "Traceback" not in said
    assert not (tmp_path / "v.mp4").exists()


def test_an_altered_package_is_told_before_it_runs(exported: Exported, tmp_path: Path, capsys: Any) -> None:
    """Other weights would make another video, and nobody would see why."""
    out = Path(shutil.copytree(exported.directory, tmp_path / "out"))
    weights = next((out / "denoiser.001.mlpackage").rglob("weight.bin"))
    data = bytearray(weights.read_bytes())
    data[-5] ^= 0xFF
    weights.write_bytes(data)
    assert main(["run", str(out), PROMPT, "-o", str(tmp_path / "v.mp4")]) == 2
    said = capsys.readouterr().err
    assert "denoiser.001.mlpackage: is not as it was exported (checksum)" in said


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("run", "nothing to run"),
        ("run OUT", "a prompt is needed"),
        ("run OUT red --plan small", "--plan has no effect on an export"),
        ("run OUT red --verify", "--verify has no effect on an export"),
        ("run OUT circle,moving,left --backend coreml", "there is no Core ML on this system"),
        ("run OUT red -o v.avi", "cannot write '.avi' videos"),
        ("run --plan small --store x --gif", "--gif has no effect on a plan out of a store"),
        ("run --plan small --store x --seed 3", "--seed has no effect"),
        ("run nowhere red", "no export: there is no manifest.json"),
        ("schedule nowhere", "no export: there is no manifest.json"),
        ("schedule OUT --device iphone3", "unknown device 'iphone3'"),
    ],
)
def test_what_has_no_effect_is_refused(
    arguments: str, complaint: str, exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments.replace("OUT", str(exported.directory)).split()) == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "more",
    [
        "",
        "lpl: {mode: fixed, leap_step: 17}",
        "lpl: {mode: dynamic, rule: curvature, accepted_error: 0.1}\ntdtm: {steps: {first: 15}, packages: separate}",
        "components: {denoiser: {blocks: {units_per_block: 3}, prefetch: 2, keep: 1}, decoder: {blocks: unit}}",
    ],
)
def test_the_shipped_model_out_of_an_export_makes_torchs_video(
    more: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole, leaping, merging in packages apart, and in pieces: the contact sheets, which lose nothing, agree."""
    from imageio import v3

    monkeypatch.chdir(tmp_path)
    Path("plan.yaml").write_text(f"name: shipped\nmodel: small\nsampler: {{steps: 30, guidance: 2.5}}\n{more}\n")
    assert main(["export", "--plan", "plan.yaml", "-o", "out"]) == 0
    assert main(["run", "out", PROMPT, "-o", "exported.mp4"]) == 0
    assert main(["generate", PROMPT, "--plan", "plan.yaml", "-o", "torch.mp4"]) == 0
    found, wanted = (v3.imread(f"{name}.png").astype(float) for name in ("exported", "torch"))
    assert wanted.std() > 10
    assert 10 * np.log10(255**2 / max(np.mean((found - wanted) ** 2), 1e-12)) >= 60
    records = [json.loads(Path(f"{name}.json").read_text()) for name in ("exported", "torch")]
    assert records[0]["leap_step"] == records[1]["leap_step"]
