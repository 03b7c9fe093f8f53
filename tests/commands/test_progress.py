"""What is said while something takes long: on a terminal only, and gone when it is done."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from worlds.terminals import written

from ondevice_sora.commands.common import progress_bar, status_line
from ondevice_sora.commands.main import main


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


@pytest.mark.parametrize("work", [bar, line])
def test_nothing_is_said_where_nobody_is_looking(capsys: pytest.CaptureFixture[str], work: Callable[[], None]) -> None:
    work()
    assert capsys.readouterr().err.strip() == ""


def test_a_search_says_how_many_plans_it_has_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    search = ["plan", "search", "--plan", "ours-192", "--seconds", "1"]
    assert " plans, best " in written(monkeypatch, "stderr", lambda: main(search))
