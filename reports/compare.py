"""Two or more traces beside each other: every number of each, and how far it lies from the first trace's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ondevice_sora.base.units import format_bytes, format_change, format_percent, format_probability, format_seconds
from ondevice_sora.records.metrics import busy_shares
from ondevice_sora.records.result import ComponentResult
from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.rows import (
    LANE_NAMES,
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
SAME = "same"
MANY_TIMES = 10.0
"""From here on a percentage says less than how many times as much it is."""


class Cell(NamedTuple):
    """One trace's value and its difference from the first trace's; `better` is 1, -1, or 0 for neither."""

    value: str
    difference: str
    better: Better


class CompareRow(NamedTuple):
    section: str
    name: str
    cells: tuple[Cell, ...]


class _Run(NamedTuple):
    """A trace, its components, and the share of time that each lane is busy."""

    trace: Trace
    parts: dict[str, ComponentResult]
    busy: dict[str, float]

    def sum_of(self, field: str) -> float:
        return float(sum(getattr(part, field) for part in self.parts.values()))


class _Line(NamedTuple):
    """A row before its numbers: how to read it from a run (None: not known), how to write it, and what is better."""

    section: str
    name: str
    value: Callable[[_Run], float | None]
    write: Format
    good: Better = LESS


def compare_rows(traces: list[Trace]) -> list[CompareRow]:
    """The comparison table. What a trace does not know is a dash and has no difference; what none knows has no row.

    Beside a simulated run a measured one is neither better nor worse: it is what was predicted, or it is not.
    """
    runs = [_run(trace) for trace in traces]
    words: list[tuple[str, Callable[[Trace], str]]] = [
        ("Origin", kind_word),
        ("Device", lambda trace: trace.device),
        ("Verdict", lambda trace: verdict(trace).word),
    ]
    rows = [CompareRow("", name, tuple(Cell(tell(trace), "", NEITHER) for trace in traces)) for name, tell in words]
    is_race = len({trace.kind for trace in traces}) == 1
    for line in _lines(runs):
        values = [line.value(run) for run in runs]
        if any(value is not None for value in values):
            rows.append(_row(line if is_race else line._replace(good=NEITHER), values))
    return rows


def _run(trace: Trace) -> _Run:
    busy = trace.result.busy_share if trace.result is not None else busy_shares(trace)
    return _Run(trace, components(trace), busy)


def _lines(runs: list[_Run]) -> list[_Line]:
    names = list(dict.fromkeys(name for run in runs for name in run.parts))
    is_any_killed = any(run.trace.kill is not None for run in runs)
    return [
        _Line("Time", "total", lambda run: total_s(run.trace), format_seconds),
        _Line(
            "Time",
            "killed after",
            lambda run: run.trace.kill.time_s if run.trace.kill else None,
            format_seconds,
            NEITHER,
        ),
        *([_Line("Time", "without a limit", _unlimited_s, format_seconds)] if is_any_killed else []),
        *(_Line("Time", name, _total_of(name), format_seconds) for name in names),
        _Line("Time", "typical step", _step_s, format_seconds),
        _Line("Time", "waiting for loads", lambda run: run.sum_of("stall_s"), format_seconds),
        _Line("Loading", "loads", lambda run: run.sum_of("num_loads"), lambda count: f"{count:.0f}"),
        _Line("Loading", "bytes loaded", lambda run: run.sum_of("loaded_bytes"), format_bytes),
        _Line("Loading", "hidden behind runs", _hidden_share, format_percent, MORE),
        _Line("Memory", "peak footprint", lambda run: run.trace.peak_bytes, format_bytes, NEITHER),
        _Line(
            "Memory", "peak, measured by the system", lambda run: run.trace.sampled_peak_bytes, format_bytes, NEITHER
        ),
        _Line("Memory", "budget of the plan", lambda run: run.trace.allowed_bytes, format_bytes, NEITHER),
        _Line("Memory", "limit", lambda run: run.trace.limit_bytes, format_bytes, NEITHER),
        _Line("Memory", "risk of a kill", _kill_share, format_probability),
        *(_Line("Busy", LANE_NAMES[lane], _busy_of(lane), format_percent, NEITHER) for lane in ("gpu", "ane", "cpu")),
    ]


def _unlimited_s(run: _Run) -> float | None:
    return run.trace.result.unlimited_s if run.trace.result is not None else total_s(run.trace)


def _kill_share(run: _Run) -> float | None:
    return run.trace.result.kill_share if run.trace.result is not None else None


def _total_of(component: str) -> Callable[[_Run], float | None]:
    return lambda run: run.parts[component].total_s if component in run.parts else None


def _step_s(run: _Run) -> float | None:
    step = typical_step_s(run.trace)
    return step[1] if step is not None else None


def _hidden_share(run: _Run) -> float | None:
    return hidden_load_share(run.trace.spans) if run.trace.kill is None else None


def _busy_of(lane: str) -> Callable[[_Run], float | None]:
    return lambda run: run.busy.get(lane)


def _row(line: _Line, values: list[float | None]) -> CompareRow:
    first = values[0]
    cells = [Cell(UNKNOWN if first is None else line.write(first), "", NEITHER)]
    for value in values[1:]:
        if value is None or first is None:
            cells.append(Cell(UNKNOWN if value is None else line.write(value), "", NEITHER))
            continue
        change = value - first
        difference = _difference(first, value, line.write)
        is_same = difference == SAME or abs(change) <= 1e-3 * abs(first)
        cells.append(Cell(line.write(value), difference, NEITHER if is_same else line.good * (1 if change > 0 else -1)))
    return CompareRow(line.section, line.name, tuple(cells))


def _difference(first: float, value: float, write: Format) -> str:
    """'+14.0 s (+1.2 %)'; shares differ in percentage points, without a percentage of a percentage."""
    change = value - first
    if write in (format_percent, format_probability):
        least = 1e-3 if write is format_probability else 5e-4
        return SAME if abs(change) < least else format_change(change, lambda share: f"{share * 100:.1f} points")
    written = format_change(change, write)
    if written == write(0.0) or abs(change) < 1e-9 * max(abs(first), abs(value)):
        return SAME
    if first <= 0:
        return written
    share = format_change(change / first, format_percent)
    return f"{written} ({f'{value / first:,.0f} times' if value >= MANY_TIMES * first else share})"


def run_rows(traces: Sequence[Trace], names: Sequence[str]) -> list[dict[str, Any]]:
    """One row a trace for a table: what a program goes on with, in seconds and bytes; None for what is not known."""
    rows = []
    for name, run in zip(names, map(_run, traces), strict=True):
        trace, result = run.trace, run.trace.result
        low_s, high_s = (None, None) if result is None or result.interval_s is None else result.interval_s
        rows.append(
            {
                "run": name,
                "device": trace.device,
                "kind": trace.kind,
                "verdict": "killed" if verdict(trace).is_killed else "fits",
                "total_s": total_s(trace),
                "low_s": low_s,
                "high_s": high_s,
                "unlimited_s": _unlimited_s(run),
                "peak_bytes": trace.peak_bytes,
                "limit_bytes": trace.limit_bytes,
                "kill_share": _kill_share(run),
                "stall_s": run.sum_of("stall_s"),
                "num_loads": int(run.sum_of("num_loads")),
                "loaded_bytes": int(run.sum_of("loaded_bytes")),
                **{f"{component}_s": part.total_s for component, part in run.parts.items()},
            }
        )
    return rows
