"""SIGINT, SIGTERM and SIGKILL at random moments of every long command.

One moment of each signal for the two that start quickest; a hundred for every command with `-m exhaustive`, which takes
hours, so choose one: `python -m pytest tests/commands/test_interruptions.py -m exhaustive -s -k evaluate`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from worlds import interruptions
from worlds.interruptions import Command, Scan

from ondevice_sora.base.interrupts import HANDLED

if TYPE_CHECKING:
    from worlds.exports import Exported

MOMENTS = int(os.environ.get("MOMENTS", 102))
SEED = int(os.environ.get("SEED", 0))

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


@pytest.fixture(autouse=True)
def signals_as_at_a_terminal() -> Iterator[None]:
    """What is ignored here, in a job in the background, would be so in the commands too."""
    before = {number: signal.signal(number, usual) for number, usual in HANDLED.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def scanned(command: Command, folder: Path, moments: int) -> None:
    report = Scan(command, folder, SEED).run(moments)
    print(f"\n{command.arguments.split(' --')[0]}: {report}")
    assert not report.wrong, "\n".join(report.wrong)


@pytest.mark.parametrize("command", [interruptions.sweep, interruptions.search])
def test_a_moment_of_each_signal(command: Callable[[], Command], tmp_path: Path) -> None:
    scanned(command(), tmp_path, 3)


@pytest.mark.exhaustive
@pytest.mark.parametrize("command", [interruptions.sweep, interruptions.search])
def test_moments_of_simulations(command: Callable[[], Command], tmp_path: Path) -> None:
    scanned(command(), tmp_path, MOMENTS)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "command",
    [
        interruptions.simulate,
        interruptions.explain,
        interruptions.variants,
        interruptions.describe,
        interruptions.estimate,
    ],
)
def test_moments_of_shorter_commands(
    command: Callable[[], Command], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "caches")  # in the folder of each run
    scanned(command(), tmp_path, MOMENTS)


@pytest.mark.exhaustive
def test_moments_of_generate(weights: Path, tmp_path: Path) -> None:
    scanned(interruptions.generate(weights), tmp_path, MOMENTS)


@pytest.mark.exhaustive
def test_moments_of_evaluate(weights: Path, tmp_path: Path) -> None:
    scanned(interruptions.evaluate(weights), tmp_path, MOMENTS)


@pytest.mark.exhaustive
def test_moments_of_steps(weights: Path, tmp_path: Path) -> None:
    scanned(interruptions.steps(weights), tmp_path, MOMENTS)


@pytest.mark.exhaustive
def test_moments_of_capture(tmp_path: Path) -> None:
    scanned(interruptions.capture(), tmp_path, MOMENTS)


@pytest.mark.exhaustive
def test_moments_of_run(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    from ondevice_sora.runtime.capture.subjects import StandIn, write_subject
    from ondevice_sora.runtime.networks.stdit3 import LatentSize, STDiT3Config

    store = tmp_path_factory.mktemp("store")
    write_subject(store, StandIn(STDiT3Config(depth=2, hidden_size=64), LatentSize(4, 4, 4), 16), {})
    scanned(interruptions.run(store), tmp_path, MOMENTS)


@pytest.mark.exhaustive
@pytest.mark.parametrize("jobs", [1, 2])
def test_moments_of_export(exported: Exported, jobs: int, tmp_path: Path) -> None:
    scanned(interruptions.export(exported, jobs), tmp_path, MOMENTS)


@pytest.mark.exhaustive
def test_moments_of_validate_host(weights: Path, tmp_path: Path) -> None:
    scanned(interruptions.validate_host(weights), tmp_path, MOMENTS)
