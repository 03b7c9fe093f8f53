"""benchmarks/step_ratio.py plays both plans from a store; what it measures is the machine's affair."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.step_ratio import main


def test_both_plans_are_played_and_their_ratio_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = str(tmp_path / "blocks")
    asked = ["step_ratio", "--dir", blocks, "--width", "64", "--depth", "1", "--evaluations", "2", "--rounds", "1"]
    monkeypatch.setattr("sys.argv", asked)
    main()
    told = capsys.readouterr().out.splitlines()
    assert [line[:16].strip() for line in told] == ["all 30 steps", "2 planned", "ratio"]
    assert told[2].endswith("2 of 30 passes: 0.067)")
