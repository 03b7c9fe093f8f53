"""What the page's figures are drawn from: spans and memory as columns, places worth zooming to, one steady step.

Every quantity that a figure names is written here, beside the number that it is drawn from. Drawing, joining what is
narrower than a pixel, the moments of its axis, and colours are the page's own business (page/assets/report.js).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from statistics import median
from typing import Any, NamedTuple

from msgspec.structs import replace

from ondevice_sora.base.units import TimeUnit, format_bytes, format_count, format_percent, format_seconds, time_unit
from ondevice_sora.records.metrics import step_ends
from ondevice_sora.records.trace import MemorySample, Span, Trace
from ondevice_sora.reports.rows import LANE_NAMES, hidden_load_share, main_component

LANES = tuple(LANE_NAMES)
HOLDERS = {
    "baseline": "app baseline",
    "residual": "left by unloaded blocks",
    "resident": "resident blocks",
    "loading": "being loaded",
    "working": "working memory",
}
"""What holds memory, from the bottom of the stack to its top: fields of a memory sample, and their names."""
FARTHEST_LIMIT = 5
"""Times the most that is held: a limit or a budget drawn farther up would flatten the curve."""
ACTIONS = ("load", "run", "evict")
_DONE = {"load": "Load", "run": "Run", "evict": "Unload"}
_BYTES_OF = {"load": "read", "run": "working", "evict": "released"}


class Place(NamedTuple):
    """A stretch of the run worth looking at."""

    name: str
    start_s: float
    end_s: float


class Step(NamedTuple):
    """One pass of a component, from the finish of the one before to its own; spans are those that touch it."""

    component: str
    step: int
    start_s: float
    end_s: float
    is_steady: bool
    is_only: bool
    run_s: float
    load_s: float
    hidden_share: float | None
    spans: tuple[Span, ...]

    @property
    def seconds(self) -> float:
        return self.end_s - self.start_s


def lanes_of(trace: Trace) -> list[str]:
    """The lanes in which something happens, loading first."""
    used = {span.lane for span in trace.spans}
    return [lane for lane in LANES if lane in used]


def component_names(traces: list[Trace]) -> list[str]:
    """Components and stages in order of first appearance, over all traces; a component's place is its colour."""
    return list(dict.fromkeys(span.component for trace in traces for span in sorted(trace.spans, key=_start)))


def span_columns(trace: Trace, components: list[str]) -> dict[str, Any]:
    """The spans as columns of equal length, in order of their starts. Names are indices into `blocks`.

    `does`, `variant` and `holds` are what `span_text` says of a span besides its component, step and moments, as
    indices into `words`; `pass` is an index into what `pass_texts` gives.
    """
    spans = sorted(trace.spans, key=_start)
    blocks, block = _indexed(span.block for span in spans)
    words, said = _indexed(word for span in spans for word in _span_words(span))
    pass_at = {key: index for index, key in enumerate(_passes(trace))}
    return {
        "blocks": blocks,
        "words": words,
        "lane": [LANES.index(span.lane) for span in spans],
        "action": [ACTIONS.index(span.action) for span in spans],
        "component": [components.index(span.component) for span in spans],
        "step": [span.step for span in spans],
        "block": block,
        "start": [_round(span.start_s) for span in spans],
        "seconds": [_round(span.seconds) for span in spans],
        "cold": [int(span.cold and span.action == "load") for span in spans],
        "pass": [pass_at[_pass_of(span)] for span in spans],
        "does": said[0::3],
        "variant": said[1::3],
        "holds": said[2::3],
    }


def unit_of(trace: Trace) -> TimeUnit:
    """The unit of moments of a run."""
    return time_unit(max(trace.total_s, trace.kill.time_s if trace.kill is not None else 0.0))


def span_text(span: Span, unit: TimeUnit) -> str:
    """What one span does, for how long, in which step, when, and with how many bytes; a line each."""
    does, variant, holds = _span_words(span)
    return (
        f"{does}\n"
        f"{span.component}, step {span.step}{variant}\n"
        f"{unit.moment(span.start_s)} to {unit.moment(span.end_s)}\n"
        f"{holds}"
    )


def _span_words(span: Span) -> tuple[str, str, str]:
    """'Run, 1.05 s', ', tdtm' and '79.0 MB working': few different ones, however many spans."""
    return (
        f"{_done(span)}, {format_seconds(span.seconds)}",
        "" if span.variant == "plain" else f", {span.variant}",
        f"{format_bytes(span.bytes)} {_BYTES_OF[span.action]}",
    )


def _indexed(names: Iterable[str]) -> tuple[list[str], list[int]]:
    """The different names, and for each name its place among them."""
    places: dict[str, int] = {}
    at = [places.setdefault(name, len(places)) for name in names]
    return list(places), at


def pass_texts(trace: Trace, unit: TimeUnit | None = None) -> list[str]:
    """The same for all loads (or runs, or unloads) of a lane in one step of a component; first ones separately."""
    texts = []
    unit = unit or unit_of(trace)
    for spans in _passes(trace).values():
        start, end = min(span.start_s for span in spans), max(span.end_s for span in spans)
        busy = sum(span.seconds for span in spans)
        share = f"{format_percent(busy / (end - start))} of {format_seconds(end - start)}" if end > start else "0 s"
        texts.append(
            f"{spans[0].component}, step {spans[0].step}\n"
            f"{format_count(len(spans), _done(spans[0]).lower())}, {format_seconds(busy)}\n"
            f"busy {share}\n"
            f"{unit.moment(start)} to {unit.moment(end)}"
        )
    return texts


def _passes(trace: Trace) -> dict[tuple[str, str, str, bool, int], list[Span]]:
    passes: dict[tuple[str, str, str, bool, int], list[Span]] = {}
    for span in sorted(trace.spans, key=_start):
        passes.setdefault(_pass_of(span), []).append(span)
    return passes


def _pass_of(span: Span) -> tuple[str, str, str, bool, int]:
    return (span.lane, span.component, span.action, span.cold, span.step)


def _done(span: Span) -> str:
    """'First load', 'Run', 'Unload'."""
    done = _DONE[span.action]
    return f"First {done.lower()}" if span.cold and span.action != "evict" else done


def memory_columns(trace: Trace) -> dict[str, Any]:
    """The footprint by holder and its total, as columns; of samples at one moment, the largest and the last stay.

    `mapped` is the total with the clean pages that are not charged; there is none of it where nothing is mapped.
    `told` has the same columns, without the time's, in words.
    """
    samples = _without_glitches(trace.memory)
    sizes = {holder: [getattr(sample, holder) for sample in samples] for holder in (*HOLDERS, "total")}
    if any(sample.clean for sample in samples):
        sizes["mapped"] = [sample.total + sample.clean for sample in samples]
    told = {holder: [format_bytes(size) for size in column] for holder, column in sizes.items()}
    return {"time": [_round(sample.time_s) for sample in samples], **sizes, "told": told}


def footprint_columns(trace: Trace) -> dict[str, Any] | None:
    """The footprint that the system was seen to charge, as columns, and its peak; None where it was not sampled."""
    samples = trace.sampled
    if not samples:
        return None
    sizes = [sample.bytes for sample in samples]
    return {
        "time": [_round(sample.time_s) for sample in samples],
        "total": sizes,
        "told": [format_bytes(size) for size in sizes],
        "peak": max(sizes),
    }


def _without_glitches(memory: list[MemorySample]) -> list[MemorySample]:
    kept: list[MemorySample] = []
    moment: list[MemorySample] = []
    for sample in memory:
        if moment and sample.time_s != moment[0].time_s:
            kept += _largest_and_last(moment)
            moment = []
        moment.append(sample)
    return kept + _largest_and_last(moment)


def _largest_and_last(moment: list[MemorySample]) -> list[MemorySample]:
    if not moment:
        return []
    largest = max(moment, key=lambda sample: sample.total)
    return [largest] if largest is moment[-1] or largest.total == moment[-1].total else [largest, moment[-1]]


def places(trace: Trace) -> list[Place]:
    """The whole run, each component, the first and a steady step of the main one, and the moment of a kill."""
    total = trace.total_s
    if total <= 0:
        return []
    found = [Place("Whole run", 0.0, total)]
    main = main_component(trace)
    for name in component_names([trace]):
        family_spans = [span for span in trace.spans if span.component == name]
        runs = [span for span in family_spans if span.action != "load"] or family_spans
        place = Place(name, min(s.start_s for s in runs), max(s.end_s for s in runs))
        if place.end_s - place.start_s < 0.98 * total:
            found.append(place)
        if name == main:
            found += _step_places(trace, name)
    if trace.kill is not None:
        end = max(total, trace.kill.time_s)
        found.append(Place("The kill", max(0.0, end - 0.1 * total), end + 0.005 * total))
    return found


def _step_places(trace: Trace, component: str) -> list[Place]:
    step = steady_step(trace)
    starts = [span.start_s for span in trace.spans if span.component == component and span.action == "run"]
    ends = step_ends(trace.spans, component)
    if step is None or len(ends) < 2:
        return []
    return [
        Place("First step", min(starts), ends[0]),
        *([Place(f"Step {step.step}", step.start_s, step.end_s)] if step.is_steady else []),
    ]


def steady_step(trace: Trace) -> Step | None:
    """A step of median length among those without first loads on the device; of several such steps the middle one.

    Those that have more first runs than most do not count either. The last step if none is so; None if nothing ran.
    """
    component = main_component(trace)
    if component is None:
        return None
    numbers = sorted({s.step for s in trace.spans if s.component == component and s.action != "load"})
    ends = dict(zip(numbers, step_ends(trace.spans, component), strict=True))
    first_run = min(s.start_s for s in trace.spans if s.component == component and s.action == "run")
    starts = dict(zip(numbers, [first_run, *ends.values()], strict=False))
    own = [span for span in trace.spans if span.component == component and span.cold]
    cold = {span.step for span in own if span.action == "load"}
    first_runs = Counter(span.step for span in own if span.action == "run")
    most = median([first_runs[step] for step in numbers])
    steady = [step for step in numbers if step not in cold and first_runs[step] <= most]
    steady = [step for step in steady if trace.kill is None or step != numbers[-1]]
    if steady:
        middle = median([ends[step] - starts[step] for step in steady])
        typical = [step for step in steady if abs(ends[step] - starts[step] - middle) <= 0.005 * middle]
        nearest = min(steady, key=lambda step: abs(ends[step] - starts[step] - middle))
        chosen = typical[len(typical) // 2] if typical else nearest
    else:
        chosen = numbers[-1]
    start, end = starts[chosen], ends[chosen]
    spans = tuple(s for s in sorted(trace.spans, key=_start) if s.end_s > start and s.start_s < end)
    clipped = [_clip(span, start, end) for span in spans]
    return Step(
        component=component,
        step=chosen,
        start_s=start,
        end_s=end,
        is_steady=bool(steady),
        is_only=len(numbers) == 1 and (trace.kill is None or trace.kill.component != component),
        run_s=sum(span.seconds for span in clipped if span.action == "run"),
        load_s=sum(span.seconds for span in clipped if span.action == "load"),
        hidden_share=hidden_load_share(clipped),
        spans=spans,
    )


def _clip(span: Span, start: float, end: float) -> Span:
    return replace(span, start_s=max(start, span.start_s), end_s=min(end, span.end_s))


def _start(span: Span) -> tuple[float, float]:
    return (span.start_s, span.end_s)


def _round(seconds: float) -> float:
    """To a microsecond, which is finer than anything drawn and keeps the file small."""
    return round(seconds, 6)
