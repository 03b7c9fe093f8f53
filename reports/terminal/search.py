"""The planner's answer on a terminal: the plan found beside the others, the gap, what the gain rests on, the front."""

from __future__ import annotations

from ondevice_sora.base.units import format_bytes, format_percent, format_seconds
from ondevice_sora.profiles.figures import Mark
from ondevice_sora.records.search import Explanation, FrontPoint, PlannedRow, Planning
from ondevice_sora.reports.terminal.console import plain_table, table_console

ENDINGS = {
    "optimum": "every plan was tried: this is the optimum",
    "converged": "no plan one step away is faster",
    "time": "the time was up",
    "interrupted": "interrupted: the best so far",
}
TABLE_WIDTH = 180
MARKS_SHOWN: tuple[Mark, ...] = ("fitted", "estimated")
SHOWN = 12
"""Points of a front that are printed; the JSON has them all."""


def print_planning(plannings: dict[str, Planning]) -> None:
    """Print the plans found beside the others, by model, in one table; then what each search comes to."""
    console = table_console(TABLE_WIDTH)
    every = [row for planning in plannings.values() for row in planning.rows]
    families = list(dict.fromkeys(family for row in every for family in row.component_s))
    right = ("total", *families, "peak", "packages", "killed in", "found saves", *MARKS_SHOWN)
    risks = [planning.risk for planning in plannings.values() if planning.risk is not None]
    if risks:
        right = (*right, f"at {format_percent(risks[0])}")
    table = plain_table(("plan",), right, title="simulated; of the seconds saved, those that rest on figures of a mark")
    for model, planning in plannings.items():
        for device in dict.fromkeys(row.device for row in planning.rows):
            rows = [row for row in planning.rows if row.device == device]
            table.add_row(f"{model} on {device}")
            for row in rows:
                table.add_row(*_cells(row, rows[0], families))
    console.print(table)
    for model, planning in plannings.items():
        console.print()
        if len(plannings) > 1:
            console.print(model)
        for device in dict.fromkeys(row.device for row in planning.rows):
            for line in gain_lines([row for row in planning.rows if row.device == device]):
                console.print(line)
        for line in gap_lines(planning):
            console.print(line)


def _cells(row: PlannedRow, found: PlannedRow, families: list[str]) -> list[str]:
    name = row.name if row.verdict == "fits" else f"{row.name} (killed)"
    cells = [f"  {name}", format_seconds(row.total_s)]
    cells += [format_seconds(row.component_s[family]) if family in row.component_s else "" for family in families]
    cells += [format_bytes(row.peak_bytes), str(row.num_packages), format_percent(row.kill_share)]
    saved = saved_by_mark(row, found)
    shown = ["", *[""] * len(MARKS_SHOWN)]
    if row is not found:
        shown = [f"{seconds:+.1f} s" for seconds in (sum(saved.values()), *(saved.get(m, 0.0) for m in MARKS_SHOWN))]
    cells += shown
    if row.quantile_s is not None:
        cells.append(format_seconds(row.quantile_s))
    return cells


def saved_by_mark(other: PlannedRow, found: PlannedRow) -> dict[Mark, float]:
    """The seconds that `found` saves over `other`, by the mark of the figures that they rest on."""
    marks = sorted({**other.seconds_by_mark, **found.seconds_by_mark})
    return {mark: other.seconds_by_mark.get(mark, 0.0) - found.seconds_by_mark.get(mark, 0.0) for mark in marks}


def rests_on(saved: dict[Mark, float]) -> str:
    return ", ".join(f"{seconds:+.1f} s {mark}" for mark, seconds in saved.items())


def gain_lines(rows: list[PlannedRow]) -> list[str]:
    """How much faster the first row is than each other one, and on what figures the difference rests."""
    found, *others = rows
    lines = []
    for other in others:
        saved = other.total_s - found.total_s
        word = "faster" if saved >= 0 else "slower"
        line = f"{format_seconds(abs(saved))} ({format_percent(abs(saved) / other.total_s)}) {word} than {other.name}"
        lines.append(f"{line}; seconds saved by figures: {rests_on(saved_by_mark(other, found))}.")
    return lines


def gap_lines(planning: Planning) -> list[str]:
    """The budget, the bound, and how the search ended."""
    several = len({row.device for row in planning.rows}) > 1
    bound = "1 (each device's bound)" if several else format_seconds(planning.bound)
    return [
        f"budget   {format_bytes(planning.budget_bytes)}, {planning.budget_source}",
        f"bound    {bound}: no plan within the budget is faster; the plan found is at most "
        f"{format_percent(planning.gap)} above the optimum",
        f"search   {planning.num_evaluated:,} plans in {format_seconds(planning.search_s)}; {ENDINGS[planning.ending]}",
    ]


def print_front(planning: Planning) -> None:
    """Print the Pareto fronts, evenly thinned to SHOWN points each."""
    console = table_console()
    for title, points in (
        ("fastest plans by peak memory", planning.memory_front),
        ("fastest plans by storage", planning.storage_front),
        ("fastest plans by number of packages", planning.package_front),
    ):
        table = plain_table((), ("total", "peak", "packages", "stored"), title=title)
        for point in thinned(points):
            table.add_row(
                format_seconds(point.total_s), format_bytes(point.peak_bytes), str(point.num_packages),
                format_bytes(point.stored_bytes),
            )  # fmt: skip
        console.print()
        console.print(table)


def thinned(points: list[FrontPoint]) -> list[FrontPoint]:
    """At most SHOWN points, the first and the last among them."""
    if len(points) <= SHOWN:
        return points
    return [points[round(index * (len(points) - 1) / (SHOWN - 1))] for index in range(SHOWN)]


def print_explanation(explanation: Explanation) -> None:
    """Print what a plan's time goes to, what each thing is worth, and what could be otherwise."""
    console = table_console()
    console.print(
        f"{explanation.plan} on {explanation.device} · simulated\n"
        f"{format_seconds(explanation.total_s)}, at least {format_seconds(explanation.bound_s)} for any plan within "
        f"{format_bytes(explanation.budget_bytes)}; peak {format_bytes(explanation.peak_bytes)}"
    )
    table = plain_table(
        ("component",), ("time", "run", "slowed by loads", "stall", "other", "loads", "again"), title=" "
    )
    for row in explanation.components:
        seconds = (row.total_s, row.run_s, row.interference_s, row.stall_s, row.other_s, row.load_s, row.reload_s)
        table.add_row(row.component, *(format_seconds(max(0.0, value)) for value in seconds))
    console.print(table)
    for row in explanation.components:
        console.print(f"{row.component}: {row.bounded_by}")
    for group in dict.fromkeys(reason.group for reason in explanation.reasons):
        table = plain_table((group,), ("saves", "peak", "faster in"), title=" ")
        for reason in explanation.reasons:
            if reason.group == group:
                saved = "" if reason.saved_s is None else f"{reason.saved_s:+.2f} s"
                peak = "" if reason.peak_change_bytes is None else f"{reason.peak_change_bytes / 1e6:+.0f} MB"
                share = "" if reason.better_share is None else f"{format_percent(reason.better_share)} of draws"
                title = f"{reason.title} ({reason.note})" if reason.note else reason.title
                table.add_row(title, saved, peak, share)
        console.print(table)
    console.print()
    flips = explanation.flips or ["No conclusion above flips in more than one draw in ten."]
    for line in [*flips, *explanation.notes]:
        console.print(line)
