"""`sora profile` measures an export by the stand-in for Core ML; what it captures is imported and simulated here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

pytest.importorskip("coremltools")

from worlds import swift
from worlds.exports import Exported

from ondevice_sora.commands.main import main
from ondevice_sora.profiles.capture_file import CapturedBlock, read_capture
from ondevice_sora.runtime.coreml.export.exported import Export
from ondevice_sora.runtime.coreml.export.manifest import read_manifest
from ondevice_sora.simulator.prepare import described_as, load_inputs
from ondevice_sora.simulator.scheduled import to_play

pytestmark = [
    swift.needs_swift,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Core ML itself is there, not its stand-in"),
]

NAMED = ["--device", "iphone15pro"]
"""No device of the catalogue is this machine."""


def profile(export: Path, folder: Path, *more: str, behaviour: str = "") -> subprocess.CompletedProcess[str]:
    """Into `folder`/capture.json, with a support folder beside it; two later loads of each block."""
    env = {
        "SORA_STANDIN_COMMAND": swift.SERVING, "SORA_STANDIN_BEHAVIOUR": behaviour,
        "XDG_DATA_HOME": str(folder / "support"),
    }  # fmt: skip
    return swift.ran("profile", export, "-o", folder / "capture.json", "--repeats", "2", *more, env=env)


@pytest.fixture(scope="module")
def folder(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a whole capture of an export whose blocks have a function for TDTM, too."""
    made = tmp_path_factory.mktemp("profile")
    done = profile(exported.directory, made)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == f"Wrote {made / 'capture.json'}"
    return made


@pytest.fixture(scope="module")
def blocks(folder: Path) -> tuple[CapturedBlock, ...]:
    return read_capture(folder / "capture.json", "iphone15pro").blocks


def test_every_function_but_tails_is_measured(blocks: tuple[CapturedBlock, ...], exported: Exported) -> None:
    manifest = read_manifest(exported.directory)
    expected = [
        (block.component, block.first_unit, block.last_unit, function.kind, block.precision, block.compute_units)
        for block in manifest.blocks for function in block.functions if function.kind != "tail"
    ]  # fmt: skip
    assert [block.key for block in blocks] == expected
    assert {block.variant for block in blocks} == {"plain", "tdtm"}


def test_every_package_has_one_first_load(blocks: tuple[CapturedBlock, ...]) -> None:
    """That of its other function is a sample of neither."""
    for block in blocks:
        assert len(block.loads.first_s) == (block.variant == "plain")
        assert len(block.loads.later_s) == 2
        assert len(block.runs.first_s) == len(block.runs.later_s) == len(block.unload_s) == 3
        assert len(block.loads.while_running_s) == 2
        assert len(block.runs.while_loading_s) <= 2
        assert min(*block.loads.later_s, *block.runs.later_s) > 0


def test_a_loaded_block_takes_memory_and_gives_it_back(blocks: tuple[CapturedBlock, ...]) -> None:
    for block in blocks:
        memory = block.memory
        assert len(memory.before_load) == len(block.runs.first_s)
        for before, peak, after, running in zip(
            memory.before_load, memory.load_peak, memory.after_load, memory.run_peak, strict=True
        ):
            assert min(before, peak, after, running) > 1_000_000
            assert peak >= after


def test_it_is_imported_and_its_plan_priced_by_it(
    folder: Path, exported: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phone = str(tmp_path / "phone.yaml")
    assert main(["profile", "import", str(folder / "capture.json"), *NAMED, "-o", phone]) == 0
    export = Export.open(exported.directory)
    prepared = to_play(
        export.plan, described_as(export.plan, export.architecture), load_inputs(export.loaded, phone)[1]
    )
    measured = {block.key[:4]: block for block in read_capture(folder / "capture.json", "iphone15pro").blocks}
    for spec, run_s, load_s in zip(
        prepared.schedule.blocks, prepared.costs.run_s[:, 0], prepared.costs.load_warm_s[:, 0], strict=True
    ):
        block = measured[spec.component, spec.units[0].name, spec.units[-1].name, spec.variant]
        assert run_s == pytest.approx(median(block.runs.later_s), rel=1e-4)
        assert load_s == pytest.approx(median(block.loads.later_s), rel=1e-4)
    assert main(["simulate", "--device", phone, "--plan", "app-192", "--json"]) in (0, 3)


def test_the_same_command_measures_nothing_again(folder: Path, exported: Exported) -> None:
    before = json.loads((folder / "capture.json").read_text())
    done = profile(exported.directory, folder)
    assert done.returncode == 0
    assert "measuring" not in done.stderr
    after = json.loads((folder / "capture.json").read_text())
    assert after["blocks"] == before["blocks"]


@pytest.mark.parametrize("fault", ["failing-load", "failing-run"])
def test_a_block_that_fails_is_named_and_the_others_are_measured(
    fault: str, exported: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = profile(exported.directory, tmp_path, "--repeats", "1", behaviour=f"{fault}=denoiser.001")
    assert done.returncode == 0, done.stderr
    assert "failed: block" in done.stderr
    capture = read_capture(tmp_path / "capture.json", "iphone15pro")
    assert "denoiser.001.mlpackage" not in {block.package for block in capture.blocks}
    assert capture.blocks
    failed = [failure for failure in capture.failures if failure.package == "denoiser.001.mlpackage"]
    assert failed and {failure.action for failure in failed} == {fault.partition("-")[2]}
    assert main(["profile", "import", str(tmp_path / "capture.json"), *NAMED, "-o", str(tmp_path / "a.yaml")]) == 0
    assert "note: not measured: denoiser.001.mlpackage" in capsys.readouterr().err
