"""Two or more traces beside each other: every number of each, and how far it lies from the first trace's."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ondevice_sora.base.units import format_bytes, format_percent, format_seconds
from ondevice_sora.records.metrics import busy_shares
from ondevice_sora.records.result import ComponentResult
from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.rows import (
    LANE_NAMES,
    MINUS,
    UNKNOWN,
    components,
    hidden_load_share,
    kind_word,
    total_s,
    typical_step_s,
    verdict,
)

Format = Callable[[float], str]
Better = int
LESS, MORE, NEITHER = -1, 1, 0


class Cell(NamedTuple):
    """One trace's value and its difference from the first trace's; `better` is 1, -1, or 0 for neither."""

    value: str
    difference: str
    better: Better


class CompareRow(NamedTuple):
    section: str
    name: str
    cells: tuple[Cell, ...]


def compare_rows(traces: list[Trace]) -> list[CompareRow]:
    """The comparison table. What a trace does not know is a dash and has no difference."""
    parts = [components(trace) for trace in traces]
    names = list(dict.fromkeys(name for part in parts for name in part))
    rows = [
        CompareRow("", "Origin", tuple(Cell(kind_word(trace), "", 0) for trace in traces)),
        CompareRow("", "Device", tuple(Cell(trace.device, "", 0) for trace in traces)),
        CompareRow("", "Verdict", tuple(Cell(verdict(trace).word, "", 0) for trace in traces)),
        _row("Time", "total", [total_s(trace) for trace in traces], format_seconds),
    ]
    if any(trace.kill is not None for trace in traces):
        killed = [trace.kill.time_s if trace.kill is not None else None for trace in traces]
        rows.append(_row("Time", "killed after", killed, format_seconds, NEITHER))
        unlimited = [trace.result.unlimited_s if trace.result is not None else total_s(trace) for trace in traces]
        rows.append(_row("Time", "without a limit", unlimited, format_seconds))
    rows += [_row("Time", name, [_of(part, name, "total_s") for part in parts], format_seconds) for name in names]
    steps = [typical_step_s(trace) for trace in traces]
    rows.append(_row("Time", "typical step", [step[1] if step else None for step in steps], format_seconds))
    stalls: list[float | None] = [sum(part.stall_s for part in each.values()) for each in parts]
    rows.append(_row("Time", "waiting for loads", stalls, format_seconds))
    loads: list[float | None] = [float(sum(part.num_loads for part in each.values())) for each in parts]
    rows.append(_row("Loading", "loads", loads, lambda count: f"{count:.0f}"))
    sizes: list[float | None] = [float(sum(part.loaded_bytes for part in each.values())) for each in parts]
    rows.append(_row("Loading", "bytes loaded", sizes, format_bytes))
    hidden = [hidden_load_share(trace.spans) if trace.kill is None else None for trace in traces]
    rows.append(_row("Loading", "hidden behind runs", hidden, format_percent, MORE))
    rows.append(_row("Memory", "peak footprint", [float(trace.peak_bytes) for trace in traces], format_bytes, NEITHER))
    rows.append(_row("Memory", "limit", [float(trace.limit_bytes) for trace in traces], format_bytes, NEITHER))
    risks = [trace.result.kill_share if trace.result is not None else None for trace in traces]
    if any(risk is not None for risk in risks):
        rows.append(_row("Memory", "risk of a kill", risks, format_percent))
    busy = [trace.result.busy_share if trace.result is not None else busy_shares(trace) for trace in traces]
    for lane in ("gpu", "ane", "cpu"):
        if any(lane in share for share in busy):
            rows.append(_row("Busy", LANE_NAMES[lane], [share.get(lane) for share in busy], format_percent, NEITHER))
    return rows


def _of(part: dict[str, ComponentResult], name: str, field: str) -> float | None:
    return float(getattr(part[name], field)) if name in part else None


def _row(section: str, name: str, values: list[float | None], write: Format, good: Better = LESS) -> CompareRow:
    first = values[0]
    cells = [Cell(UNKNOWN if first is None else write(first), "", 0)]
    for value in values[1:]:
        if value is None or first is None:
            cells.append(Cell(UNKNOWN if value is None else write(value), "", 0))
            continue
        change = value - first
        better = 0 if abs(change) <= 1e-3 * abs(first) else good * (1 if change > 0 else -1)
        cells.append(Cell(write(value), _difference(first, value, write), better))
    return CompareRow(section, name, tuple(cells))


def _difference(first: float, value: float, write: Format) -> str:
    """'+14.0 s (+1.2 %)'; shares differ in percentage points, without a percentage of a percentage."""
    change = value - first
    if write is format_percent:
        return "same" if abs(change) < 5e-4 else f"{_sign(change)}{abs(change) * 100:.1f} points"
    if write(abs(change)) == write(0.0) or abs(change) < 1e-9 * max(abs(first), abs(value)):
        return "same"
    share = f" ({_sign(change)}{format_percent(abs(change) / first)})" if first > 0 else ""
    return f"{_sign(change)}{write(abs(change))}{share}"


def _sign(change: float) -> str:
    return "+" if change > 0 else MINUS
