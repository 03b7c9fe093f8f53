"""validate host, from stores to table, on a stand-in so small that only the way there is tested."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ondevice_sora import __version__
from ondevice_sora.base.hashing import hash_of
from ondevice_sora.commands.main import main
from ondevice_sora.profiles.profile import load_profile, profile_data
from ondevice_sora.records.trace import read_trace
from ondevice_sora.reports.prediction import prediction_of
from ondevice_sora.studies.host_plans import PLANS, host_plans


def test_a_plan_is_captured_predicted_run_and_compared_and_nothing_is_done_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = f"validate host -o {out} --plans 1 --rounds 1 --threads 1 --width 32 --depth 1 --keep-stores".split()
    status = main(command)
    assert status in (0, 1)  # times of a busy machine may be off, and then it says so
    shown = capsys.readouterr().out
    assert ("OVER " in shown) == (status == 1)
    assert "ok    plans whose result is not bit for bit 0, at most 0" in shown
    document = json.loads((out / "agreement.json").read_text())
    (row,) = document["rows"]
    for page in ("median", "worst"):
        assert "How far the prediction is off" in (out / f"{page}.html").read_text()
    assert row["is_equal"] and len(row["measured_s"]) == 1
    (simulated,), (measured,) = ((out / "traces").glob(f"*.{kind}.json") for kind in ("simulated", "measured"))
    traces = [read_trace(simulated), read_trace(measured)]
    assert prediction_of(traces) is not None
    captured = out / "host-stand-in.yaml"
    for trace in traces:
        made = trace.provenance
        assert made is not None
        assert (made.command, made.version) == (f"ondevice-sora {' '.join(command)}", __version__)
        assert made.plan_name == f"{simulated.name.split('.')[0]}.yaml" and made.plan_file is not None
        assert made.profile == str(captured) and made.profile_sha256 is not None
    assert traces[0].provenance is not None
    assert traces[0].provenance.profile_sha256 == hash_of(profile_data(load_profile(str(captured))[0]))
    assert "Where this comes from" in (out / "worst.html").read_text()

    before = {file: file.stat().st_mtime_ns for file in (out / "trials").iterdir()}
    assert len(before) == 4 + 1 + 1  # the capture's, the whole model's, the plan's
    assert main([*command, "--json"]) == status
    assert json.loads(capsys.readouterr().out) == document
    assert {file: file.stat().st_mtime_ns for file in (out / "trials").iterdir()} == before


def test_the_plans_differ_in_everything_that_a_plan_decides() -> None:
    plans = host_plans(24)
    assert len({plan.key for plan in PLANS}) == len(PLANS)
    assert {plan.subject for plan in plans} == {"stand-in", "small"}
    assert len({plan.blocks for plan in plans}) >= 4
    assert {plan.prefetch for plan in plans} >= {0, 1, 2, 3}
    assert {str(plan.keep) for plan in plans} >= {"none", "paper", "optimal", "2"}
    assert len({plan.tdtm for plan in plans}) >= 4
    assert {plan.leap_step is None for plan in plans} == {plan.room is None for plan in plans} == {True, False}


def test_a_width_that_no_head_divides_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "host", "--width", "50"]) == 2
    assert "Give a multiple of 16." in capsys.readouterr().err
