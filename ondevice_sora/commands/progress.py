"""How far long work is: a bar or a line on a terminal, and plain lines now and then where standard error is a log.

A log has its first line after ten seconds, so that quick work says nothing, and then ever more seldom, a line a minute.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ondevice_sora.base.interrupts import check
from ondevice_sora.base.streams import as_is
from ondevice_sora.base.units import format_seconds

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

FIRST_S, LONGEST_S = 10.0, 60.0
"""Seconds to a log's first line, and between lines at most; in between each pause is twice the one before."""
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
        print(words(now_s - self.began_s), file=sys.stderr, flush=True)
        self.pause_s = min(2 * self.pause_s, LONGEST_S)
        self.next_s = now_s + self.pause_s


def _bar(*columns: ProgressColumn) -> Progress:
    from rich.console import Console
    from rich.progress import Progress

    return Progress(*columns, console=Console(file=as_is(sys.stderr)), transient=True)


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on the terminal, lines in a log; what it gives advances it by a count.

    Advancing it raises an interruption that has come.
    """
    if not sys.stderr.isatty():
        log, done = _Log(), 0
        since: tuple[float, int] | None = None  # what an earlier run did is no measure of the speed

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
def status_line() -> Iterator[Callable[[str], None]]:
    """A line on the terminal in words that change, lines in a log; what it gives sets the words."""
    if not sys.stderr.isatty():
        log = _Log()
        yield lambda words: log.tell(lambda passed_s: f"{words}; {format_seconds(passed_s)} passed")
        return
    from rich.progress import TextColumn, TimeElapsedColumn

    with _bar(TextColumn("{task.description}", markup=False), TimeElapsedColumn()) as progress:
        task = progress.add_task("", total=None)
        yield lambda words: progress.update(task, description=words)
