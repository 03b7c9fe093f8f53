"""The page of a sweep: time and peak over the axis that was swept, a line for each of the rest, and every row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ondevice_sora.base.files.writing import write_text
from ondevice_sora.base.units import format_bytes, format_percent, format_probability, format_seconds
from ondevice_sora.records.ladder import MOST_DOUBT, fits_surely
from ondevice_sora.records.provenance import Provenance
from ondevice_sora.reports.page.downloads import csv_download
from ondevice_sora.reports.page.provenance import source_of
from ondevice_sora.reports.page.sections import DASHES, NUM_COLORS, total_axis
from ondevice_sora.reports.page.templating import page
from ondevice_sora.reports.rows import UNKNOWN

Row = dict[str, Any]
"""A row of the sweep's table, as docs/plan.md says: units in the names, None for unknown."""

MOST_SERIES = NUM_COLORS * len(DASHES)
"""As many lines can be told apart by colour and dash."""


class Axis(NamedTuple):
    """An axis of the grid: what it is called, a row's place on it, and that place in words."""

    name: str
    place: Callable[[Row], Any]
    words: Callable[[Row], str]


class Series(NamedTuple):
    """A line of the charts."""

    name: str
    color: str
    dash: str
    rows: list[Row]


class Column(NamedTuple):
    """A column of the page's table: what it sorts by, and what stands in it."""

    heading: str
    value: Callable[[Row], Any]
    words: Callable[[Row], str]


def _shape(row: Row) -> str:
    sides = [row.get(side) for side in ("width", "height", "frames")]
    return "x".join(map(str, sides)) if None not in sides else UNKNOWN


def _known(name: str, write: Callable[[Any], str]) -> Callable[[Row], str]:
    return lambda row: UNKNOWN if row.get(name) is None else write(row[name])


BUDGET = Axis("budget", lambda row: row.get("budget_bytes"), _known("budget_bytes", format_bytes))
AXES = (
    BUDGET,
    Axis("shape", _shape, _shape),
    Axis("device", lambda row: row["device"], lambda row: row["device"]),
    Axis("model", lambda row: row["model"], lambda row: row["model"]),
    Axis("technique", lambda row: row["technique"], lambda row: row["technique"]),
)
"""The first of these that varies lies across; the others that vary tell the lines apart."""
COLUMNS = (
    Column("Model", lambda row: None, lambda row: row["model"]),
    Column("Technique", lambda row: None, lambda row: row["technique"]),
    Column("Shape", lambda row: None, _shape),
    Column("Device", lambda row: None, lambda row: row["device"]),
    Column("Budget", BUDGET.place, BUDGET.words),
    Column("Verdict", lambda row: None, lambda row: row["verdict"]),
    Column("Total", lambda row: row.get("total_s"), _known("total_s", format_seconds)),
    Column("From", lambda row: row.get("low_s"), _known("low_s", format_seconds)),
    Column("To", lambda row: row.get("high_s"), _known("high_s", format_seconds)),
    Column("Peak", lambda row: row.get("peak_bytes"), _known("peak_bytes", format_bytes)),
    Column("Limit", lambda row: row.get("limit_bytes"), _known("limit_bytes", format_bytes)),
    Column("Risk", lambda row: row.get("kill_share"), _known("kill_share", format_probability)),
)


def write_sweep(rows: Sequence[Row], name: str, path: str | Path, made: Provenance | None = None) -> None:
    """Write the page of the sweep of that name. Raises UserError if it cannot be written."""
    write_text(path, render_sweep(rows, name, made))


def render_sweep(rows: Sequence[Row], name: str, made: Provenance | None = None) -> str:
    """The whole page as text: self-contained, the same for the same rows."""
    across, series = series_of(rows)
    shown = series[:MOST_SERIES]
    same = [axis for axis in AXES if len({axis.place(row) for row in rows}) == 1 and axis.words(rows[0]) != UNKNOWN]
    told = {axis.name.capitalize() for axis in same} - {"Model"}
    told |= {"Model"} if len(told) < len(AXES) - 1 and len({row["model"] for row in rows}) == 1 else set()
    columns = [
        column for column in COLUMNS if column.heading not in told and any(column.words(row) != UNKNOWN for row in rows)
    ]
    heads = list(dict.fromkeys(key for row in rows for key in row))
    figures = {"total": _total(across, shown), "peak": _peak(across, shown)}
    return page(
        "sweep.html",
        title=f"Sweep: {name}",
        assets=("lines.js", "sweep.css"),
        figures=figures,
        name=name,
        across=across.name,
        headline=_headline(rows, [axis for axis in AXES if axis not in same]),
        counts=_counts(rows),
        same=[(axis.name, axis.words(rows[0])) for axis in same],
        num_rows=len(rows),
        drawn=[key for key, figure in figures.items() if figure is not None],
        series=shown,
        num_left_out=len(series) - len(shown),
        num_without_place=sum(across.place(row) is None for row in rows),
        has_limit=figures["peak"] is not None and figures["peak"]["limit"] is not None,
        columns=[column.heading for column in columns],
        rows=[([(column.words(row), column.value(row)) for column in columns], row.get("reason")) for row in rows],
        table=csv_download(name, heads, ([row.get(key) for key in heads] for row in rows)),
        source=source_of(made),
    )


def _counts(rows: Sequence[Row]) -> str:
    fits, killed, refused = (
        sum(row["verdict"] == verdict for row in rows) for verdict in ("fits", "killed", "refused")
    )
    return f"{fits} fit, {killed} would be killed, {refused} {'was' if refused == 1 else 'were'} refused."


def _headline(rows: Sequence[Row], varying: Sequence[Axis]) -> tuple[str, str]:
    """The fastest row that fits surely enough, in a few words and in a sentence."""
    sure = [row for row in rows if fits_surely(row["verdict"], row.get("kill_share"))]
    if not sure:
        return "Nothing fits", f"None fits with a risk of being killed of at most {format_percent(MOST_DOUBT)}."
    best = min(sure, key=lambda row: row["total_s"])
    where = ", ".join(f"{axis.name} {axis.words(best)}" for axis in varying if axis.words(best) != UNKNOWN)
    peak, risk = _known("peak_bytes", format_bytes)(best), _known("kill_share", format_probability)(best)
    which = f"The fastest that fits with a risk of at most {format_percent(MOST_DOUBT)}{': ' if where else ''}{where}."
    return f"{format_seconds(best['total_s'])} at best", f"{which} Its peak is {peak}, its risk {risk}."


def series_of(rows: Sequence[Row]) -> tuple[Axis, list[Series]]:
    """The axis that lies across, and a line for each combination on the others that vary."""
    varying = [axis for axis in AXES if len({axis.place(row) for row in rows}) > 1]
    across, others = (varying[0], varying[1:]) if varying else (BUDGET, [])
    lines: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        lines.setdefault(tuple(axis.words(row) for axis in others), []).append(row)
    return across, [
        Series(
            ", ".join(words) or "all",
            f"t{index % NUM_COLORS}",
            DASHES[(index + index // NUM_COLORS) % len(DASHES)],
            found,
        )
        for index, (words, found) in enumerate(lines.items())
    ]


def _total(across: Axis, series: Iterable[Series]) -> dict[str, Any] | None:
    """Seconds, with the 90 % interval; rows that are killed or refused have none."""
    longest = max((row["total_s"] for each in series for row in each.rows if row.get("total_s") is not None), default=0)

    def levels(row: Row) -> tuple[float, float, float] | None:
        total = row.get("total_s")
        if total is None:
            return None
        ends = (total if row.get(key) is None else row[key] for key in ("low_s", "high_s"))
        low, high = ends
        return total, low, high

    return _lines(across, series, levels, total_axis(longest), _known("total_s", format_seconds))


def _peak(across: Axis, series: Iterable[Series]) -> dict[str, Any] | None:
    """Gigabytes, of killed rows too; with the limit where all rows have the same."""

    def levels(row: Row) -> tuple[float, float, float] | None:
        peak = row.get("peak_bytes")
        return None if peak is None else (peak / 1e9,) * 3

    series = list(series)
    figure = _lines(across, series, levels, "peak footprint, GB", _known("peak_bytes", format_bytes))
    limits: set[int] = {row["limit_bytes"] for each in series for row in each.rows}
    if figure is not None and len(limits) == 1:
        (limit,) = limits
        figure["limit"] = {"y": limit / 1e9, "told": f"limit {format_bytes(limit)}"}
    return figure


def _lines(
    across: Axis,
    series: Iterable[Series],
    levels: Callable[[Row], tuple[float, float, float] | None],
    upward: str,
    words: Callable[[Row], str],
) -> dict[str, Any] | None:
    """What assets/lines.js draws; None if there is nothing to draw."""
    groups, places = [], []
    for each in series:
        points = []
        for row in each.rows:
            level, place = levels(row), across.place(row)
            if level is None or place is None:
                continue
            value, low, high = level
            killed = ", killed" if row["verdict"] == "killed" else ""
            told = f"{each.name}\n{across.name} {across.words(row)}: {words(row)}{killed}"
            x = place / 1e9 if across is BUDGET else place
            places.append(x)
            points.append({"x": x, "y": value, "low": low, "high": high, "told": told, "isKilled": bool(killed)})
        if across is BUDGET:
            points.sort(key=lambda point: point["x"])
        if points:
            groups.append({"name": each.name, "color": each.color, "dash": each.dash, "isLine": True, "points": points})
    if not places:
        return None
    return {
        "groups": groups,
        "across": "budget, GB" if across is BUDGET else across.name,
        "upward": upward,
        "from": None,
        "to": None,
        "isApart": True,
        "places": None if across is BUDGET else list(dict.fromkeys(places)),
        "limit": None,
    }
