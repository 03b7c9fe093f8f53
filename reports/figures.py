"""A run as a plotly figure, for notebooks: what each lane does over time, above the footprint by holder.

Pages draw the same data themselves (page/assets/report.js), because there it follows width, zoom and colour scheme.
"""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

from ondevice_sora.base.units import format_bytes, size_unit
from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.rows import LANE_NAMES, verdict
from ondevice_sora.reports.timeline import (
    FARTHEST_LIMIT,
    HOLDERS,
    component_names,
    lanes_of,
    memory_columns,
    span_text,
    unit_of,
)

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

COLOURS = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377")
"""Tol's bright scheme, which colour-blind people can tell apart."""
HOLDER_COLOURS = ("#BBBBBB", "#DDDDDD", "#4477AA", "#66CCEE", "#CCBB44")
LIMIT_COLOUR = "#CC3311"


def run_figure(trace: Trace) -> Figure:
    """Lanes over the seconds of the generation, and beneath them the footprint, in the unit that suits it.

    The limit is a line; far above all that is held it is only named.
    """
    from plotly.graph_objects import Bar, Scatter
    from plotly.subplots import make_subplots

    figure: Figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.4, 0.6], vertical_spacing=0.05)
    lanes, unit = lanes_of(trace), unit_of(trace)
    for component, colour in zip(component_names([trace]), cycle(COLOURS), strict=False):
        spans = [span for span in trace.spans if span.component == component]
        figure.add_trace(
            Bar(
                name=component,
                orientation="h",
                base=[span.start_s for span in spans],
                x=[span.seconds for span in spans],
                y=[LANE_NAMES[span.lane] for span in spans],
                marker={"color": colour, "line": {"width": 0}},
                hovertext=[f"{span.block}\n{span_text(span, unit)}".replace("\n", "<br>") for span in spans],
                hoverinfo="text",
            ),
            row=1,
            col=1,
        )
    memory = memory_columns(trace)
    held = max(memory["total"], default=0)
    size = size_unit(held)
    for holder, colour in zip(HOLDERS, HOLDER_COLOURS, strict=True):
        if any(memory[holder]):
            figure.add_trace(
                Scatter(
                    name=HOLDERS[holder],
                    x=memory["time"],
                    y=[count / size.bytes for count in memory[holder]],
                    mode="lines",
                    stackgroup="memory",
                    line={"width": 0, "shape": "hv", "color": colour},
                ),
                row=2,
                col=1,
            )
    limit = f"limit {format_bytes(trace.limit_bytes)}"
    if trace.limit_bytes <= FARTHEST_LIMIT * held:
        line = {"color": LIMIT_COLOUR, "dash": "dash"}
        figure.add_hline(y=trace.limit_bytes / size.bytes, line=line, row=2, annotation_text=limit)
    else:
        place = {"xref": "x2 domain", "yref": "y2 domain", "x": 1, "y": 1, "xanchor": "right", "yanchor": "bottom"}
        figure.add_annotation(text=f"{limit}, far above", showarrow=False, **place)
    figure.update_yaxes(categoryorder="array", categoryarray=[LANE_NAMES[lane] for lane in reversed(lanes)], row=1)
    figure.update_yaxes(title_text=f"footprint, {size.name}", rangemode="tozero", row=2)
    figure.update_xaxes(title_text="time, s", row=2)
    figure.update_layout(title=f"{trace.plan} on {trace.device}: {verdict(trace).word}", barmode="overlay", bargap=0.1)
    return figure
