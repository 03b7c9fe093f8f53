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
    "optimum": "every plan was tried: this is the optimum",
    "converged": "no plan one step away is faster",
    "time": "stopped by the time limit",
    "interrupted": "interrupted: the best so far",
}


DOUBT = (
    "how probable it is that the limit, which nobody knows exactly, lies below the peak: every run is then killed, "
    "else none"
)


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


class Change(NamedTuple):
    """The plan found with one thing changed, in words; what is not known is an empty text."""

    title: str
    saves: str
    peak: str
    faster: str


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
    peak = reason.peak_change_bytes
    return Change(
        title=f"{reason.title} ({reason.note})" if reason.note else reason.title,
        saves="" if reason.saved_s is None else saved_text(reason.saved_s),
        peak="" if peak is None else "same" if peak == 0 else format_change(peak, format_bytes),
        faster="" if reason.better_share is None else format_percent(reason.better_share),
    )


def flip_lines(explanation: Explanation) -> list[str]:
    """Which conclusions the spread of the costs could reverse."""
    return explanation.flips or ["No conclusion above flips in more than one draw in ten."]


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
    """The budget, what doubt means, the bound, and how the search ended: a word and what there is to say."""
    several = len(devices_of(planning)) > 1
    bound = "1 (each device's bound)" if several else format_seconds(planning.bound)
    plans = format_count(planning.num_evaluated, "plan")
    return [
        ("budget", f"{format_bytes(planning.budget_bytes)}, {planning.budget_source}"),
        ("doubt", DOUBT),
        (
            "bound",
            f"{bound}: no plan within the budget is faster; the plan found is {above_optimum(planning.gap)} above the "
            "optimum"
            if planning.gap is not None
            else "there was no time for one",
        ),
        (
            "search",
            f"{plans} in {format_seconds(planning.search_s)}; {ENDINGS[planning.ending]}",
        ),
        *(("note", line.removesuffix(".")) for line in planning.notes),
    ]
