"""What the reports of a search say, as plain rows: the terminal and the page both read these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ondevice_sora.base.units import (
    format_bytes,
    format_change,
    format_count,
    format_percent,
    format_probability,
    format_seconds,
)
from ondevice_sora.profiles.figures import MARKS, Mark
from ondevice_sora.records.search import BudgetPoint, Explanation, PlannedRow, Planning, Reason

ENDINGS = {
    "optimum": "every plan was tried, and none is faster",
    "converged": "no single change to the plan found makes it faster",
    "time": "stopped when the time was up",
    "interrupted": "interrupted; this is the best so far",
}


RISK = "of being killed; iOS publishes no limit, and the app's own use is not known exactly"


NEXT_BEST = "next-best plans, one thing changed"

ROW_MEANINGS = {
    "found": "the plan of this search.",
    "found within": "the plan of the same search for another budget.",
    "start": "the plan that the search began with.",
    "paper's policy": "the start's blocks under the rules of the paper's App. A.1: one is loaded ahead, and those stay "
    "that fit in what the first step leaves free.",
    "reference app": "the paper's app as it was published.",
}
"""Rows of the table by what their names begin with."""


SURE = (
    "Sure: the share of draws of the costs, which are not known exactly, in which a change is faster or slower as told."
)
SAME_S = 5e-7


class Change(NamedTuple):
    """The plan found with one thing changed, in words; what is not known is an empty text.

    sure   in how many of the draws of the costs it is faster or slower as `saves` says
    """

    title: str
    saves: str
    peak: str
    sure: str


def devices_of(planning: Planning) -> list[str]:
    return list(dict.fromkeys(row.device for row in planning.rows))


def rows_of(planning: Planning, device: str) -> list[PlannedRow]:
    """A device's rows; the first is the plan found."""
    return [row for row in planning.rows if row.device == device]


def plan_name(row: PlannedRow) -> str:
    return row.name if row.verdict == "fits" else f"{row.name} (killed)"


def saved_by_mark(other: PlannedRow, found: PlannedRow) -> dict[Mark, float]:
    """The seconds that `found` saves over `other`, by the mark of the figures that they rest on."""
    before, now = other.seconds_by_mark, found.seconds_by_mark
    return {mark: before.get(mark, 0.0) - now.get(mark, 0.0) for mark in MARKS if mark in before or mark in now}


def saved_text(seconds: float) -> str:
    """'+21.6 s', or the same with a minus where it is slower."""
    return format_change(seconds, format_seconds)


def rests_on(saved: dict[Mark, float]) -> str:
    """'+2.10 s published, +9.13 s fitted'."""
    return ", ".join(f"{saved_text(seconds)} {mark}" for mark, seconds in saved.items())


def changes(explanation: Explanation) -> dict[str, list[Change]]:
    """What each thing is worth, by group."""
    groups: dict[str, list[Change]] = {}
    for reason in explanation.reasons:
        groups.setdefault(reason.group, []).append(change_of(reason))
    return groups


def row_meanings(rows: Sequence[PlannedRow]) -> list[tuple[str, str]]:
    """What the rows of the table are: a name and its meaning, in their order."""
    found: dict[str, str] = {}
    for row in rows:
        name = "found within" if row.name.startswith("found within") else row.name
        if name in ROW_MEANINGS:
            found[name] = ROW_MEANINGS[name]
    return list(found.items())


def change_of(reason: Reason) -> Change:
    """In words, each quantity in the unit that suits it."""
    peak, saved, share = reason.peak_change_bytes, reason.saved_s, reason.better_share
    time = ""
    if saved is not None:
        written = format_seconds(abs(saved))
        time = "same" if abs(saved) < SAME_S else f"{written} {'faster' if saved > 0 else 'slower'}"
    sure = "" if share is None or saved is None or time == "same" else format_percent(share if saved > 0 else 1 - share)
    return Change(
        title=f"{reason.title} ({reason.note})" if reason.note else reason.title,
        saves=time,
        peak="" if peak is None else "same" if peak == 0 else format_change(peak, format_bytes),
        sure=sure,
    )


def flip_lines(explanation: Explanation) -> list[str]:
    """Which conclusions the spread of the costs could reverse."""
    return explanation.flips or ["All of this holds in at least 9 of 10 draws of the costs."]


def above_optimum(gap: float | None) -> str:
    """'at most 1.4 %'."""
    return "not known" if gap is None else f"at most {format_percent(gap)}"


def budget_cells(point: BudgetPoint) -> tuple[str, str, str, str, str, str]:
    """A point of the front: budget, total, peak, doubt about the limit, how far from the optimum, packages."""
    return (
        format_bytes(point.budget_bytes),
        format_seconds(point.total_s),
        format_bytes(point.peak_bytes),
        format_probability(point.kill_share),
        above_optimum(point.gap),
        str(point.num_packages),
    )


def gap_lines(planning: Planning) -> list[tuple[str, str]]:
    """The budget, what risk means, the best possible, and how the search ended: a word and what there is to say."""
    several = len(devices_of(planning)) > 1
    best = "1, relative to each device's best possible time" if several else format_seconds(planning.bound)
    plans = format_count(planning.num_evaluated, "plan")
    possible = "there was no time to work out what is possible"
    if planning.gap is not None:
        far = (
            "the plan found reaches it"
            if planning.gap < 5e-4
            else f"the plan found is {above_optimum(planning.gap)} slower"
        )
        possible = f"{best} within this budget; {far}"
    return [
        ("budget", f"{format_bytes(planning.budget_bytes)}, {planning.budget_source}"),
        ("risk", RISK),
        ("best possible", possible),
        (
            "search",
            f"{plans} in {format_seconds(planning.search_s)} for this budget; {ENDINGS[planning.ending]}",
        ),
        *(("note", line.removesuffix(".")) for line in planning.notes),
    ]
