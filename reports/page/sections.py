"""What the page says about each run, besides the rows of reports/rows.py: cards, keys, marks and headings, as text.

The templates in templates/report/ lay these out; lengths are shares of one.
"""

from __future__ import annotations

from typing import NamedTuple

from ondevice_sora.base.units import format_bytes, format_change, format_percent, format_seconds
from ondevice_sora.records.result import Result, WhatIf
from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.advice import AdviceRow, advice_rows
from ondevice_sora.reports.page.memory import Blocks, PeakView, blocks_view, peak_view
from ondevice_sora.reports.page.provenance import Source, source_of
from ondevice_sora.reports.rows import (
    ComponentRow,
    Fact,
    Verdict,
    component_rows,
    facts,
    hidden_load_share,
    kind_word,
    mark_rows,
    saved_share,
    step_dots,
    total_s,
    verdict,
)
from ondevice_sora.reports.timeline import FARTHEST_LIMIT, HOLDERS, Place, lanes_of, places, steady_step, unit_of

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
NUM_COLORS = 6
DASHES = ("solid", "dash", "dot")
"""Of the runs' lines, in turn, as assets/report.js draws them."""
MARK_MEANING = {
    "measured": "samples from the device",
    "published": "printed in a paper or data sheet",
    "fitted": "found so that published totals come out",
    "estimated": "assumed, with a reason",
}


class Card(NamedTuple):
    """A what-if. `change` is how its total differs from the plan's, `tone` better, worse, same or bad."""

    title: str
    detail: str
    number: str
    change: str
    tone: str
    fill: float
    size: str
    is_killed: bool


class Key(NamedTuple):
    """One entry of a legend: the CSS class of its mark, the mark's colour or character, and what it says."""

    mark: str
    color: str
    text: str


class Scale(NamedTuple):
    """The total between its bounds: `marks` are (CSS class, left), `rows` (CSS class, name, value)."""

    about: str
    marks: list[tuple[str, float]]
    rows: list[tuple[str, str, str]]


class StepView(NamedTuple):
    heading: str
    about: str
    label: str
    numbers: list[tuple[str, str]]


class Run(NamedTuple):
    """One trace with its letter and colour, and what each section says of it; None where it has nothing to say.

    `mend` is the advice with which a run that is killed fits: keys of the plan, if any alone suffice.
    """

    trace: Trace
    name: str
    letter: str
    color: str
    kind: str
    verdict: Verdict
    facts: list[Fact]
    advice: list[AdviceRow]
    mend: AdviceRow | None
    cards: list[Card]
    lanes_label: str
    num_lanes: int
    step: StepView | None
    components: list[ComponentRow]
    hidden: str | None
    bounds: Scale | None
    marks: list[tuple[str, float, str]]
    peak: PeakView | None
    blocks: Blocks | None
    conditions: list[tuple[str, str]]
    source: Source | None


def run_of(trace: Trace, name: str, index: int) -> Run:
    """`index` is the trace's place among those of the page."""
    hidden = hidden_load_share(trace.spans)
    about = None if hidden is None else f"{format_percent(hidden)} of all loading passes while a block runs."
    if trace.kill is not None and trace.result is not None:
        about = "As if there were no limit: the kill ends the run earlier."
    lanes, advice = lanes_of(trace), advice_rows(trace)
    fitting = [] if trace.kill is None else sorted(advice, key=lambda row: row.is_command)
    return Run(
        trace=trace,
        name=name,
        letter=letter(index),
        color=run_color(index),
        kind=kind_word(trace),
        verdict=verdict(trace),
        facts=facts(trace),
        advice=advice,
        mend=next(iter(fitting), None),
        cards=[_card(what, total_s(trace)) for what in trace.result.what_ifs] if trace.result is not None else [],
        lanes_label=f"Timeline of {name}: lanes {', '.join(lanes)}",
        num_lanes=len(lanes),
        step=_step(trace),
        components=component_rows(trace),
        hidden=about,
        bounds=_bounds(trace),
        marks=[(mark, share, MARK_MEANING[mark]) for mark, share in mark_rows(trace)],
        peak=peak_view(trace),
        blocks=blocks_view(trace),
        conditions=_conditions(trace),
        source=source_of(trace.provenance),
    )


def letter(index: int) -> str:
    """A, B, ... Z, AA, AB, ... for what a page compares."""
    before, last = divmod(index, len(LETTERS))
    return (letter(before - 1) if before else "") + LETTERS[last]


def total_axis(longest_s: float) -> str:
    """What an axis of totals in seconds is called; draw.js writes them as the name says."""
    return f"total time, {'min:s' if longest_s >= 119.5 else 's'}"


def run_color(index: int) -> str:
    return f"t{index % NUM_COLORS}"


def shared_places(traces: list[Trace]) -> list[Place]:
    """Those of the longest run, which the others lie within."""
    return places(max(traces, key=lambda trace: trace.total_s))


def memory_keys(runs: list[Run]) -> list[Key]:
    """The legend of the memory figure."""
    if len(runs) > 1:
        peaks = [
            Key(
                f"stroke {DASHES[index % len(DASHES)]}",
                run.color,
                f"{run.letter}: peak {format_bytes(run.trace.peak_bytes)}",
            )
            for index, run in enumerate(runs)
        ]
        is_any_sampled = any(run.trace.sampled for run in runs)
        return [
            *peaks,
            *([Key("rule measured dotted", "", "measured by the system")] if is_any_sampled else []),
            Key("rule", "", "limit"),
            Key("", "", "Zoomed out: a line for the highest, a band down to the lowest."),
        ]
    trace = runs[0].trace
    held = [holder for holder in reversed(HOLDERS) if any(getattr(sample, holder) for sample in trace.memory)]
    keys = [Key("swatch", f"h-{holder}", HOLDERS[holder]) for holder in held]
    if any(sample.clean for sample in trace.memory):
        keys.append(Key("rule mapped", "", "with the pages of weight files, which are not charged"))
    if trace.sampled_peak_bytes is not None:
        told = f"measured by the system, peak {format_bytes(trace.sampled_peak_bytes)}"
        keys.append(Key("rule measured", "", told))
    keys.append(Key("rule", "", f"limit {format_bytes(trace.limit_bytes)}"))
    budget = trace.allowed_bytes
    if budget is not None:
        far = ", far above" if budget > FARTHEST_LIMIT * trace.peak_bytes else ""
        keys.append(Key("rule budget", "", f"budget {format_bytes(budget)}{far}"))
    if trace.kill is not None:
        killed = f"killed at {unit_of(trace).told(trace.kill.time_s)} with {format_bytes(trace.kill.footprint_bytes)}"
        keys.append(Key("cross", "", killed))
    elif trace.memory:
        peak = max(trace.memory, key=lambda sample: sample.total)
        keys.append(Key("dot", "", f"peak {format_bytes(peak.total)} at {unit_of(trace).told(peak.time_s)}"))
    return keys


def _card(what: WhatIf, now_s: float | None) -> Card:
    change, tone, is_killed = "", "same", what.verdict == "killed"
    if what.total_s is not None and now_s:
        share = what.total_s / now_s - 1
        if abs(share) >= 5e-4:
            change, tone = format_change(share, format_percent), "better" if share < 0 else "worse"
    return Card(
        title=what.title,
        detail=what.detail,
        number="" if what.total_s is None else format_seconds(what.total_s),
        change=change,
        tone=tone,
        fill=min(1.0, what.peak_bytes / what.limit_bytes) if what.limit_bytes else 1.0,
        size=(
            f"at {format_bytes(what.peak_bytes)}, limit {format_bytes(what.limit_bytes)}"
            if is_killed
            else f"{format_bytes(what.peak_bytes)} of {format_bytes(what.limit_bytes)}"
        ),
        is_killed=is_killed,
    )


def _step(trace: Trace) -> StepView | None:
    """One step enlarged: how the loads of blocks hide behind the runs of the blocks before them."""
    step = steady_step(trace)
    if step is None:
        return None
    name = step.component
    if step.is_steady:
        heading = f"One steady {name} step"
        about = f"Step {step.step}, of median length among the steps without first loads on the device."
    elif step.is_only:
        heading = f"The {name}, block by block"
        about = "Its only pass, with first loads on the device."
    else:
        heading = f"One {name} step"
        about = f"Step {step.step}; this run has no step free of first loads on the device."
    numbers = [("step", format_seconds(step.seconds)), ("running", format_seconds(step.run_s))]
    if step.load_s > 0:
        numbers.append(("loading", format_seconds(step.load_s)))
        numbers.append(("of that hidden behind runs", format_percent(step.hidden_share or 0.0)))
    else:
        about += " Nothing is loaded in it" + (": all its blocks stay resident." if step.is_steady else ".")
    label = f"Loads and runs of the blocks of {step.component} in step {step.step}"
    return StepView(heading, about, label, numbers)


def _bounds(trace: Trace) -> Scale | None:
    """The total between what no overlap can beat and what no overlap at all would take.

    All three are of the same costs. The interval is of costs that vary, and the bounds would vary with them: beside
    them it would seem to break them.
    """
    result = trace.result
    if result is None:
        return None
    limits, total = result.bounds, result.unlimited_s
    end = max(limits.sequential_s, total) * 1.02 or 1.0
    marks = [
        ("tick lower", limits.lower_s / end),
        ("tick sequential", limits.sequential_s / end),
        ("here", total / end),
    ]
    rows = [
        ("tick lower", "No overlap can beat", format_seconds(limits.lower_s)),
        ("here", "This plan" if trace.kill is None else "This plan, without a limit", format_seconds(total)),
        ("tick sequential", "Every load waited for", format_seconds(limits.sequential_s)),
    ]
    saved = saved_share(trace)
    about = "For the costs as they are in the profile; with other costs within their spread the bounds move too."
    if saved is not None:
        about = f"The plan realises {format_percent(saved)} of what overlapping loads with runs can save. {about}"
    return Scale(about, marks, rows)


def _conditions(trace: Trace) -> list[tuple[str, str]]:
    result = trace.result
    rows = [
        ("origin", "simulated: computed, nothing was run" if trace.kind == "simulated" else "measured on the device"),
        ("plan", trace.plan),
        ("model", trace.model),
        ("device", trace.device),
        ("limit", format_bytes(trace.limit_bytes) + (f" ({result.limit_source})" if result else "")),
    ]
    facts = [(name, _in_words(name, value)) for name, value in trace.conditions.items()]
    return [*rows, *(_plan_conditions(result) if result is not None else []), *facts]


def _in_words(name: str, value: str) -> str:
    """A fact of a trace; traces write bytes as bare numbers."""
    return format_bytes(int(value)) if "bytes" in name.split() and value.isdecimal() else value


def _plan_conditions(result: Result) -> list[tuple[str, str]]:
    rows = []
    if result.budget_bytes is not None:
        rows.append(("memory budget", format_bytes(result.budget_bytes)))
    chances = result.evaluations.items()
    counts = ", ".join(str(n) if share >= 1 else f"{n} ({format_percent(share)})" for n, share in chances)
    if counts:
        rows.append(("network evaluations", counts))
    if dots := step_dots(result):
        rows.append(("steps", dots))
    return rows
