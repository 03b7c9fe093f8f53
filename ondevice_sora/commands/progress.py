"""How far long work is: a bar or a line on a terminal, a line below a notebook's cell, plain lines in a log.

A log has its first line after ten seconds, so that quick work says nothing, then ever more seldom, a line a minute.
A notebook's line is one that changes, and it is empty when the work is done.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ondevice_sora.base.interrupts import check
from ondevice_sora.base.streams import as_is
from ondevice_sora.base.units import format_seconds

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

FIRST_S, LONGEST_S = 10.0, 60.0
"""Seconds to a log's first line, and between lines at most; in between each pause is twice the one before."""
CELL_S = 1.0
"""Seconds to a notebook's line, and from one change of it to the next."""
clock = time.monotonic


class _Log:
    """Tells what it is given on standard error, if enough time has passed since it last did."""

    def __init__(self) -> None:
        self.began_s = clock()
        self.pause_s = FIRST_S
        self.next_s = self.began_s + FIRST_S

    def tell(self, words: Callable[[float], str]) -> None:
        """`words` takes the seconds that have passed."""
        now_s = clock()
        if now_s < self.next_s:
            return
        self.show(words(now_s - self.began_s))
        self.pause_s = min(2 * self.pause_s, LONGEST_S)
        self.next_s = now_s + self.pause_s

    def show(self, words: str) -> None:
        print(words, file=sys.stderr, flush=True)


class _Cell(_Log):
    """The same in one line below a notebook's cell."""

    def __init__(self, display: Callable[..., Any]) -> None:
        super().__init__()
        self.next_s, self.display = self.began_s + CELL_S, display
        self.handle: Any = None

    def show(self, words: str) -> None:
        self.pause_s = CELL_S / 2  # it is doubled after this
        if self.handle is None:
            self.handle = self.display({"text/plain": words}, raw=True, display_id=True)
        else:
            self.handle.update({"text/plain": words}, raw=True)

    def close(self) -> None:
        if self.handle is not None:
            self.handle.update({"text/plain": ""}, raw=True)


class _Silence(_Log):
    """Says nothing."""

    def show(self, words: str) -> None:
        pass


@contextmanager
def _log(is_shown: bool) -> Iterator[_Log]:
    """Where lines go that are not for a terminal."""
    display = _notebook_display() if is_shown else None
    if display is None:
        yield _Log() if is_shown else _Silence()
        return
    cell = _Cell(display)
    try:
        yield cell
    finally:
        cell.close()


def _notebook_display() -> Callable[..., Any] | None:
    """What shows things below the cell that is run; None outside a notebook."""
    shell = sys.modules["IPython"].get_ipython() if "ipykernel" in sys.modules else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import display

    found: Callable[..., Any] = display
    return found


def _bar(*columns: ProgressColumn) -> Progress:
    from rich.console import Console
    from rich.progress import Progress

    return Progress(*columns, console=Console(file=as_is(sys.stderr)), transient=True)


@contextmanager
def progress_bar(what: str, total: int, *, is_shown: bool = True) -> Iterator[Callable[[int], None]]:
    """A bar on the terminal, lines elsewhere; what it gives advances it by a count.

    Advancing it raises an interruption that has come.
    """
    if not is_shown or not sys.stderr.isatty():
        done = 0
        since: tuple[float, int] | None = None  # what an earlier run did is no measure of the speed
        with _log(is_shown) as log:

            def count_up(count: int) -> None:
                nonlocal done, since
                done += count
                since = since or (clock(), done)
                begun_s, before = since
                log.tell(
                    lambda passed_s: (
                        f"{what}: {done} of {total}, {format_seconds(passed_s)} passed"
                        + _left(clock() - begun_s, done - before, total - done)
                    )
                )
                check()

            yield count_up
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with _bar(*columns) as progress:
        task = progress.add_task(what, total=total)

        def advance(count: int) -> None:
            progress.advance(task, count)
            check()

        yield advance


def _left(passed_s: float, done: int, left: int) -> str:
    """', about 2 min 05 s left', at the speed so far."""
    return f", about {format_seconds(passed_s / done * left)} left" if done > 0 and left > 0 else ""


@contextmanager
def timed_bar(expected_s: float) -> Iterator[Callable[[str, float], None]]:
    """A bar on the terminal for pieces that are expected to take so many seconds in all, lines in a log.

    What it gives is called as a piece begins, with its name and the seconds that it is expected to take. It raises an
    interruption that has come.
    """
    begun_s = 0.0
    if not sys.stderr.isatty():
        log, gone_s = _Log(), 0.0

        def tell(words: str, seconds: float) -> None:
            nonlocal begun_s, gone_s
            gone_s, begun_s = gone_s + begun_s, seconds
            left_s = max(0.0, expected_s - gone_s)
            log.tell(lambda passed_s: f"{words}; {format_seconds(passed_s)} passed, {format_seconds(left_s)} expected")
            check()

        yield tell
        return
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with _bar(*columns) as progress:
        task = progress.add_task("", total=expected_s)

        def begin(words: str, seconds: float) -> None:
            nonlocal begun_s
            progress.update(task, description=words, advance=begun_s)
            begun_s = seconds
            check()

        yield begin


@contextmanager
def status_line(*, is_shown: bool = True) -> Iterator[Callable[[str], None]]:
    """A line on the terminal in words that change, lines elsewhere; what it gives sets the words."""
    if not is_shown or not sys.stderr.isatty():
        with _log(is_shown) as log:
            yield lambda words: log.tell(lambda passed_s: f"{words}; {format_seconds(passed_s)} passed")
        return
    from rich.progress import TextColumn, TimeElapsedColumn

    with _bar(TextColumn("{task.description}", markup=False), TimeElapsedColumn()) as progress:
        task = progress.add_task("", total=None)
        yield lambda words: progress.update(task, description=words)
