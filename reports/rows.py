"""What a report says, as plain rows: the terminal, the page and the tests all read these.

A trace that carries its result is quoted from it; one that does not (a measured one) is summed up from its spans, and
what only a simulation knows (interval, bounds, advice) is then missing, never zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import Literal, NamedTuple

from ondevice_sora.base.units import format_bytes, format_count, format_percent, format_probability, format_seconds
from ondevice_sora.profiles.figures import MARKS, Mark
from ondevice_sora.records.ladder import MOST_DOUBT
from ondevice_sora.records.memory import Kept
from ondevice_sora.records.metrics import busy_shares, component_results, step_ends
from ondevice_sora.records.result import BlockRow, ComponentResult, Result
from ondevice_sora.records.trace import Span, Trace

UNKNOWN = "\N{EN DASH}"
"""What people read as "not known"."""
UNITS = {"cpu_and_gpu": "CPU + GPU", "cpu_only": "CPU", "cpu_and_ne": "CPU + ANE", "all": "all"}
EVALUATED, LEAPT = "\N{BLACK CIRCLE}", "\N{MIDDLE DOT}"
LANE_NAMES = {"load": "Load", "cpu": "CPU", "gpu": "GPU", "ane": "ANE"}
"""Lanes in the order in which they are shown."""


Tone = Literal["ok", "care", "bad"]
"""It can be shipped, it needs a second look, it is killed."""


class Verdict(NamedTuple):
    """The answer. `word` is the shortest form, `sentence` the whole one, `sureness` how far it can be trusted."""

    tone: Tone
    word: str
    sentence: str
    sureness: str | None

    @property
    def is_killed(self) -> bool:
        return self.tone == "bad"


class Fact(NamedTuple):
    """One number with its name, and what to read beside it."""

    name: str
    value: str
    note: str


def step_dots(result: Result) -> str | None:
    """A step plan as a row of dots, noise first, and in words; None where it is not known."""
    if not result.evaluated:
        return None
    made, steps = sum(result.evaluated), len(result.evaluated)
    words = f"{made} of {steps} steps evaluated, the others leapt over" if made < steps else f"all {steps} steps"
    return f"{dots_of(result.evaluated)} {words}"


def dots_of(evaluated: Sequence[bool]) -> str:
    """A dot for each step."""
    return "".join(EVALUATED if made else LEAPT for made in evaluated)


class ComponentRow(NamedTuple):
    """Where a component's time goes: total = run + stall + rest (unloading, and idle time that no load explains)."""

    component: str
    total_s: float
    run_s: float
    stall_s: float
    rest_s: float
    load_s: float
    num_runs: int
    num_loads: int
    loaded_bytes: int
    peak_bytes: int


@dataclass(frozen=True)
class BlockGroup:
    """Blocks with the same costs, as one line. `all_*_s` are sums over the trace's spans; None is unknown.

    stored_bytes, held_bytes   weights in the package, and once they are loaded
    kept      whether it is in memory when it is run again
    marks     share of the block's time, loads and runs, that rests on figures of each mark
    members   the blocks, if there are several
    """

    component: str
    name: str
    variant: str
    compute_units: str
    stored_bytes: int | None
    held_bytes: int | None
    working_bytes: int
    kept: Kept | None
    load_cold_s: float | None
    load_warm_s: float | None
    run_s: float | None
    num_loads: int
    num_runs: int
    all_loads_s: float
    all_runs_s: float
    marks: dict[Mark, float]
    members: tuple[BlockGroup, ...]

    @property
    def num_blocks(self) -> int:
        return max(1, len(self.members))

    @property
    def main_mark(self) -> tuple[Mark, float] | None:
        """The kind of figure that most of the block's time rests on, and that share."""
        return max(self.marks.items(), key=lambda item: item[1], default=None)


def kept_share(num_runs: int, num_loads: int) -> float:
    """The share of a block's runs after its first that find it in memory; 1 where it is loaded once."""
    return 1.0 if num_loads <= 1 else 1.0 - (num_loads - 1) / max(1, num_runs - 1)


def kind_word(trace: Trace) -> str:
    return "Simulated" if trace.kind == "simulated" else "Measured"


def labels(traces: list[Trace]) -> list[str]:
    """A short name for each trace, no two alike: the plan's, with what tells runs of the same plan apart.

    That is the plan's file, device, kind, limit, budget or start, as far as they differ, then when it was made; a
    number where even that is the same.
    """
    names = []
    for trace in traces:
        alike = [other for other in traces if other.plan == trace.plan]
        extra: list[str] = []
        for tell in _TELLING:
            told = tell(trace)
            if told is not None and len({tell(other) for other in alike}) > 1:
                extra.append(told)
                alike = [other for other in alike if tell(other) == told]
        names.append(f"{trace.plan} ({', '.join(extra)})" if extra else trace.plan)
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(f"{name} #{seen[name]}" if names.count(name) > 1 else name)
    return unique


def _start_of(trace: Trace) -> str | None:
    return None if trace.result is None else f"start {trace.result.start}"


def _file_of(trace: Trace) -> str | None:
    return None if trace.provenance is None else trace.provenance.plan_name


def _made_at(trace: Trace) -> str | None:
    return None if trace.provenance is None else trace.provenance.made_at


_TELLING: tuple[Callable[[Trace], str | None], ...] = (
    _file_of,
    lambda trace: trace.device,
    lambda trace: kind_word(trace).lower(),
    lambda trace: f"limit {format_bytes(trace.limit_bytes)}",
    lambda trace: "no budget" if trace.allowed_bytes is None else f"budget {format_bytes(trace.allowed_bytes)}",
    _start_of,
    _made_at,
)


def total_s(trace: Trace) -> float | None:
    """Seconds of the whole generation, or None where it was killed before its end."""
    if trace.kill is not None:
        return None
    return trace.result.total_s if trace.result is not None else trace.total_s


def verdict(trace: Trace) -> Verdict:
    """Whether the app survives, and by how much, in plain words."""
    kill, result = trace.kill, trace.result
    simulated = trace.kind == "simulated"
    if kill is not None:
        over = format_bytes(kill.footprint_bytes - kill.limit_bytes)
        doing = "while loading" if kill.action == "load" else "while running"
        who = "iOS ends the app" if simulated else "The app was ended"
        when = f"after {format_seconds(kill.time_s)}" if kill.time_s > 0.0 else "at once"
        sentence = (
            f"{who} {when}, {doing} block {kill.block} of {kill.component} in step "
            f"{kill.step}: {format_bytes(kill.footprint_bytes)} is {over} over the limit of "
            f"{format_bytes(kill.limit_bytes)}."
        )
    else:
        took = format_seconds(total_s(trace) or 0.0)
        spare = trace.limit_bytes - trace.peak_bytes
        room = f"{format_bytes(spare)} below the limit" if spare >= 0 else f"{format_bytes(-spare)} over the limit"
        verbs = ("takes", "peaks") if simulated else ("took", "peaked")
        more = "much longer than " if result is not None and result.unpriced else ""
        sentence = (
            f"One generation {verbs[0]} {more}{took}. Memory {verbs[1]} at {format_bytes(trace.peak_bytes)}, {room} of "
            f"{format_bytes(trace.limit_bytes)}."
        )
    sureness = None if result is None else _risk_sentence(result.kill_share, is_killed=kill is not None)
    if kill is not None:
        return Verdict("bad", "Would be killed" if simulated else "Killed", sentence, sureness)
    if result is not None and result.unpriced:
        risky = "too risky, and " if is_too_risky(trace) else ""
        return Verdict("care", f"Fits, but {risky}its time is not known", sentence, sureness)
    if result is not None and any(row.falls_back for row in result.blocks):
        return Verdict("care", "Fits, not on the Neural Engine", sentence, sureness)
    if is_too_risky(trace):
        return Verdict("care", "Fits, but too risky", sentence, sureness)
    return Verdict("ok", "Fits" if simulated else "Completed", sentence, sureness)


def is_too_risky(trace: Trace) -> bool:
    """Whether it would end, but is killed with a greater probability than a plan may have that is said to fit."""
    result = trace.result
    return trace.kill is None and trace.kind == "simulated" and result is not None and result.kill_share > MOST_DOUBT


def _risk_sentence(share: float, is_killed: bool) -> str:
    above = f", more than the {format_percent(MOST_DOUBT)} up to which a plan is said to fit"
    risk = f"Risk of being killed: {format_probability(share)}{above if share > MOST_DOUBT and not is_killed else ''}."
    why = "iOS publishes no limit, and the app's own use is not known exactly"
    return f"{risk} ({why}.)" if 0.0 < share < 1.0 else risk


def bounds_sentence(trace: Trace) -> str | None:
    """'Best possible 8 min 36 s; with no overlap 11 min 07 s.'; None of a measurement."""
    if trace.result is None or trace.result.unpriced:
        return None
    bounds = trace.result.bounds
    best, worst = format_seconds(bounds.lower_s), format_seconds(bounds.sequential_s)
    return f"Best possible {best}; with no overlap of loads and runs {worst}."


def interval_sentence(trace: Trace) -> str | None:
    """'Likely between 9 min 42 s and 10 min 46 s (90 %).'; None where the figures have no spread."""
    if trace.result is None or trace.result.interval_s is None or trace.result.unpriced:
        return None
    low, high = trace.result.interval_s
    return f"Likely between {format_seconds(low)} and {format_seconds(high)} (90 %)."


def facts(trace: Trace) -> list[Fact]:
    """The main numbers: total, peak, free or missing memory, doubt about the limit, how busy processors are, a step."""
    result = trace.result
    rows = []
    total = total_s(trace)
    if total is not None:
        rows.append(
            Fact(
                "Total time",
                format_seconds(total),
                interval_text(trace) or ("of one run" if trace.kind == "measured" else "no spread known"),
            )
        )
    elif trace.kill is not None:
        rest = f"all of it {format_seconds(result.unlimited_s)} without a limit" if result else "not finished"
        at_once = trace.kill.time_s <= 0.0
        rows.append(
            Fact("Killed", "at once", rest)
            if at_once
            else Fact("Killed after", format_seconds(trace.kill.time_s), rest)
        )
    peak = result.needed_bytes if result is not None else trace.peak_bytes
    if trace.kill is not None:
        peak = max(peak, trace.kill.footprint_bytes)
    spare = trace.limit_bytes - peak
    room = f"{format_bytes(abs(spare))} {'free' if spare >= 0 else 'missing'}"
    name = "Peak footprint" if trace.kill is None else "Memory needed"
    rows.append(Fact(name, format_bytes(peak), f"limit {format_bytes(trace.limit_bytes)}, {room}"))
    if trace.sampled_peak_bytes is not None:
        rows.append(Fact("Peak, measured", format_bytes(trace.sampled_peak_bytes), "the most that the system charged"))
    if result is not None:
        sure = "at every limit that is likely" if result.kill_share >= 1.0 else "the limit is not known exactly"
        rows.append(Fact("Risk of being killed", format_probability(result.kill_share), sure))
    busy = result.busy_share if result is not None else busy_shares(trace)
    runs = {lane: share for lane, share in busy.items() if lane != "load"}
    if runs:
        lane = max(runs, key=lambda key: runs[key])
        others = [f"{LANE_NAMES.get(key, key)} {format_percent(busy[key])}" for key in busy if key != lane]
        if trace.kill is not None and result is not None:
            others.append("without a limit")
        rows.append(Fact(f"{LANE_NAMES.get(lane, lane)} busy", format_percent(runs[lane]), ", ".join(others)))
    steps = typical_step_s(trace)
    if steps is not None:
        component, seconds, count = steps
        rows.append(Fact(f"One {component} step", format_seconds(seconds), f"median of {format_count(count, 'step')}"))
    return rows + generation_facts(trace)


def interval_text(trace: Trace) -> str | None:
    """'likely 17 min 10 s to 20 min 30 s (90 %)', or None where the figures have no spread."""
    if trace.result is None or trace.result.unpriced:
        return None
    return _interval(trace.result.interval_s)


def _interval(seconds: tuple[float, float] | None) -> str | None:
    if seconds is None:
        return None
    return f"likely {format_seconds(seconds[0])} to {format_seconds(seconds[1])} (90 %)"


STARTS = {"first": "after installing", "cached": "first of a launch", "loaded": "later in a launch"}


def generation_facts(trace: Trace) -> list[Fact]:
    """Several generations in a row, each with its total, interval and peak; none if only one was simulated."""
    rows = []
    for number, one in enumerate(trace.result.generations if trace.result is not None else [], start=1):
        how = STARTS.get(one.start, one.start)
        value = "killed" if one.total_s is None else format_seconds(one.total_s)
        told = (how, one.killed_by, _interval(one.interval_s), f"peak {format_bytes(one.peak_bytes)}")
        rows.append(Fact(f"Generation {number}", value, ", ".join(filter(None, told))))
    return rows


def components(trace: Trace) -> dict[str, ComponentResult]:
    return trace.result.components if trace.result is not None else component_results(trace)


def component_rows(trace: Trace) -> list[ComponentRow]:
    """Where the time goes: one row per component, in the order in which they end."""
    return [
        ComponentRow(
            component=name,
            total_s=part.total_s,
            run_s=part.run_s,
            stall_s=min(part.stall_s, max(0.0, part.total_s - part.run_s)),
            rest_s=max(0.0, part.total_s - part.run_s - part.stall_s),
            load_s=part.load_s,
            num_runs=part.num_visits,
            num_loads=part.num_loads,
            loaded_bytes=part.loaded_bytes,
            peak_bytes=part.peak_bytes,
        )
        for name, part in components(trace).items()
    ]


def hidden_load_share(spans: list[Span]) -> float | None:
    """The share of loading time that passes while a block runs; None without loads."""
    loads = [(span.start_s, span.end_s) for span in spans if span.action == "load"]
    runs = _merged([(span.start_s, span.end_s) for span in spans if span.action == "run"])
    total = sum(end - start for start, end in loads)
    if total <= 0:
        return None
    hidden, first = 0.0, 0
    for start, end in sorted(loads):
        while first < len(runs) and runs[first][1] <= start:
            first += 1
        at = first
        while at < len(runs) and runs[at][0] < end:
            hidden += max(0.0, min(end, runs[at][1]) - max(start, runs[at][0]))
            at += 1
    return hidden / total


def _merged(intervals: list[tuple[float, float]]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def main_component(trace: Trace) -> str | None:
    """The component that is walked step by step: the denoiser, or else the longest-running one with several passes."""
    steps: dict[str, set[int]] = {}
    run_s: dict[str, float] = {}
    for span in trace.spans:
        if span.action == "run":
            steps.setdefault(span.component, set()).add(span.step)
            run_s[span.component] = run_s.get(span.component, 0.0) + span.seconds
    if not run_s:
        return None
    if "denoiser" in run_s:
        return "denoiser"
    several = [name for name in run_s if len(steps[name]) > 1]
    return max(several or run_s, key=lambda name: run_s[name])


def typical_step_s(trace: Trace) -> tuple[str, float, int] | None:
    """Component, median seconds and number of its steps, without the first and its slow first loads and runs."""
    component = main_component(trace)
    if component is None:
        return None
    ends = step_ends(trace.spans, component)
    seconds = [later - earlier for earlier, later in pairwise(ends)]
    return (component, median(seconds), len(seconds)) if seconds else None


def mark_rows(trace: Trace) -> list[tuple[Mark, float]]:
    """The share of the total that rests on figures of each mark, surest first; empty where it is not known."""
    marks = trace.result.marks if trace.result is not None else {}
    return [(mark, marks[mark]) for mark in MARKS if marks.get(mark, 0.0) > 0.0]


def saved_share(trace: Trace) -> float | None:
    """The part of the possible saving that a run realises: 1 at the lower bound, 0 where every load is waited for."""
    if trace.result is None or trace.result.unpriced:
        return None
    bounds = trace.result.bounds
    possible = bounds.sequential_s - bounds.lower_s
    if possible <= 1e-9 * max(1.0, bounds.sequential_s):
        return None
    return min(1.0, max(0.0, (bounds.sequential_s - trace.result.unlimited_s) / possible))


def block_groups(trace: Trace) -> list[BlockGroup]:
    """One row for each set of blocks of a component whose costs read the same, in order of first use."""
    members: dict[tuple[str, ...], list[BlockGroup]] = {}
    for row in block_rows(trace):
        key = (
            row.component, row.variant, row.compute_units, str(row.num_runs), str(row.kept),
            *(
                UNKNOWN if size is None else format_bytes(size)
                for size in (row.stored_bytes, row.held_bytes, row.working_bytes)
            ),
            *(UNKNOWN if s is None else format_seconds(s) for s in (row.load_cold_s, row.load_warm_s, row.run_s)),
        )  # fmt: skip
        members.setdefault(key, []).append(row)
    return [rows[0] if len(rows) == 1 else _group(rows) for rows in members.values()]


def _group(rows: list[BlockGroup]) -> BlockGroup:
    weights = [row.all_loads_s + row.all_runs_s for row in rows]
    return replace(
        rows[0],
        name=f"{rows[0].name} … {rows[-1].name}",
        num_loads=sum(row.num_loads for row in rows),
        num_runs=sum(row.num_runs for row in rows),
        all_loads_s=sum(row.all_loads_s for row in rows),
        all_runs_s=sum(row.all_runs_s for row in rows),
        marks=_weighed([(row.marks, weight) for row, weight in zip(rows, weights, strict=True)]),
        members=tuple(rows),
    )


def _weighed(parts: list[tuple[dict[Mark, float], float]]) -> dict[Mark, float]:
    """The shares of several parts combined, each weighted by its part's weight; equally where all weights are zero."""
    total = sum(weight for _, weight in parts)
    shares: dict[Mark, float] = {}
    for marks, weight in parts:
        for mark, share in marks.items():
            shares[mark] = shares.get(mark, 0.0) + share * (weight / total if total > 0 else 1 / len(parts))
    return {mark: shares[mark] for mark in MARKS if shares.get(mark, 0.0) > 0.0}


def block_rows(trace: Trace) -> list[BlockGroup]:
    """One row for each block in each variant, in order of first use."""
    spans: dict[tuple[str, str, str], list[Span]] = {}
    for span in trace.spans:
        spans.setdefault((span.component, span.block, span.variant), []).append(span)
    if trace.result is not None and trace.result.blocks:
        return [
            _quoted(row, spans.get((row.component, row.block, row.variant), []), is_whole=trace.kill is None)
            for row in trace.result.blocks
        ]
    return [_observed(name, found) for name, found in spans.items()]


def _quoted(row: BlockRow, spans: list[Span], is_whole: bool) -> BlockGroup:
    """`is_whole`: the spans are all there would be; else what its time rests on is weighed by its costs."""
    all_loads_s = sum(span.seconds for span in spans if span.action == "load")
    all_runs_s = sum(span.seconds for span in spans if span.action == "run")
    return BlockGroup(
        component=row.component,
        name=row.block,
        variant=row.variant,
        compute_units="GPU, too large for ANE" if row.falls_back else UNITS.get(row.compute_units, row.compute_units),
        stored_bytes=row.stored_bytes,
        held_bytes=row.resident_bytes,
        working_bytes=row.working_bytes,
        kept=row.kept,
        load_cold_s=row.load_cold_s,
        load_warm_s=row.load_warm_s,
        run_s=row.run_s,
        num_loads=row.num_loads,
        num_runs=row.num_runs,
        all_loads_s=all_loads_s,
        all_runs_s=all_runs_s,
        marks=_weighed(
            [
                (row.load_marks, all_loads_s if is_whole else row.num_loads * row.load_warm_s),
                (row.run_marks, all_runs_s if is_whole else row.num_runs * row.run_s),
            ]
        ),
        members=(),
    )


def _observed(name: tuple[str, str, str], spans: list[Span]) -> BlockGroup:
    """A block known only by what it did: medians of its spans."""
    component, block, variant = name
    loads = [span for span in spans if span.action == "load"]
    runs = [span for span in spans if span.action == "run"]
    lane = next((LANE_NAMES[span.lane] for span in runs), UNKNOWN)
    return BlockGroup(
        component=component,
        name=block,
        variant=variant,
        compute_units=lane,
        stored_bytes=max((span.bytes for span in loads), default=None),
        held_bytes=None,
        working_bytes=max((span.bytes for span in runs), default=0),
        kept=None,
        load_cold_s=_median_s([span for span in loads if span.cold]),
        load_warm_s=_median_s([span for span in loads if not span.cold]),
        run_s=_median_s([span for span in runs if not span.cold]) or _median_s(runs),
        num_loads=len(loads),
        num_runs=len(runs),
        all_loads_s=sum(span.seconds for span in loads),
        all_runs_s=sum(span.seconds for span in runs),
        marks={"measured": 1.0},
        members=(),
    )


def _median_s(spans: list[Span]) -> float | None:
    return median(span.seconds for span in spans) if spans else None
