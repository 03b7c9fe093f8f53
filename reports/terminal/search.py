"""The search's answer on a terminal: the plan found beside the others, the gap, what the gain rests on, the front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ondevice_sora.base.units import (
    TimeUnit,
    format_bytes,
    format_change,
    format_count,
    format_percent,
    format_probability,
    format_seconds,
    time_unit,
)
from ondevice_sora.profiles.figures import Mark
from ondevice_sora.records.search import Explanation, FrontPoint, PlannedRow, Planning, RefusedVariant, VariantPoint
from ondevice_sora.reports.search import (
    SURE,
    budget_cells,
    changes,
    devices_of,
    flip_lines,
    gap_lines,
    plan_name,
    rests_on,
    rows_of,
    saved_by_mark,
)
from ondevice_sora.reports.terminal.console import table_console
from ondevice_sora.reports.terminal.table import numbers, print_facts, print_table, text

MARKS_SHOWN: tuple[Mark, ...] = ("fitted", "estimated")
SAME = 5e-4
"""Relative: less is no difference."""
SHOWN = 12
"""Points of a front that are printed; the JSON has them all."""


def print_planning(plannings: dict[str, Planning]) -> None:
    """Print the plans found beside the others, by model, in one table; then what each search comes to."""
    console = table_console()
    every = [row for planning in plannings.values() for row in planning.rows]
    units = _units(every)
    heads = [f"total, {units.total.name}", *(f"{name}, {unit.name}" for name, unit in units.components.items())]
    heads += ["peak", "packages", "risk", f"found saves, {units.saved.name}", *MARKS_SHOWN]
    risks = [planning.risk for planning in plannings.values() if planning.risk is not None]
    if risks:
        heads.append(f"at {format_percent(risks[0])}, {units.quantile.name}")
    lines: list[list[str]] = []
    for model, planning in plannings.items():
        for device in devices_of(planning):
            rows = rows_of(planning, device)
            lines += [[f"{model} on {device}"], *(_cells(row, rows[0], units) for row in rows)]
    title = "simulated; last columns: how much of the saving comes from fitted or estimated figures"
    print_table(console, [*text("plan"), *numbers(*heads)], lines, title)
    for model, planning in plannings.items():
        console.print()
        if len(plannings) > 1:
            console.print(model)
        for device in devices_of(planning):
            for line in gain_lines(rows_of(planning, device), planning.budget_bytes):
                console.print(line)
        print_facts(console, gap_lines(planning))


class _Units(NamedTuple):
    """One unit a column."""

    total: TimeUnit
    components: dict[str, TimeUnit]
    saved: TimeUnit
    quantile: TimeUnit


def _units(rows: list[PlannedRow]) -> _Units:
    names = dict.fromkeys(name for row in rows for name in row.component_s)
    totals = [row.total_s for row in rows]
    return _Units(
        time_unit(max(totals)),
        {name: time_unit(max(row.component_s.get(name, 0.0) for row in rows)) for name in names},
        time_unit(max(totals) - min(totals)),
        time_unit(max(row.quantile_s or 0.0 for row in rows)),
    )


def _cells(row: PlannedRow, found: PlannedRow, units: _Units) -> list[str]:
    cells = [f"  {plan_name(row)}", units.total.write(row.total_s)]
    for name, unit in units.components.items():
        cells.append(unit.write(row.component_s[name]) if name in row.component_s else "")
    cells += [format_bytes(row.peak_bytes), str(row.num_packages), format_probability(row.kill_share)]
    if row is found:
        cells += [""] * (1 + len(MARKS_SHOWN))
    else:
        saved = saved_by_mark(row, found)
        told = (sum(saved.values()), *(saved.get(mark, 0.0) for mark in MARKS_SHOWN))
        cells += [format_change(each, units.saved.write) for each in told]
    if row.quantile_s is not None:
        cells.append(units.quantile.write(row.quantile_s))
    return cells


def gain_lines(rows: list[PlannedRow], budget_bytes: int) -> list[str]:
    """How much faster the first row is than each other one, and on what figures the difference rests.

    Of a faster one that needs more than the budget it is said that this is why.
    """
    found, *others = rows
    lines = []
    for other in others:
        saved = other.total_s - found.total_s
        share = format_percent(abs(saved) / other.total_s)
        if abs(saved) < SAME * other.total_s:
            lines.append(f"As fast as {other.name}.")
            continue
        by_mark = {mark: each for mark, each in saved_by_mark(other, found).items() if abs(each) >= SAME * abs(saved)}
        word = "faster" if saved > 0 else "slower"
        over = saved < 0 and other.peak_bytes > budget_bytes
        why = f", which needs {format_bytes(other.peak_bytes)}, more than the budget" if over else ""
        lines.append(
            f"{format_seconds(abs(saved))} ({share}) {word} than {other.name}{why}; saved by figures: "
            f"{rests_on(by_mark)}."
        )
    return lines


def print_front(planning: Planning) -> None:
    """Print the front of the budgets searched, and those of all plans tried, thinned, if there is a choice."""
    console = table_console()
    console.print()
    heads = ("budget", "total", "peak", "risk", "above the optimum", "packages")
    print_table(console, numbers(*heads), list(map(budget_cells, planning.memory_front)), "fastest plans by budget")
    for title, points in (
        ("all plans tried, by storage", planning.storage_front),
        ("all plans tried, by packages", planning.package_front),
    ):
        if len(points) < 2:
            continue
        rows = [
            (
                format_seconds(point.total_s),
                format_bytes(point.peak_bytes),
                str(point.num_packages),
                format_bytes(point.stored_bytes),
            )
            for point in thinned(points)
        ]
        console.print()
        print_table(console, numbers("total", "peak", "packages", "stored"), rows, title)


def print_variants(found: Sequence[VariantPoint | RefusedVariant], title: str) -> None:
    """Print the best plan of each variant, with what its total rests on, and why others were refused."""
    points = [each for each in found if isinstance(each, VariantPoint)]
    free = [*dict.fromkeys(name for point in found for name in (*point.precision, *point.compute_units))]
    is_chosen = bool(free) or any(point.branches for point in found)
    is_known = any(point.estimated_db is not None for point in points)
    quality = ["quality"] if is_known else []
    heads = ["evaluations", "total", *quality, "peak", "risk", "above the optimum", *MARKS_SHOWN]
    rows = [
        [
            *([_chosen(point, free)] if is_chosen else []),
            str(point.evaluations),
            format_seconds(point.total_s),
            *(["" if point.estimated_db is None else f"{point.estimated_db:.1f} dB"] if is_known else []),
            format_bytes(point.peak_bytes),
            format_probability(point.kill_share),
            "" if point.gap is None else format_percent(point.gap),
            *(format_percent(point.share_by_mark.get(mark, 0.0)) for mark in MARKS_SHOWN),
        ]
        for point in points
    ]
    console = table_console()
    console.print(f"{title}; simulated\n")
    print_table(console, [*(text("chosen") if is_chosen else []), *numbers(*heads)], rows)
    for each in found:
        if isinstance(each, RefusedVariant):
            chosen = ", ".join(filter(None, [format_count(each.evaluations, "evaluation"), _chosen(each, free)]))
            console.print(f"No plan fits with {chosen}: {each.reason}.")
    if any(point.precision for point in points):
        console.print("Not measured: what these precisions do to the picture.")
    if is_known:
        console.print("Quality: how near the latents are estimated to come to those of all steps.")
    elif len({point.evaluations for point in points}) > 1:
        console.print(
            "Not measured on this model: what fewer evaluations do to the picture. `ondevice-sora steps plan` can."
        )


def _chosen(point: VariantPoint | RefusedVariant, names: list[str]) -> str:
    """'branches in turn, denoiser float16, decoder cpu_and_gpu'."""
    said = [*point.precision.items(), *point.compute_units.items()]
    parts = [f"{name} {one}" for name, one in sorted(said, key=lambda pair: names.index(pair[0]))]
    return ", ".join([*([f"branches {BRANCHES[point.branches]}"] if point.branches else []), *parts])


BRANCHES = {"batch": "in a batch", "in_turn": "in turn"}


def thinned(points: list[FrontPoint]) -> list[FrontPoint]:
    """At most SHOWN points, the first and the last among them."""
    if len(points) <= SHOWN:
        return points
    return [points[round(index * (len(points) - 1) / (SHOWN - 1))] for index in range(SHOWN)]


def print_explanation(explanation: Explanation) -> None:
    """Print what a plan's time goes to, what each thing is worth, and what could be otherwise."""
    console = table_console()
    console.print(f"{explanation.plan} on {explanation.device} · simulated")
    console.print(
        f"One generation takes {format_seconds(explanation.total_s)}; best possible within "
        f"{format_bytes(explanation.budget_bytes)} {format_seconds(explanation.bound_s)}. Memory peaks at "
        f"{format_bytes(explanation.peak_bytes)}."
    )
    console.print()
    unit = time_unit(max((row.total_s for row in explanation.components), default=0.0))
    rows = []
    for row in explanation.components:
        seconds = (row.total_s, row.run_s, row.interference_s, row.stall_s, row.other_s, row.load_s, row.reload_s)
        rows.append([row.component, *(unit.write(max(0.0, value)) for value in seconds)])
    heads = numbers(f"time, {unit.name}", "run", "slowed by loads", "stall", "other", "loads", "loaded again")
    print_table(console, [*text("component"), *heads], rows)
    for row in explanation.components:
        console.print(f"{row.component}: {row.bounded_by}.")
    for group, found in changes(explanation).items():
        console.print()
        print_table(console, [*text(group), *numbers("time", "peak", "sure")], found)
    console.print()
    console.print(SURE)
    for line in [*flip_lines(explanation), *explanation.notes]:
        console.print(line)
