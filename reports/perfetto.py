"""Write runs in the Chrome trace event format, which https://ui.perfetto.dev and chrome://tracing open.

Each run is a process. Its first thread has the whole generation, within it the components, and within those their
steps; the others are the lanes, with an arrow from each load to the run that it was for. Counters are the memory by
holder, the limit and the budget; a kill is an instant event. Times are microseconds.
Format: "Trace Event Format", Google (the one that both viewers read).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, groupby
from pathlib import Path
from typing import Any

import msgspec

from ondevice_sora.base.files.writing import write_text
from ondevice_sora.records.trace import Span, Trace
from ondevice_sora.reports.rows import LANE_NAMES, kind_word, labels, verdict
from ondevice_sora.reports.timeline import HOLDERS, LANES

Event = dict[str, Any]

GENERATION = 1
THREADS = {lane: number for number, lane in enumerate(LANES, start=GENERATION + 1)}
ORDER = {"M": 0, "X": 1}
"""Of events at one moment: what is named, then what begins, then what is said of it."""


def write_perfetto(traces: Sequence[Trace], path: str | Path) -> None:
    """The traces as Chrome trace JSON. Raises UserError if the file cannot be written."""
    write_text(path, msgspec.json.encode(perfetto(traces)).decode() + "\n")


def perfetto(traces: Sequence[Trace]) -> dict[str, Any]:
    """The document: `traceEvents` in order of time, and what is known about each run in `otherData`."""
    arrows = count(1)
    events = [
        {**event, "pid": pid}
        for pid, (trace, name) in enumerate(zip(traces, labels(list(traces)), strict=True), start=1)
        for event in _events(trace, name, pid, arrows)
    ]
    events.sort(key=lambda event: (event.get("ts", -1.0), ORDER.get(event["ph"], 2), -event.get("dur", 0.0)))
    return {
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {"runs": [_about(trace) for trace in traces]},
    }


def _events(trace: Trace, name: str, pid: int, arrows: Iterator[int]) -> Iterator[Event]:
    """Of one run, without its process."""
    yield from _names(trace, name, pid)
    yield from _generation(trace)
    for span in trace.spans:
        yield _span(span)
    for load, run in _uses(trace.spans):
        yield from _arrow(load, run, next(arrows))
    yield from _memory(trace)
    if trace.kill is not None:
        args = msgspec.to_builtins(trace.kill)
        yield {"ph": "i", "s": "p", "name": "killed", "ts": _us(trace.kill.time_s), "tid": GENERATION, "args": args}


def _about(trace: Trace) -> dict[str, Any]:
    """What is known about a run, with the command, the version, the date and the plan where they are known."""
    return {
        "origin": trace.kind,
        "plan": trace.plan,
        "device": trace.device,
        "model": trace.model,
        "verdict": verdict(trace).sentence,
        **{f"condition: {key}": value for key, value in trace.conditions.items()},
        **({} if trace.provenance is None else {"made": msgspec.to_builtins(trace.provenance)}),
    }


def _names(trace: Trace, name: str, pid: int) -> Iterator[Event]:
    yield _meta("process_name", 0, name=f"{name} on {trace.device} ({kind_word(trace).lower()})")
    yield _meta("process_sort_index", 0, sort_index=pid)
    used = {span.lane for span in trace.spans}
    threads = [
        (GENERATION, "Components and steps"),
        *((THREADS[lane], LANE_NAMES[lane]) for lane in LANES if lane in used),
    ]
    for tid, words in threads:
        yield _meta("thread_name", tid, name=words)
        yield _meta("thread_sort_index", tid, sort_index=tid)


def _meta(event: str, tid: int, **args: str | int) -> Event:
    return {"ph": "M", "name": event, "tid": tid, "args": args}


def _generation(trace: Trace) -> Iterator[Event]:
    """The generation, its components one after the other, and their steps: each within the one before."""
    runs = sorted((span for span in trace.spans if span.action == "run"), key=lambda span: (span.start_s, span.end_s))
    end = max(trace.total_s, trace.kill.time_s if trace.kill is not None else 0.0)
    yield _slice(trace.plan, "generation", min((span.start_s for span in trace.spans), default=0.0), end, _about(trace))
    passes = [list(found) for _, found in groupby(runs, key=lambda span: (span.component, span.step))]
    starts = [each[0].start_s for each in passes]
    ends = [max(span.end_s for span in each) for each in passes]
    # Where compute units work at once, a step ends as the next one begins.
    ends = [min(end, begun) for end, begun in zip(ends, [*starts[1:], end], strict=True)]
    steps = list(zip(passes, starts, ends, strict=True))
    for component, found in groupby(steps, key=lambda each: each[0][0].component):
        own = list(found)
        yield _slice(
            component, "component", own[0][1], own[-1][2], {"steps": len({spans[0].step for spans, *_ in own})}
        )
    for spans, begun, ended in steps:
        yield _slice(
            f"step {spans[0].step}", "step", begun, ended, {"component": spans[0].component, "runs": len(spans)}
        )


def _slice(name: str, kind: str, start_s: float, end_s: float, args: dict[str, Any]) -> Event:
    start, end = _us(start_s), _us(end_s)
    return {
        "ph": "X",
        "name": name,
        "cat": kind,
        "ts": start,
        "dur": _less(end, start),
        "tid": GENERATION,
        "args": args,
    }


def _span(span: Span) -> Event:
    start = _us(span.start_s)
    return {
        "ph": "X",
        "name": span.block if span.action != "evict" else f"unload {span.block}",
        "cat": f"{span.action},{span.component}" + (",cold" if span.cold else ""),
        "ts": start,
        "dur": _less(_us(span.end_s), start),
        "tid": THREADS[span.lane],
        "args": {
            "component": span.component,
            "step": span.step,
            "variant": span.variant,
            "bytes": span.bytes,
            "first": span.cold,
        },
    }


def _uses(spans: Sequence[Span]) -> Iterator[tuple[Span, Span]]:
    """Each load, and the first run of its block after it; a load that a kill or an eviction left unused has none."""
    waiting: dict[tuple[str, str], Span] = {}
    for span in sorted(spans, key=lambda span: (span.start_s, span.end_s)):
        key = (span.component, span.block)
        if span.action == "load":
            waiting[key] = span
        elif key in waiting and span.start_s >= waiting[key].end_s:
            load = waiting.pop(key)
            if span.action == "run":
                yield load, span


def _arrow(load: Span, run: Span, number: int) -> Iterator[Event]:
    """From the middle of a load, which nothing else of its lane touches, to the start of the run."""
    words = {"name": "loaded for", "cat": "load", "id": number}
    middle = (load.start_s + load.end_s) / 2
    yield {"ph": "s", **words, "ts": _us(middle), "tid": THREADS[load.lane]}
    yield {"ph": "f", "bp": "e", **words, "ts": _us(run.start_s), "tid": THREADS[run.lane]}


def _memory(trace: Trace) -> Iterator[Event]:
    for sample in trace.memory:
        yield _counted("footprint, bytes", sample.time_s, {holder: getattr(sample, holder) for holder in HOLDERS})
    for time_s, held in trace.sampled:
        yield _counted("measured footprint, bytes", time_s, {"measured": held})
    budget = trace.budget_bytes if trace.budget_bytes is not None or trace.result is None else trace.result.budget_bytes
    for time_s in (0.0, trace.total_s):
        yield _counted("limit, bytes", time_s, {"limit": trace.limit_bytes})
        if budget is not None:
            yield _counted("budget, bytes", time_s, {"budget": budget})


def _counted(name: str, time_s: float, args: dict[str, int]) -> Event:
    return {"ph": "C", "name": name, "ts": _us(time_s), "tid": 0, "args": args}


def _us(seconds: float) -> float:
    return round(seconds * 1e6, 3)


def _less(end: float, start: float) -> float:
    """Between two times in microseconds, as exact as they are."""
    return round(end - start, 3)
