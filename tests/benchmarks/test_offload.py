"""The offload benchmark finds its regimes from timings that agree, and keeps no others."""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")


from benchmarks.offload import TIMINGS, Timed, timed_blocks

QUIET = Timed([0.10, 0.11, 0.10, 0.10], {16: [0.02] * 4, 32: [0.03] * 4})
BUSY = Timed([0.10, 0.31, 0.10, 0.10], {16: [0.02] * 4, 32: [0.03] * 4})


def test_a_regime_is_as_many_tokens_as_make_runs_so_long() -> None:
    """A token takes 0.01 / 16 s beside 0.01 s: 0.1 s of run is 144 tokens."""
    assert QUIET.tokens(1.0) == 144
    assert QUIET.tokens(0.5) == 64


@pytest.mark.parametrize(("blocks", "agree"), [(QUIET, True), (BUSY, False)])
def test_samples_far_apart_do_not_agree(blocks: Timed, agree: bool) -> None:
    assert blocks.agree is agree


@pytest.fixture
def timings(monkeypatch: pytest.MonkeyPatch) -> list[Timed]:
    """What the timing processes print, one after the other."""
    left: list[Timed] = []

    def run(*_: object, **__: object) -> SimpleNamespace:
        return SimpleNamespace(stdout=json.dumps(left.pop(0)._asdict()))

    monkeypatch.setattr(subprocess, "run", run)
    return left


def test_a_timing_whose_samples_differ_is_repeated_and_not_kept(tmp_path: Path, timings: list[Timed]) -> None:
    options = argparse.Namespace(dir=tmp_path, threads=2)
    (tmp_path / "timed-2.json").write_text(json.dumps(BUSY._asdict()))
    timings += [BUSY, QUIET]
    assert timed_blocks(options) == QUIET
    assert timings == []
    assert timed_blocks(options) == QUIET, "what agreed is kept"


def test_a_machine_that_stays_busy_is_told(tmp_path: Path, timings: list[Timed]) -> None:
    timings += [BUSY] * TIMINGS
    with pytest.raises(SystemExit, match="the machine is busy"):
        timed_blocks(argparse.Namespace(dir=tmp_path, threads=2))
    assert not list(tmp_path.iterdir())
