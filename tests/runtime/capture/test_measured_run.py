"""A run in a process of its own: whole results only, and the process ends however the run does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from worlds import chores
from worlds.processes import children_of

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.interrupts import Interrupted
from ondevice_sora.runtime.capture import measured_run
from ondevice_sora.runtime.capture.measured_run import in_process


@pytest.fixture
def run_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A run whose process does something else."""
    monkeypatch.setattr(measured_run, "MODULE", "worlds.chores")
    monkeypatch.setenv("PYTHONPATH", str(Path(chores.__file__).parents[1]))

    def run(chore: str) -> None:
        monkeypatch.setenv("CHORE", chore)
        in_process(tmp_path, tmp_path / "plan.yaml", tmp_path / "out.json", threads=1)

    return run


def test_a_process_that_the_system_ends_is_told_of_with_the_likely_reason(
    run_of: Callable[[str], None], tmp_path: Path
) -> None:
    with pytest.raises(UserError) as refused:
        run_of("be killed")
    assert str(refused.value) == (
        f"{tmp_path}/plan.yaml: the process of a run of plan.yaml was ended by the system (SIGKILL), most likely "
        "because memory ran short\nClose other programs, or measure smaller blocks."
    )
    assert not list(tmp_path.iterdir())


def test_a_run_that_fails_says_why(run_of: Callable[[str], None]) -> None:
    with pytest.raises(UserError, match=r"a run of plan.yaml failed: said"):
        run_of("say")


def test_an_interruption_ends_the_process_and_leaves_nothing(
    run_of: Callable[[str], None], tmp_path: Path, ctrl_c: Callable[[], None]
) -> None:
    def when_it_runs() -> None:
        while not children_of():
            threading.Event().wait(0.01)
        ctrl_c()

    threading.Thread(target=when_it_runs).start()
    with pytest.raises(Interrupted):
        run_of("go on for ever")
    assert not children_of()
    assert not list(tmp_path.iterdir())
