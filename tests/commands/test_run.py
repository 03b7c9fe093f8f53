"""Capture, simulate, run and report, as a user types them."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from ondevice_sora.commands.main import main
from ondevice_sora.records.trace import Trace, read_trace

PLAN = """
name: toy
model: blocks/model.yaml
sampler: {steps: 3}
tdtm: {steps: {first: 1}}
memory: {budget: 60 MB}
components:
  denoiser: {blocks: {units_per_block: 2}, compute_units: cpu_only, keep: optimal}
"""


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a plan, a store of blocks, and the profile that was captured of them with one thread."""
    folder = tmp_path_factory.mktemp("captured")
    (folder / "plan.yaml").write_text(PLAN)
    with contextlib.chdir(folder):
        capture = "profile capture --store blocks -o host.yaml --width 64 --depth 1 --repeats 1 --threads 1"
        assert main(capture.split()) == 0
    return folder


def test_one_plan_is_captured_simulated_run_and_reported(
    captured: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(captured)
    assert main(["simulate", "--plan", "plan.yaml", "--device", "host.yaml", "--trace", "simulated.json"]) == 0
    run = "run --plan plan.yaml --store blocks --device host.yaml --verify --trace measured.json"
    assert main(run.split()) == 0
    assert main(["report", "simulated.json", "measured.json", "-o", "both.html"]) == 0
    assert "Wrote measured.json" in capsys.readouterr().err
    simulated, measured = read_trace("simulated.json"), read_trace("measured.json")
    assert (simulated.kind, measured.kind) == ("simulated", "measured")

    def done(trace: Trace) -> list[tuple[str, int, str, str]]:
        return [(s.action, s.step, s.block, s.variant) for s in trace.spans if s.action == "run"]

    assert done(simulated) == done(measured)
    assert measured.peak_bytes <= 60_000_000


def test_a_run_says_what_is_otherwise_than_in_the_capture(
    captured: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(captured)
    run = "run --plan plan.yaml --store blocks --device host.yaml"
    assert main(f"{run} --threads 1".split()) == 0
    assert "was captured" not in capsys.readouterr().err
    assert main(f"{run} --threads 2 --buffered".split()) == 0
    said = capsys.readouterr().err
    assert "host.yaml was captured with threads: 1, and 2 run a block here: what it predicts is another run." in said


def test_a_store_that_is_not_there_is_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plan.yaml").write_text(PLAN)
    assert main(["run", "--plan", "plan.yaml", "--store", "nowhere"]) == 2
    assert "no block store" in capsys.readouterr().err
