"""What a page says of the peak and of every block: the parts of the footprint, and the blocks as a table to save."""

from __future__ import annotations

from typing import NamedTuple

from ondevice_sora.base.units import TimeUnit, format_bytes, time_unit
from ondevice_sora.records.memory import Holder
from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.memory import PeakRow, peak_rows, resident_rows, resident_words
from ondevice_sora.reports.page.downloads import csv_text
from ondevice_sora.reports.rows import BlockGroup, block_groups, block_rows
from ondevice_sora.reports.timeline import unit_of

COLORS: dict[Holder, str] = {
    "baseline": "h-baseline",
    "resident": "h-resident",
    "run": "p-run",
    "ahead": "h-loading",
    "loading": "p-stall",
    "working": "h-working",
    "left": "h-residual",
}


class PeakView(NamedTuple):
    """`when` says at which moment, `residents` a component and what of it stays."""

    when: str
    rows: list[PeakRow]
    total: int
    residents: list[tuple[str, str]]


def peak_view(trace: Trace) -> PeakView | None:
    """None where the trace does not say what its peak is made of."""
    result = trace.result
    if result is None or result.peak is None:
        return None
    peak = result.peak
    at = unit_of(trace).told(peak.time_s)
    when = f"{format_bytes(peak.bytes)} at {at}, while it is the turn of block {peak.block} of {peak.component}"
    when += f" in step {peak.step}."
    if trace.kill is not None:
        when = f"Were there no limit: {when}"
    residents = [(row.component, resident_words(row)) for row in resident_rows(trace)]
    return PeakView(when, peak_rows(trace), peak.bytes, residents)


class Blocks(NamedTuple):
    """The blocks' groups, and the unit of each column of times.

    `has_sums`: the trace holds all runs and loads that the rows count. One that ends early by a kill does not.
    """

    groups: list[BlockGroup]
    has_sums: bool
    all_runs: TimeUnit
    all_loads: TimeUnit
    run: TimeUnit
    load: TimeUnit
    first_load: TimeUnit


def blocks_view(trace: Trace) -> Blocks | None:
    """None of a trace in which nothing ran."""
    groups = block_groups(trace)
    if not groups:
        return None
    rows = [row for group in groups for row in (group, *group.members)]
    return Blocks(
        groups,
        _has_sums(trace),
        time_unit(max(row.all_runs_s for row in rows)),
        time_unit(max(row.all_loads_s for row in rows)),
        time_unit(max(row.run_s or 0.0 for row in rows)),
        time_unit(max(row.load_warm_s or 0.0 for row in rows)),
        time_unit(max(row.load_cold_s or 0.0 for row in rows)),
    )


def _has_sums(trace: Trace) -> bool:
    return trace.kill is None or trace.result is None


def blocks_csv(trace: Trace) -> str:
    """Every block in every variant as a table to save, seconds and bytes; an empty cell is not known."""
    has_sums = _has_sums(trace)
    heads = (
        "component", "block", "variant", "compute_units", "kept", "num_runs", "num_loads", "all_runs_s", "all_loads_s",
        "run_s", "load_s", "first_load_s", "stored_bytes", "held_bytes", "working_bytes",
    )  # fmt: skip
    rows = [
        (
            row.component, row.name, row.variant, row.compute_units, row.kept, row.num_runs, row.num_loads,
            *(_to_microseconds(seconds) if has_sums else None for seconds in (row.all_runs_s, row.all_loads_s)),
            *map(_to_microseconds, (row.run_s, row.load_warm_s, row.load_cold_s)),
            row.stored_bytes, row.held_bytes, row.working_bytes,
        )
        for row in block_rows(trace)
    ]  # fmt: skip
    return csv_text(heads, rows)


def _to_microseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
