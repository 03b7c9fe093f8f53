"""Processes of our own: none outlives its parent, none is interrupted by itself, and none imports the user's files."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from worlds import chores
from worlds.processes import children_of, ended, parents_of

from ondevice_sora.base import children
from ondevice_sora.base.interrupts import Interrupted, noted
from ondevice_sora.base.workers import WorkerDiedError, Workers

MODULE = "worlds.chores"


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children find the tests' helpers as they find an installed package."""
    monkeypatch.setenv("PYTHONPATH", str(Path(chores.__file__).parents[1]))


def test_how_a_process_ended_is_said_in_words() -> None:
    assert children.how_it_ended(3) == "ended with status 3"
    assert children.how_it_ended(-signal.SIGSEGV) == "was ended by SIGSEGV"
    assert "by the system (SIGKILL), most likely because memory ran short" in children.how_it_ended(-signal.SIGKILL)


def test_a_child_is_told_of_its_end_and_of_what_it_said() -> None:
    process = children.start(MODULE, "say", stderr=subprocess.PIPE)
    assert children.finish(process) == "said\n"
    assert process.returncode == 3


def test_ctrl_c_while_a_child_works_ends_the_child(ctrl_c: Callable[[], None]) -> None:
    with noted(), children.start(MODULE, "wait", "parent", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline()
        ctrl_c()
        with pytest.raises(Interrupted):
            children.finish(process)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_of_the_terminal_are_its_parents(number: int) -> None:
    """All processes of a command get them. The child does not heed them, and says nothing."""
    process = children.start(MODULE, "signal itself", str(int(number)), stderr=subprocess.PIPE)
    assert children.finish(process) == ""
    assert process.returncode == 0


@pytest.mark.parametrize("how", ["wait", "wait in a session"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_child_ends_with_its_parent_however_that_ends(how: str, number: int) -> None:
    parent = subprocess.Popen([sys.executable, "-m", MODULE, how], stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert pids and all(parents_of(pid) for pid in pids)
        parent.send_signal(number)
    for pid in pids:
        assert ended(pid), "neither the child nor what it has started lives on"


def test_nothing_is_imported_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's `socket.py` beside their plan is not ours to run."""
    monkeypatch.chdir(tmp_path)
    for name in ("selectors", "pickle", "msgspec", "ondevice_sora"):
        (tmp_path / f"{name}.py").write_text(f"open('{name} was here', 'w')\nraise SystemExit(9)\n")
    with Workers(chores.doubled, 1) as workers:
        assert list(workers.results([4])) == [(4, 8)]
    assert children.finish(children.start(MODULE, "say", stderr=subprocess.PIPE)) == "said\n"
    assert not list(tmp_path.glob("*was here"))


def test_workers_give_every_result_once() -> None:
    with Workers(chores.doubled, 2) as workers:
        assert sorted(workers.results(range(9))) == [(n, 2 * n) for n in range(9)]
    assert not children_of()


def test_what_a_worker_prints_does_not_disturb_its_answers(capfd: pytest.CaptureFixture[str]) -> None:
    with Workers(chores.printed, 1) as workers:
        assert list(workers.results(["a", "b"])) == [("a", "A"), ("b", "B")]
    assert capfd.readouterr().err == "a\nb\n"


def test_a_failure_in_a_worker_is_raised_with_its_place() -> None:
    with Workers(chores.failing, 1) as workers, pytest.raises(ZeroDivisionError) as raised:
        list(workers.results([1]))
    assert "in failing" in raised.value.__notes__[0]


def test_a_worker_that_is_ended_is_told_once_for_all_attempts(tmp_path: Path) -> None:
    with Workers(chores.killed, 2, attempts=3) as workers, pytest.raises(WorkerDiedError) as raised:
        list(workers.results([str(tmp_path / "tried")]))
    assert "most likely because memory ran short" in raised.value.how
    assert len((tmp_path / "tried").read_text()) == 3


def test_a_job_whose_worker_has_died_goes_to_another(tmp_path: Path) -> None:
    with Workers(chores.killed_once, 2, attempts=2) as workers:
        jobs = [str(tmp_path / str(number)) for number in range(4)]
        assert sorted(workers.results(jobs)) == [(job, "done") for job in jobs]


def test_leaving_ends_the_workers_at_whatever_they_are(ctrl_c: Callable[[], None]) -> None:
    with noted(), Workers(chores.endless, 2) as workers:
        threading.Thread(target=lambda: started_then(ctrl_c)).start()
        with pytest.raises(Interrupted):
            list(workers.results([1, 2]))
    assert not children_of()


def started_then(send: Callable[[], None]) -> None:
    while len(children_of()) < 2:
        threading.Event().wait(0.01)
    send()
