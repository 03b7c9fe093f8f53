"""One HTML page from one or more traces: self-contained, readable offline, the same bytes for the same traces.

Text, tables and simple bars are written here as HTML. The figures are drawn in the browser by page/page.js from data
embedded in the page, because they follow the colour scheme, the width and the zoom.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.writing import write_text
from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.page import sections
from ondevice_sora.reports.page.markup import Html, el, join, json_for_script, text
from ondevice_sora.reports.page.prediction_section import prediction_section
from ondevice_sora.reports.rows import kind_word, labels, verdict
from ondevice_sora.reports.timeline import (
    LANES,
    component_names,
    lanes_of,
    memory_columns,
    span_columns,
    steady_step,
    title,
)


def write_report(traces: list[Trace], path: str | Path) -> None:
    """Write the page. Raises UserError if there is no trace, or if the file cannot be written."""
    write_text(path, render(traces))


def render(traces: list[Trace]) -> str:
    """The whole page as text. Raises UserError if there is no trace."""
    if not traces:
        raise UserError("a report needs at least one trace", mend="Name a trace that `simulate --trace FILE` wrote.")
    names = labels(traces)
    return Template(_part("page.html")).substitute(
        title=text(_title(traces)),
        style=_part("style.css"),
        body=_single(traces[0], names) if len(traces) == 1 else _several(traces, names),
        data=json_for_script(page_data(traces, names)),
        plotly=_plotly(),
        script=_part("page.js"),
    )


def page_data(traces: list[Trace], names: list[str]) -> dict[str, Any]:
    """What the page's figures are drawn from."""
    components = component_names(traces)
    return {
        "components": [title(name) for name in components],
        "lanes": list(LANES),
        "traces": [_trace_data(trace, name, components) for trace, name in zip(traces, names, strict=True)],
    }


def _trace_data(trace: Trace, name: str, components: list[str]) -> dict[str, Any]:
    kill = trace.kill
    step = steady_step(trace)
    return {
        "name": name,
        "kind": trace.kind,
        "total": trace.total_s,
        "lanes": [LANES.index(lane) for lane in lanes_of(trace)],
        "spans": span_columns(trace, components),
        "memory": memory_columns(trace),
        "limit": trace.limit_bytes,
        "budget": trace.result.budget_bytes if trace.result is not None else None,
        "kill": None if kill is None else {"time": kill.time_s, "bytes": kill.footprint_bytes},
        "step": None
        if step is None
        else {
            "component": components.index(step.component),
            "step": step.step,
            "start": step.start_s,
            "end": step.end_s,
        },
    }


def _title(traces: list[Trace]) -> str:
    if len(traces) > 1:
        return f"{len(traces)} runs compared"
    trace = traces[0]
    return f"{verdict(trace).word}: {trace.plan} on {trace.device} ({kind_word(trace).lower()})"


def _single(trace: Trace, names: list[str]) -> Html:
    return join(
        [
            sections.verdict_header(trace),
            sections.fact_tiles(trace),
            sections.next_steps(trace),
            sections.what_if_cards(trace),
            sections.timeline([trace], names),
            *_details(trace, 0),
        ]
    )


def _several(traces: list[Trace], names: list[str]) -> Html:
    details = [
        el("details", el("summary", sections.letter_mark(index), name), *_details(trace, index), class_="run")
        for index, (trace, name) in enumerate(zip(traces, names, strict=True))
    ]
    return join(
        [
            sections.comparison_header(traces, names),
            prediction_section(traces),
            sections.comparison_table(traces, names),
            sections.timeline(traces, names),
            *details,
        ]
    )


def _details(trace: Trace, index: int) -> list[Html | None]:
    return [
        sections.steady(trace, index),
        el(
            "div",
            sections.where_time_goes(trace),
            el("div", sections.bounds(trace), sections.origins(trace), class_="column"),
            class_="columns",
        ),
        sections.blocks(trace),
        sections.conditions(trace),
    ]


@cache
def _part(name: str) -> str:
    return (files("ondevice_sora.reports") / "page" / "assets" / name).read_text(encoding="utf-8")


@cache
def _plotly() -> str:
    """plotly.js as the plotly package ships it."""
    from plotly.offline import get_plotlyjs

    source = get_plotlyjs()
    assert "</script" not in source.lower(), "plotly.js would end its own <script> element"
    return str(source)
