"""What packages cost, on a terminal: one line per function, then notes on what may keep them from running."""

from __future__ import annotations

from collections import Counter

from ondevice_sora.base.units import format_bytes, format_percent, format_seconds
from ondevice_sora.profiles.figures import MARKS
from ondevice_sora.records.estimate import Estimate, EstimatedFunction, EstimatedPackage
from ondevice_sora.reports.rows import UNITS
from ondevice_sora.reports.terminal.console import Console, table_console
from ondevice_sora.reports.terminal.table import numbers, print_table, text

SHOWN_OPERATIONS = 12
SHOWN_NOTES = 20


def print_estimate(estimate: Estimate) -> None:
    """Print the tables, the operations, and the notes."""
    console = table_console()
    heads = numbers("TFLOP", "on disk", "held", "working", "first load", "later loads", "run")
    rows = [
        _cells(package, function, is_first=number == 0)
        for package in estimate.packages
        for number, function in enumerate(package.functions)
    ]
    if len(estimate.packages) > 1:
        rows.append(_totals(estimate))
    title = f"{estimate.device} · estimated from the packages, not run"
    print_table(console, [*text("package", "on", "weights"), *heads], rows, title)
    console.print()
    for line in (*_operation_lines(estimate), *_filler_lines(estimate), _mark_line(estimate), *_note_lines(estimate)):
        console.print(line)
    if estimate.refused:
        _print_refused(console, estimate)


def _cells(package: EstimatedPackage, row: EstimatedFunction, *, is_first: bool) -> list[str]:
    variant = "" if row.variant == "plain" else f" ({row.variant})"
    shared = [format_bytes(package.weight_bytes), format_bytes(package.held_bytes[package.compute_units])]
    loads = [format_seconds(row.load_cold_s), format_seconds(row.load_warm_s)]
    return [
        f"{row.component} {row.unit}{variant}",
        UNITS[package.compute_units] if is_first else "",
        package.precision if is_first else "",
        f"{row.flops / 1e12:.3g}",
        *(shared if is_first else ("", "")),
        format_bytes(row.working_bytes),
        *(loads if is_first else ("", "")),
        format_seconds(row.run_s),
    ]


def _totals(estimate: Estimate) -> list[str]:
    """The sums, each package counted once."""
    plain = [package.functions[0] for package in estimate.packages]
    once = [package for package in estimate.packages if not package.shares_weights]
    held = sum(package.held_bytes[package.compute_units] for package in once)
    return [
        "total, each once", "", "", f"{sum(row.flops for row in plain) / 1e12:.3g}",
        format_bytes(sum(package.weight_bytes for package in once)), format_bytes(held),
        f"{format_bytes(max(row.working_bytes for row in plain))} at most",
        format_seconds(sum(row.load_cold_s for row in plain)), format_seconds(sum(row.load_warm_s for row in plain)),
        format_seconds(sum(row.run_s for row in plain)),
    ]  # fmt: skip


def _filler_lines(estimate: Estimate) -> list[str]:
    filler = sum(package.filler_bytes for package in estimate.packages)
    return (
        [f"on disk, conversion adds {format_bytes(filler)}: zeros for biases, paddings and the like"] if filler else []
    )


def _operation_lines(estimate: Estimate) -> list[str]:
    """FLOPs by class, and the commonest operations."""
    rows = [function for package in estimate.packages for function in package.functions]
    classes = {
        "matrix products": sum(row.matmul_flops for row in rows),
        "attention": sum(row.attention_flops for row in rows),
        "convolutions": sum(row.convolution_flops for row in rows),
    }
    total = sum(classes.values())
    lines = []
    if total:
        told = ", ".join(f"{format_percent(flops / total)} {name}" for name, flops in classes.items() if flops)
        lines.append(f"FLOPs: {told}")
    found: Counter[str] = Counter()
    for row in rows:
        found.update(row.operations)
    common = ", ".join(f"{number} {name}" for name, number in found.most_common(SHOWN_OPERATIONS))
    more = len(found) - SHOWN_OPERATIONS
    return [*lines, f"operations: {common}" + (f", and {more} more types" if more > 0 else "")]


def _mark_line(estimate: Estimate) -> str:
    """How much of the run seconds rests on figures of each mark."""
    seconds = dict.fromkeys(MARKS, 0.0)
    for package in estimate.packages:
        for row in package.functions:
            for mark, share in row.run_marks.items():
                seconds[mark] += share * row.run_s
    total = sum(seconds.values()) or 1.0
    told = ", ".join(f"{format_percent(value / total)} {mark}" for mark, value in seconds.items() if value)
    return f"run seconds rest on figures that are {told}"


def _note_lines(estimate: Estimate) -> list[str]:
    """Each note once, with the packages that it is about."""
    of: dict[str, list[str]] = {}
    for package in estimate.packages:
        for note in package.notes:
            of.setdefault(note, []).append(package.functions[0].unit)
    lines = []
    for note, names in list(of.items())[:SHOWN_NOTES]:
        where = names[0] if len(names) == 1 else f"{len(names)} packages, the first {names[0]}"
        lines.append(f"note: {where}: {note}")
    if len(of) > SHOWN_NOTES:
        lines.append(f"note: and {len(of) - SHOWN_NOTES} more, see --json")
    return [*lines, *(f"note: {note}" for note in estimate.notes)]


def _print_refused(console: Console, estimate: Estimate) -> None:
    """What is missing, each with what to do about it."""
    console.print(f"\n{_packages(len(estimate.refused))} could not be counted:")
    for each in estimate.refused:
        console.print(f"  {each.path}: {each.what}" + (f"\n    {each.mend}" if each.mend else ""))


def _packages(number: int) -> str:
    return "1 package" if number == 1 else f"{number} packages"
