"""Which phones a plan fits, in words: for a terminal and for a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ondevice_sora.base.units import (
    TimeUnit,
    format_bytes,
    format_percent,
    format_probability,
    format_seconds,
    time_unit,
)
from ondevice_sora.records.ladder import MOST_DOUBT, Ladder, Rung

TITLES = {False: "without an entitlement", True: "with the increased-memory entitlement"}


class Table(NamedTuple):
    """The heads of a ladder's columns, of words and then of numbers, and the cells that a device has under them.

    A device that cannot run the plan has cells under the words alone.
    """

    words: tuple[str, str, str]
    numbers: list[str]
    cells: Callable[[Rung], list[str]]


def answers(ladder: Ladder) -> list[str]:
    """A sentence without the entitlement and one with it."""
    return [_answer(ladder.under(each), ladder.smallest(each), title) for each, title in TITLES.items()]


def meanings(ladder: Ladder) -> list[str]:
    """What the words and numbers of the tables mean, of those that are there."""
    lines = [
        "Ordered by limit. Risk: how probable it is that the limit, which is not known exactly, lies below the peak. "
        f"Fits: with at most {format_percent(MOST_DOUBT)}."
    ]
    if any(rung.verdict == "fits" and not rung.fits for rung in ladder.rungs):
        lines.append("Too risky: with more. `simulate` for that device alone says what would make it fit.")
    if any(rung.interval_s is not None for rung in ladder.rungs):
        lines.append("Likely: in 90 % of the draws of the costs, which are not known exactly either.")
    if any(rung.verdict == "killed" for rung in ladder.rungs):
        lines.append("In brackets: what it would take if there were no limit.")
    return lines


def table_of(ladder: Ladder) -> Table:
    times = time_unit(max((rung.unlimited_s for rung in ladder.rungs if rung.unlimited_s is not None), default=0.0))
    is_drawn = any(rung.interval_s is not None for rung in ladder.rungs)
    likely = [f"likely, {times.name}"] if is_drawn else []
    write = _whole(times)
    return Table(
        ("device", "limit", "verdict"),
        [f"time, {times.name}", *likely, "peak", "risk"],
        lambda rung: _cells(rung, write, is_drawn),
    )


def reasons(ladder: Ladder) -> list[str]:
    """Why some devices cannot run the plan, each reason once."""
    problems = dict.fromkeys(rung.problem for rung in ladder.rungs if rung.problem)
    return [
        f"{', '.join(dict.fromkeys(rung.device for rung in ladder.rungs if rung.problem == problem))}: {problem}"
        for problem in problems
    ]


def _answer(rungs: Sequence[Rung], lowest: Rung | None, title: str) -> str:
    """On how many it fits, and the one of them with the lowest limit."""
    if not rungs:
        return f"{title}: no limit is known"
    fitting = sum(rung.fits for rung in rungs)
    if lowest is None or lowest.total_s is None:
        return f"{title}: fits none of {len(rungs)}"
    time = format_seconds(lowest.total_s)
    told = f"time not known, much longer than {time}" if lowest.is_unpriced else time
    limit = format_bytes(lowest.limit_bytes)
    return (
        f"{title}: fits {fitting} of {len(rungs)}, that with the lowest limit being {lowest.device} ({limit}): {told}"
    )


def _whole(unit: TimeUnit) -> Callable[[float], str]:
    """Times of minutes in whole seconds: two of them stand in a column."""
    return (lambda seconds: unit.write(round(seconds)).removesuffix(".0")) if ":" in unit.name else unit.write


def _cells(rung: Rung, write: Callable[[float], str], is_drawn: bool) -> list[str]:
    limit = format_bytes(rung.limit_bytes)
    if rung.verdict is None or rung.unlimited_s is None or rung.peak_bytes is None or rung.kill_share is None:
        return [rung.device, limit, rung.word]
    time = f"{'over ' if rung.is_unpriced else ''}{write(rung.unlimited_s)}"
    shown = time if rung.total_s is not None else f"({time})"
    likely = ["–".join(map(write, rung.interval_s or ()))] if is_drawn else []
    risk = format_probability(rung.kill_share).replace("under ", "<").replace("over ", ">")
    return [rung.device, limit, rung.word, shown, *likely, format_bytes(rung.peak_bytes), risk]
