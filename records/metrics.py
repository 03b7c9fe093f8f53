"""Metrics of a trace, each defined once as a difference between named instants."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from ondevice_sora.profiles.models.model import family
from ondevice_sora.records.result import ComponentResult
from ondevice_sora.records.trace import MemorySample, Span, Trace


def component_results(trace: Trace) -> dict[str, ComponentResult]:
    """Seconds and bytes by component, stages added up; the totals sum to the trace's total."""
    finishes: dict[str, float] = {}
    for span in trace.spans:
        name = family(span.component)
        if span.action != "load":
            finishes[name] = max(finishes.get(name, 0.0), span.end_s)
    total = trace.total_s
    for span in trace.spans:
        finishes.setdefault(family(span.component), total)
    results, before = {}, 0.0
    for name, finish in sorted(finishes.items(), key=lambda item: item[1]):
        spans = [span for span in trace.spans if family(span.component) == name]
        runs = [span for span in spans if span.action == "run"]
        loads = [span for span in spans if span.action == "load"]
        evict_s = sum(span.seconds for span in spans if span.action == "evict")
        run_s = sum(span.seconds for span in runs)
        results[name] = ComponentResult(
            total_s=finish - before,
            run_s=run_s,
            load_s=sum(span.seconds for span in loads),
            stall_s=max(0.0, finish - before - run_s - evict_s),
            loaded_bytes=sum(span.bytes for span in loads),
            num_visits=len(runs),
            num_loads=len(loads),
            peak_bytes=_peak_between(trace.memory, before, finish),
        )
        before = finish
    return results


def busy_shares(trace: Trace) -> dict[str, float]:
    """The share of the total in which each lane was busy: loading, or running on that processor."""
    total = trace.total_s
    busy: dict[str, float] = {}
    for span in trace.spans:
        if span.action != "evict":
            busy[span.lane] = busy.get(span.lane, 0.0) + span.seconds
    return {lane: seconds / total for lane, seconds in sorted(busy.items())} if total > 0 else {}


def step_ends(spans: Iterable[Span], component: str) -> list[float]:
    """When each step (pass) of a component finished, in order, in seconds."""
    ends: dict[int, float] = {}
    for span in spans:
        if span.component == component and span.action != "load":
            ends[span.step] = max(ends.get(span.step, 0.0), span.end_s)
    return [ends[step] for step in sorted(ends)]


def footprint_at(memory: list[MemorySample], time_s: float) -> int:
    """Bytes charged at a moment."""
    index = bisect_right(memory, time_s, key=lambda sample: sample.time_s) - 1
    return memory[index].total if index >= 0 else 0


def _peak_between(memory: list[MemorySample], start_s: float, end_s: float) -> int:
    inside = [sample.total for sample in memory if start_s <= sample.time_s < end_s]
    return max([footprint_at(memory, start_s), *inside], default=0)
