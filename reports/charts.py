"""Several runs, devices, plans or changes as plotly figures, for notebooks. Killed and refused ones are told apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

from ondevice_sora.base.units import format_bytes, format_seconds
from ondevice_sora.records.ladder import Ladder, Rung
from ondevice_sora.records.search import Explanation, Planning
from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.figures import COLOURS, LIMIT_COLOUR
from ondevice_sora.reports.rows import components, verdict

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

GB = 1e9
SYMBOLS = {"fits": "circle", "too risky": "diamond", "killed": "x"}


def comparison_figure(traces: Sequence[Trace], names: Sequence[str]) -> Figure:
    """A bar of seconds a run, by component, beside a bar of its peak and a mark at its limit."""
    from plotly.graph_objects import Bar, Scatter
    from plotly.subplots import make_subplots

    figure: Figure = make_subplots(rows=1, cols=2, shared_yaxes=True, column_widths=[0.6, 0.4], horizontal_spacing=0.03)
    parts = [components(trace) for trace in traces]
    for component, colour in zip(dict.fromkeys(name for part in parts for name in part), cycle(COLOURS), strict=False):
        seconds = [part[component].total_s if component in part else 0.0 for part in parts]
        bar = Bar(name=component, orientation="h", y=list(names), x=seconds, marker={"color": colour})
        figure.add_trace(bar, row=1, col=1)
    peaks, limits = ([getattr(trace, f"{key}_bytes") / GB for trace in traces] for key in ("peak", "limit"))
    bar = Bar(name="peak", orientation="h", y=list(names), x=peaks, marker={"color": "#BBBBBB"})
    figure.add_trace(bar, row=1, col=2)
    mark = {"symbol": "line-ns", "size": 18, "line": {"color": LIMIT_COLOUR, "width": 2}}
    figure.add_trace(Scatter(name="limit", y=list(names), x=limits, mode="markers", marker=mark), row=1, col=2)
    killed = [name for name, trace in zip(names, traces, strict=True) if verdict(trace).is_killed]
    figure.update_layout(
        barmode="stack",
        title=f"killed: {', '.join(killed)}" if killed else None,
        xaxis_title="time, s",
        xaxis2={"title": "peak footprint, GB", "rangemode": "tozero"},
        yaxis={"autorange": "reversed", "ticksuffix": " "},
    )
    return figure


def ladder_figure(ladder: Ladder) -> Figure:
    """Minutes on each device over its limit, in one colour without and one with the entitlement.

    The time of a killed one is what it would be without a limit; devices that cannot run the plan are left out.
    """
    from plotly.graph_objects import Figure, Scatter

    figure = Figure()
    for entitlement, colour in ((False, COLOURS[0]), (True, COLOURS[1])):
        rungs = [rung for rung in ladder.under(entitlement) if rung.unlimited_s is not None]
        if rungs:
            figure.add_trace(
                Scatter(
                    name="with the entitlement" if entitlement else "without an entitlement",
                    x=[rung.limit_bytes / GB for rung in rungs],
                    y=[(rung.unlimited_s or 0.0) / 60.0 for rung in rungs],
                    text=[rung.device for rung in rungs],
                    hovertext=[_rung_text(rung) for rung in rungs],
                    mode="markers+text",
                    textposition="top center",
                    marker={"color": colour, "size": 9, "symbol": [SYMBOLS[rung.word] for rung in rungs]},
                )
            )
    figure.update_layout(
        title=f"{ladder.plan} (● fits, ◆ too risky, ✕ killed: time without a limit)",
        xaxis_title="memory limit of an app, GB",
        yaxis_title="time, min",
    )
    return figure


def _rung_text(rung: Rung) -> str:
    peak = "" if rung.peak_bytes is None else f", peak {format_bytes(rung.peak_bytes)}"
    return f"{rung.device}: {rung.word}, {format_seconds(rung.unlimited_s or 0.0)}{peak}"


def sweep_figure(rows: Sequence[dict[str, Any]], name: str) -> Figure:
    """Seconds over the axis that was swept, a line for each combination of the others, with the 90 % interval.

    Rows that are killed or refused have no time and no point.
    """
    from plotly.graph_objects import Figure, Scatter

    from ondevice_sora.reports.page.sweep import BUDGET, series_of

    across, series = series_of(rows)
    figure = Figure()
    for each, colour in zip(series, cycle(COLOURS), strict=False):
        timed = [row for row in each.rows if row.get("total_s") is not None and across.place(row) is not None]
        if across is BUDGET:
            timed.sort(key=across.place)
        figure.add_trace(
            Scatter(
                name=each.name,
                x=[across.place(row) / GB if across is BUDGET else across.place(row) for row in timed],
                y=[row["total_s"] for row in timed],
                error_y={"symmetric": False, "thickness": 1, **_interval(timed)},
                mode="lines+markers",
                line={"color": colour},
            )
        )
    across_name = "budget, GB" if across is BUDGET else across.name
    figure.update_layout(title=name, xaxis_title=across_name, yaxis_title="time, s")
    return figure


def _interval(rows: Iterable[dict[str, Any]]) -> dict[str, list[float]]:
    ends = [
        (row["total_s"], *(row["total_s"] if row.get(key) is None else row[key] for key in ("low_s", "high_s")))
        for row in rows
    ]
    return {
        "array": [high - total for total, _, high in ends],
        "arrayminus": [total - low for total, low, _ in ends],
    }


def planning_figure(planning: Planning) -> Figure:
    """Seconds over the peak of the plans that a search compared, on its first device, and the front it found."""
    from plotly.graph_objects import Figure, Scatter

    figure = Figure()
    if planning.memory_front:
        points = sorted(planning.memory_front, key=lambda point: point.peak_bytes)
        peaks, totals = [point.peak_bytes / GB for point in points], [point.total_s for point in points]
        line = {"color": COLOURS[0], "shape": "hv"}
        figure.add_trace(Scatter(name="front", x=peaks, y=totals, mode="lines+markers", line=line))
    rows = [row for row in planning.rows if row.device == planning.rows[0].device]
    figure.add_trace(
        Scatter(
            name="plans compared",
            x=[row.peak_bytes / GB for row in rows],
            y=[row.total_s for row in rows],
            text=[row.name for row in rows],
            mode="markers+text",
            textposition="top center",
            marker={"color": COLOURS[1], "size": 9, "symbol": [SYMBOLS[row.verdict] for row in rows]},
        )
    )
    budget = {"x": planning.budget_bytes / GB, "line": {"color": "#777777", "dash": "dot"}}
    figure.add_vline(**budget, annotation_text=f"budget {format_bytes(planning.budget_bytes)}")
    figure.update_layout(title=rows[0].device, xaxis_title="peak footprint, GB", yaxis_title="time, s")
    return figure


def reasons_figure(explanation: Explanation) -> Figure:
    """A bar a change: the seconds that it takes less (to the left) or more than the plan itself."""
    from plotly.graph_objects import Bar, Figure

    figure = Figure()
    for (group, reasons), colour in zip(_groups(explanation).items(), cycle(COLOURS), strict=False):
        titles, seconds = [title for title, _ in reasons], [saved for _, saved in reasons]
        figure.add_trace(Bar(name=group, orientation="h", y=titles, x=seconds, marker={"color": colour}))
    figure.update_layout(
        title=f"{explanation.plan} on {explanation.device}: with one thing changed",
        xaxis_title="seconds more than the plan takes",
        yaxis={"autorange": "reversed", "ticksuffix": " "},
    )
    return figure


def _groups(explanation: Explanation) -> dict[str, list[tuple[str, float]]]:
    """Changes that can be made, with the seconds they take more, by what they are about."""
    groups: dict[str, list[tuple[str, float]]] = {}
    for reason in explanation.reasons:
        if reason.saved_s is not None:
            groups.setdefault(reason.group, []).append((reason.title, -reason.saved_s))
    return groups
