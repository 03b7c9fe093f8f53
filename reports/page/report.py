"""The page of one or more traces: self-contained, readable offline, the same bytes for the same traces.

The figures are drawn in the browser by assets/report.js from data in the page, because they follow the colour scheme,
the width and the zoom; everything else stands in the page as HTML.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.writing import write_text
from ondevice_sora.base.units import TimeUnit, format_bytes, size_unit, time_unit
from ondevice_sora.records.search import PlanReport
from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.compare import compare_rows
from ondevice_sora.reports.differences import differences
from ondevice_sora.reports.headline import headline
from ondevice_sora.reports.page.explanation import ExplanationView, explanation_view, tornado
from ondevice_sora.reports.page.memory import COLORS, blocks_csv
from ondevice_sora.reports.page.prediction import prediction_view
from ondevice_sora.reports.page.sections import letter, memory_keys, run_of, shared_places
from ondevice_sora.reports.page.templating import page
from ondevice_sora.reports.rows import LANE_NAMES, kind_word, labels, verdict
from ondevice_sora.reports.timeline import (
    FARTHEST_LIMIT,
    HOLDERS,
    LANES,
    component_names,
    footprint_columns,
    lanes_of,
    memory_columns,
    pass_texts,
    span_columns,
    steady_step,
)

EXPLAINED = ("report.js", "search.css", "search.js")
"""Styles and scripts of a page that explains a plan."""


def write_report(traces: list[Trace], path: str | Path) -> None:
    """Write the page. Raises UserError if there is no trace, or if the file cannot be written."""
    write_text(path, render(traces))


def write_plan_report(report: PlanReport, path: str | Path) -> None:
    """Write the page of one plan with its explanation. Raises UserError if the file cannot be written."""
    write_text(path, render_plan(report))


def render(traces: list[Trace]) -> str:
    """The whole page as text. Raises UserError if there is no trace."""
    if not traces:
        raise UserError("a report needs at least one trace", mend="Name a trace that `simulate --trace FILE` wrote.")
    return page(
        "report.html",
        title=_title(traces),
        assets=("report.js",),
        figures=figures(traces),
        **content(traces),
        headline=headline(traces, [letter(index) for index in range(len(traces))]),
        differences=differences(traces),
        comparison=compare_rows(traces),
        prediction=prediction_view(traces),
    )


def render_plan(report: PlanReport) -> str:
    """The whole page of one plan as text, why it takes as long as it does included."""
    traces = [report.trace]
    return page(
        "report.html",
        title=_title(traces),
        assets=EXPLAINED,
        figures={**figures(traces), "tornado": tornado(report)},
        **content(traces, explanation_view(report)),
    )


def content(traces: list[Trace], explanation: ExplanationView | None = None) -> dict[str, Any]:
    """What the templates of runs need (templates/report/); of one run its explanation too, where there is one."""
    names = labels(traces)
    runs = [run_of(trace, name, index) for index, (trace, name) in enumerate(zip(traces, names, strict=True))]
    return {
        "runs": runs,
        "stages": component_names(traces),
        "places": shared_places(traces),
        "memory_keys": memory_keys(runs),
        "explanation": explanation,
        "holder_colors": COLORS,
    }


def figures(traces: list[Trace]) -> dict[str, Any]:
    """What the page's figures are drawn from."""
    components = component_names(traces)
    longest_s = max(max(trace.total_s, trace.kill.time_s if trace.kill is not None else 0.0) for trace in traces)
    unit = time_unit(longest_s)
    drawn = [_figures_of(trace, index, components, unit) for index, trace in enumerate(traces)]
    return {
        "time": unit.name,
        "size": size_unit(max(_most_drawn(each) for each in drawn))._asdict(),
        "farthestLimit": FARTHEST_LIMIT,
        "components": components,
        "lanes": list(LANE_NAMES.values()),
        "holders": [{"key": key, "name": name} for key, name in HOLDERS.items()],
        "traces": drawn,
    }


def _most_drawn(figures: dict[str, Any]) -> int:
    """The most bytes that are held in a run's chart of memory."""
    memory, measured = figures["memory"], figures["measured"]
    held: list[int] = [
        0,
        *memory["total"],
        *memory.get("mapped", ()),
        *([] if measured is None else [measured["peak"]]),
    ]
    return max(held)


def _figures_of(trace: Trace, index: int, components: list[str], unit: TimeUnit) -> dict[str, Any]:
    kill = trace.kill
    step = steady_step(trace)
    peak = max(trace.memory, key=lambda sample: sample.total, default=None)
    measured = footprint_columns(trace)
    return {
        "letter": letter(index),
        "total": trace.total_s,
        "lanes": [LANES.index(lane) for lane in lanes_of(trace)],
        "spans": _by_steps(span_columns(trace, components), "start"),
        "passes": pass_texts(trace, unit),
        "memory": _by_steps(memory_columns(trace), "time"),
        "csv": blocks_csv(trace),
        "measured": None if measured is None else _by_steps(measured, "time"),
        "peak": None if peak is None else {"time": peak.time_s, "bytes": peak.total},
        "limit": _bytes(trace.limit_bytes),
        "budget": trace.allowed_bytes,
        "kill": None if kill is None else {"time": kill.time_s, **_bytes(kill.footprint_bytes)},
        "step": None if step is None else {
            "component": components.index(step.component), "step": step.step, "start": step.start_s, "end": step.end_s,
            "unit": time_unit(step.seconds).name,
        },
    }  # fmt: skip


def _by_steps(columns: dict[str, Any], moments: str) -> dict[str, Any]:
    """The columns, with a column of seconds as microseconds from each to the next, which repeat: a twentieth packed."""
    times = [round(seconds * 1e6) for seconds in columns[moments]]
    return {**columns, moments: [later - earlier for earlier, later in pairwise([0, *times])]}


def _bytes(count: int) -> dict[str, Any]:
    return {"bytes": count, "told": format_bytes(count)}


def _title(traces: list[Trace]) -> str:
    if len(traces) > 1:
        return f"{len(traces)} runs compared"
    trace = traces[0]
    return f"{verdict(trace).word}: {trace.plan} on {trace.device} ({kind_word(trace).lower()})"
