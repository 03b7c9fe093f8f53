"""What a played schedule's trace says of each load, run and eviction: how long it took from when it could have begun.

A load could begin when the load before it had ended and its gate had finished; a run when the visit before had finished
and its block was loaded. Counted from there, the engine's own time between two spans (locks, a thread waking up, the
sampler's arithmetic between two steps) belongs to what follows it, and a simulation of those durations leaves no gap.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean, median
from typing import NamedTuple

from ondevice_sora.plans.schedule import Schedule
from ondevice_sora.profiles.figures import MAD_TO_SIGMA
from ondevice_sora.records.trace import Action, Span, Trace

OUTLIER_SIGMAS = 4.0
ALONE_SHARE = 0.02
"""Less than this share of its time beside the other activity counts as alone."""


class Activity(NamedTuple):
    """One load, run or eviction of visit `visit`. `overlap_s` is how much of it the other thread was busy."""

    action: Action
    visit: int
    start_s: float
    end_s: float
    overlap_s: float

    @property
    def seconds(self) -> float:
        return self.end_s - self.start_s

    @property
    def is_alone(self) -> bool:
        return self.overlap_s <= ALONE_SHARE * self.seconds


def activities(schedule: Schedule, trace: Trace) -> list[Activity]:
    """Every load, run and eviction of a generation that was played to its end, in the order of visits.

    Raises ValueError if the trace is not of this schedule, or breaks off.
    """
    visits = schedule.visits
    spans = {action: iter(_of(trace, action)) for action in ("load", "run", "evict")}
    loads: dict[int, tuple[float, float]] = {}
    runs: dict[int, tuple[float, float]] = {}
    evictions: dict[int, tuple[float, float]] = {}
    finished = [0.0] * (len(visits) + 1)
    """when each visit had finished; the last entry stands for gate -1"""
    loaded_s = 0.0
    try:
        # Gates lie before their visits: going by visits, what a load waited for is known.
        for index, visit in enumerate(visits):
            before = finished[index - 1]
            if visit.loads:
                end = next(spans["load"]).end_s
                loads[index] = (max(loaded_s, finished[visit.gate]), end)
                loaded_s = end
                before = max(before, end)
            end = next(spans["run"]).end_s
            runs[index] = (before, end)
            if visit.evicts:
                evictions[index] = (end, next(spans["evict"]).end_s)
                end = evictions[index][1]
            finished[index] = end
    except StopIteration:
        raise ValueError("the trace ends before its schedule") from None
    if any(next(rest, None) is not None for rest in spans.values()):
        raise ValueError("the trace goes on after its schedule")
    return [
        *(Activity("load", i, *at, _overlap(at, runs.values())) for i, at in loads.items()),
        *(Activity("run", i, *at, _overlap(at, loads.values())) for i, at in runs.items()),
        *(Activity("evict", i, *at, 0.0) for i, at in evictions.items()),
    ]


def typical(values: Sequence[float]) -> float:
    """The mean of what lies within OUTLIER_SIGMAS of the median.

    A total adds up many of these: medians of skewed times would add up to less. Outliers are another program's doing.
    """
    middle = median(values)
    reach = OUTLIER_SIGMAS * MAD_TO_SIGMA * median(abs(value - middle) for value in values)
    return fmean(value for value in values if abs(value - middle) <= reach or reach == 0.0)


def weighted_median(values: Sequence[float], weights: Sequence[float]) -> float:
    """The value below which half of the weight lies."""
    half, passed = sum(weights) / 2, 0.0
    for value, weight in sorted(zip(values, weights, strict=True)):
        passed += weight
        if passed >= half:
            return value
    raise ValueError("there are no values")


def line(points: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """(fixed, slope), both at least zero, of the line through (amount, seconds) with the least relative errors."""
    weighted = [(1.0 / y, x / y) for x, y in points if y > 0]
    a = sum(p * p for p, _ in weighted)
    b = sum(p * q for p, q in weighted)
    c = sum(q * q for _, q in weighted)
    d, e = sum(p for p, _ in weighted), sum(q for _, q in weighted)
    determinant = a * c - b * b
    if determinant > 1e-9 * a * c:
        fixed, slope = (d * c - e * b) / determinant, (a * e - b * d) / determinant
        if fixed >= 0 and slope >= 0:
            return fixed, slope
    return (0.0, e / c) if c > 0 else (0.0, 0.0)


def _of(trace: Trace, action: Action) -> list[Span]:
    return sorted((span for span in trace.spans if span.action == action), key=lambda span: span.end_s)


def _overlap(at: tuple[float, float], others: Iterable[tuple[float, float]]) -> float:
    return sum(max(0.0, min(at[1], end) - max(at[0], start)) for start, end in others)
