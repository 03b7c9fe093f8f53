"""What is said while something takes long: on a terminal a bar, gone when it is done; in a log a line now and then."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace

import pytest
from worlds.terminals import written

from ondevice_sora.commands.main import main
from ondevice_sora.commands.progress import progress_bar, status_line, timed_bar


def bar() -> None:
    with progress_bar("videos", 2) as advance:
        advance(1)
        advance(1)


def line() -> None:
    with status_line() as say:
        say("descent: 12 plans, best [1.50 s]")


@pytest.mark.parametrize(("work", "words"), [(bar, "videos"), (line, "descent: 12 plans, best [1.50 s]")])
def test_a_terminal_shows_how_far_the_work_is_and_is_cleared_after_it(
    monkeypatch: pytest.MonkeyPatch, work: Callable[[], None], words: str
) -> None:
    shown = written(monkeypatch, "stderr", work)
    assert words in shown
    assert shown.endswith("\x1b[2K")


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Seconds that pass only when they are told to."""
    now = 1000.0

    def wait(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr("ondevice_sora.commands.progress.clock", lambda: now)
    return wait


def test_a_log_is_told_after_ten_seconds_and_then_ever_more_seldom(
    passing: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with progress_bar("steps", 300) as advance:
        advance(100)  # of an earlier run
        for _ in range(200):
            passing(1.0)
            advance(1)
    assert capsys.readouterr().err.splitlines() == [
        "steps: 110 of 300, 10.0 s passed, about 3 min 10 s left",
        "steps: 130 of 300, 30.0 s passed, about 2 min 50 s left",
        "steps: 170 of 300, 70.0 s passed, about 2 min 10 s left",
        "steps: 230 of 300, 2 min 10 s passed, about 70.0 s left",
        "steps: 290 of 300, 3 min 10 s passed, about 10.0 s left",
    ]


class Cell:
    """What a notebook shows below a cell: one thing, which changes."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def display(self, data: dict[str, str], *, raw: bool, display_id: bool) -> Cell:
        assert raw and display_id and self.shown == []
        self.update(data, raw=raw)
        return self

    def update(self, data: dict[str, str], *, raw: bool) -> None:
        self.shown.append(data["text/plain"])


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Cell:
    found, shell = Cell(), SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=found.display))
    return found


def test_a_notebook_has_one_line_below_the_cell_that_goes_when_the_work_is_done(
    passing: Callable[[float], None], cell: Cell, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress_bar("cells", 4) as advance:
        for _ in range(4):
            passing(0.6)
            advance(1)
    first, last = "cells: 2 of 4, 1.20 s passed, about 1.20 s left", "cells: 4 of 4, 2.40 s passed"
    assert cell.shown == [first, last, ""]
    assert capsys.readouterr().err == ""


def test_work_that_is_done_at_once_shows_nothing_in_a_notebook(cell: Cell) -> None:
    with status_line() as say:
        say("descent")
    assert cell.shown == []


def test_who_asks_for_silence_gets_it(
    passing: Callable[[float], None], cell: Cell, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress_bar("cells", 1, is_shown=False) as advance, status_line(is_shown=False) as say:
        passing(100.0)
        advance(1)
        say("descent")
    assert (cell.shown, capsys.readouterr().err) == ([], "")


def test_pieces_of_known_length_and_words_are_told_in_a_log(
    passing: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with timed_bar(40.0) as begin, status_line() as say:
        begin("block 1", 15.0)
        passing(15.0)
        begin("block 2", 25.0)
        say("12 plans")
    assert capsys.readouterr().err.splitlines() == [
        "block 2; 15.0 s passed, 25.0 s expected",
        "12 plans; 15.0 s passed",
    ]


@pytest.mark.parametrize("work", [bar, line])
def test_a_log_says_nothing_of_quick_work(capsys: pytest.CaptureFixture[str], work: Callable[[], None]) -> None:
    work()
    assert capsys.readouterr().err.strip() == ""


def test_a_search_says_how_many_plans_it_has_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    search = ["plan", "search", "--plan", "ours-192", "--seconds", "1"]
    assert " plans, best " in written(monkeypatch, "stderr", lambda: main(search))
