"""The search's answer on a terminal: the plan found beside the others, the gap, what the gain rests on, the front."""

from __future__ import annotations

from collections.abc import Sequence

from ondevice_sora.base.units import format_bytes, format_percent, format_probability, format_seconds
from ondevice_sora.profiles.figures import Mark
from ondevice_sora.records.search import Explanation, FrontPoint, PlannedRow, Planning, RefusedVariant, VariantPoint
from ondevice_sora.reports.search import (
    budget_cells,
    changes,
    devices_of,
    flip_lines,
    gap_lines,
    plan_name,
    rests_on,
    rows_of,
    saved_by_mark,
    saved_text,
)
from ondevice_sora.reports.terminal.console import table_console
from ondevice_sora.reports.terminal.table import numbers, print_facts, print_table, text

MARKS_SHOWN: tuple[Mark, ...] = ("fitted", "estimated")
SHOWN = 12
"""Points of a front that are printed; the JSON has them all."""


def print_planning(plannings: dict[str, Planning]) -> None:
    """Print the plans found beside the others, by model, in one table; then what each search comes to."""
    console = table_console()
    every = [row for planning in plannings.values() for row in planning.rows]
    components = list(dict.fromkeys(name for row in every for name in row.component_s))
    heads = ["total", *components, "peak", "packages", "doubt", "found saves", *MARKS_SHOWN]
    risks = [planning.risk for planning in plannings.values() if planning.risk is not None]
    if risks:
        heads.append(f"at {format_percent(risks[0])}")
    lines: list[list[str]] = []
    for model, planning in plannings.items():
        for device in devices_of(planning):
            rows = rows_of(planning, device)
            lines += [[f"{model} on {device}"], *(_cells(row, rows[0], components) for row in rows)]
    title = "simulated; fitted, estimated: seconds saved that rest on such figures"
    print_table(console, [*text("plan"), *numbers(*heads)], lines, title)
    for model, planning in plannings.items():
        console.print()
        if len(plannings) > 1:
            console.print(model)
        for device in devices_of(planning):
            for line in gain_lines(rows_of(planning, device)):
                console.print(line)
        print_facts(console, gap_lines(planning))


def _cells(row: PlannedRow, found: PlannedRow, components: list[str]) -> list[str]:
    cells = [f"  {plan_name(row)}", format_seconds(row.total_s)]
    cells += [format_seconds(row.component_s[name]) if name in row.component_s else "" for name in components]
    cells += [format_bytes(row.peak_bytes), str(row.num_packages), format_probability(row.kill_share)]
    if row is found:
        cells += [""] * (1 + len(MARKS_SHOWN))
    else:
        saved = saved_by_mark(row, found)
        cells += [saved_text(each) for each in (sum(saved.values()), *(saved.get(mark, 0.0) for mark in MARKS_SHOWN))]
    if row.quantile_s is not None:
        cells.append(format_seconds(row.quantile_s))
    return cells


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


def print_front(planning: Planning) -> None:
    """Print the front of the budgets searched, and those of all plans tried, thinned, if there is a choice."""
    console = table_console()
    console.print()
    heads = ("budget", "total", "peak", "doubt", "above the optimum", "packages")
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
    heads = ["evaluations", "total", *quality, "peak", "doubt", "above the optimum", *MARKS_SHOWN]
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
            chosen = ", ".join(filter(None, [f"{each.evaluations} evaluations", _chosen(each, free)]))
            console.print(f"refused: {chosen}: {each.reason}")
    if any(point.precision for point in points):
        console.print("What a precision costs in quality was not measured.")
    if is_known:
        console.print("quality: estimated distance of the latents to those of all steps")
    elif len({point.evaluations for point in points}) > 1:
        console.print("What fewer evaluations cost in quality was not measured on this model; `steps plan` can.")


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
    console.print(
        f"{explanation.plan} on {explanation.device} · simulated\n"
        f"{format_seconds(explanation.total_s)}, at least {format_seconds(explanation.bound_s)} for any plan within "
        f"{format_bytes(explanation.budget_bytes)}; peak {format_bytes(explanation.peak_bytes)}\n"
    )
    rows = []
    for row in explanation.components:
        seconds = (row.total_s, row.run_s, row.interference_s, row.stall_s, row.other_s, row.load_s, row.reload_s)
        rows.append([row.component, *(format_seconds(max(0.0, value)) for value in seconds)])
    heads = numbers("time", "run", "slowed by loads", "stall", "other", "loads", "loaded again")
    print_table(console, [*text("component"), *heads], rows)
    for row in explanation.components:
        console.print(f"{row.component}: {row.bounded_by}")
    for group, found in changes(explanation).items():
        console.print()
        print_table(console, [*text(group), *numbers("saves", "peak", "faster in draws")], found)
    console.print()
    for line in [*flip_lines(explanation), *explanation.notes]:
        console.print(line)
