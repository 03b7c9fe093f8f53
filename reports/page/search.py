"""The page of a search: the plan found beside the others, the trade-off with memory, the cuts, what it depends on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from ondevice_sora.base.files.writing import write_text, yaml_text
from ondevice_sora.base.units import (
    TimeUnit,
    format_bytes,
    format_change,
    format_count,
    format_percent,
    format_seconds,
    time_unit,
)
from ondevice_sora.records.search import BudgetPoint, PlannedBlock, PlannedRow, Planning, Reason, SearchReport
from ondevice_sora.reports.page.downloads import Download, yaml_download
from ondevice_sora.reports.page.explanation import explanation_view, tornado
from ondevice_sora.reports.page.report import EXPLAINED, content, figures
from ondevice_sora.reports.page.sections import letter, run_color, total_axis
from ondevice_sora.reports.page.templating import page
from ondevice_sora.reports.rows import kept_share
from ondevice_sora.reports.search import (
    NEXT_BEST,
    RISK,
    budget_cells,
    devices_of,
    gap_lines,
    plan_name,
    row_meanings,
    rows_of,
    saved_by_mark,
)

ABOUT_FIGURES = (
    "Everything on this page is simulated from a profile whose figures carry the marks shown: measured, published, "
    "fitted to published figures, or estimated."
)


class Policy(NamedTuple):
    """A row of the table: a plan on a device, what the plan found saves over it, and on which figures that rests."""

    name: str
    row: PlannedRow
    is_found: bool
    saves: str
    rests: str


class Policies(NamedTuple):
    """A device's rows, and the units of their columns of times: the total, each component, what is saved."""

    total: TimeUnit
    components: dict[str, TimeUnit]
    saves: str
    rows: list[Policy]


class Cut(NamedTuple):
    """A plan's blocks of one component: what each is, its share of the width, and the share of its runs after the first
    that find it in memory."""

    name: str
    about: str
    blocks: list[tuple[str, float, float]]


class Offer(NamedTuple):
    """A plan of the front: what stands in its row, and the plan as a link to a file of its own."""

    cells: tuple[str, ...]
    name: str
    link: str


class Named(NamedTuple):
    """A plan of the chart, by its letter."""

    letter: str
    color: str
    text: str


def write_search(report: SearchReport, path: str | Path) -> None:
    """Write the page. Raises UserError if it cannot be written."""
    write_text(path, render_search(report))


def render_search(report: SearchReport) -> str:
    """The whole page as text: self-contained, the same for the same report."""
    planning = report.planning
    devices = devices_of(planning)
    rows = rows_of(planning, devices[0])
    traces = [report.chosen.trace]
    explanation = explanation_view(report.chosen)
    return page(
        "search.html",
        title=f"{format_seconds(rows[0].total_s)}: plan found for {report.model} on {rows[0].device}",
        assets=EXPLAINED,
        figures={**figures(traces), "pareto": _pareto(report, rows), "tornado": tornado(report.chosen)},
        **content(traces, explanation),
        report=report,
        risk=RISK,
        devices=devices,
        sentence=_sentence(planning, rows),
        meanings=row_meanings(rows),
        policies={device: _policies(rows_of(planning, device)) for device in devices},
        front=list(map(_offer, planning.memory_front)),
        own=_own_plan(report),
        named=_named(rows),
        has_next_best=bool(_next_best(report)),
        cuts={component: [_cut(row, component) for row in rows] for component in rows[0].num_blocks},
        notes=_notes(report, devices),
    )


def _sentence(planning: Planning, rows: list[PlannedRow]) -> str:
    found, *others = rows
    beside = next((row for row in others if row.name == "reference app"), others[0] if others else None)
    gain = ""
    if beside is not None:
        share = (beside.total_s - found.total_s) / beside.total_s
        gain = f" {format_percent(abs(share))} {'faster' if share >= 0 else 'slower'} than the {beside.name}."
    sure = (
        ""
        if planning.gap is None
        else (f" No plan that the search may choose is more than {format_percent(planning.gap)} faster.")
    )
    return f"The fastest of {format_count(planning.num_evaluated, 'plan')}.{gain}{sure}"


def _offer(point: BudgetPoint) -> Offer:
    text = quote(yaml_text(point.plan, f"Found by `ondevice-sora plan search`: {point.total_s:.6f} s predicted."))
    name = f"{format_bytes(point.budget_bytes).replace(' ', '')}.yaml"
    return Offer(budget_cells(point), name, f"data:text/yaml;charset=utf-8,{text}")


def _own_plan(report: SearchReport) -> Download | None:
    """The plan found, as a file to save."""
    made = report.chosen.trace.provenance
    return None if made is None or made.plan is None else yaml_download("best", made.plan)


def _policies(rows: list[PlannedRow]) -> Policies:
    found, *others = rows
    components = list(dict.fromkeys(name for row in rows for name in row.component_s))
    parts = {name: time_unit(max(row.component_s.get(name, 0.0) for row in rows)) for name in components}
    saves = time_unit(max((abs(row.total_s - found.total_s) for row in others), default=0.0))
    return Policies(
        time_unit(max(row.total_s for row in rows)),
        parts,
        saves.name,
        [
            Policy(plan_name(found), found, True, "", ""),
            *(
                Policy(
                    plan_name(row),
                    row,
                    False,
                    format_change(row.total_s - found.total_s, saves.write),
                    _rests(row, found, saves),
                )
                for row in others
            ),
        ],
    )


def _rests(row: PlannedRow, found: PlannedRow, unit: TimeUnit) -> str:
    """'+10.0 published, −5.00 fitted'; nothing where all are as fast."""
    by_mark = saved_by_mark(row, found)
    if not any(by_mark.values()):
        return ""
    return ", ".join(f"{format_change(seconds, unit.write)} {mark}" for mark, seconds in by_mark.items())


def _cut(row: PlannedRow, component: str) -> Cut:
    blocks = [block for block in row.blocks if block.component == component]
    held = sum(block.resident_bytes for block in blocks) or 1
    loads = sum(block.num_loads for block in blocks)
    shares = [max(block.resident_bytes / held, 1e-3) for block in blocks]
    return Cut(
        row.name,
        f"{format_count(len(blocks), 'block')}, {format_count(loads, 'load')}",
        [
            (_block_text(block), share, kept_share(block.num_runs, block.num_loads))
            for block, share in zip(blocks, shares, strict=True)
        ],
    )


def _block_text(block: PlannedBlock) -> str:
    runs = format_count(block.num_runs, "run")
    return f"{block.name}: {format_bytes(block.resident_bytes)}, {runs}, {format_count(block.num_loads, 'load')}"


def _next_best(report: SearchReport) -> list[Reason]:
    return [reason for reason in report.chosen.explanation.reasons if reason.group == NEXT_BEST]


def _pareto(report: SearchReport, rows: list[PlannedRow]) -> dict[str, Any]:
    """Seconds over peak memory: the front, the plans one change away, and the plans of the table."""
    planning = report.planning
    found = rows[0]
    near = [
        _point(
            found.peak_bytes + (reason.peak_change_bytes or 0), found.total_s - (reason.saved_s or 0.0), reason.title
        )
        for reason in _next_best(report)
    ]
    front = [
        _point(point.peak_bytes, point.total_s, f"budget {format_bytes(point.budget_bytes)}")
        for point in planning.memory_front
    ]
    seen = {_place(row): number for number, row in reversed(list(enumerate(rows)))}
    plans = [
        {
            "letter": letter(number),
            "color": run_color(number),
            **_point(row.peak_bytes, row.total_s, row.name),
        }
        for number, row in enumerate(rows)
        if seen[_place(row)] == number
    ]
    points = [*front, *near, *plans]
    xs = [point["x"] for point in points]
    budget, limit = planning.budget_bytes / 1e9, report.chosen.trace.limit_bytes / 1e9
    reach = 0.06 * (max(xs) - min(xs))
    return {
        "front": front,
        "near": near,
        "plans": plans,
        "budget": budget if min(xs) - reach < budget < max(xs) + reach else None,
        "limit": limit if limit < max(xs) + 5 * reach else None,
        "across": "peak footprint, GB",
        "upward": total_axis(max(point["y"] for point in points)),
    }


def _point(peak_bytes: int, total_s: float, name: str) -> dict[str, Any]:
    told = f"{format_seconds(total_s)}, {format_bytes(peak_bytes)}"
    return {"x": peak_bytes / 1e9, "y": total_s, "told": f"{name}: {told}"}


def _named(rows: list[PlannedRow]) -> list[Named]:
    """The legend of the chart; of plans at one place only the first can be seen."""
    places: dict[tuple[float, int], str] = {}
    named = []
    for number, row in enumerate(rows):
        own = letter(number)
        first = places.setdefault(_place(row), own)
        told = _told(row) if first == own else f"where {first} is"
        named.append(Named(own, run_color(number), f"{row.name}: {told}"))
    return named


def _place(row: PlannedRow) -> tuple[float, int]:
    return row.total_s, row.peak_bytes


def _told(row: PlannedRow) -> str:
    return f"{format_seconds(row.total_s)}, {format_bytes(row.peak_bytes)}"


def _notes(report: SearchReport, devices: list[str]) -> list[str]:
    notes = [f"{word.capitalize()}: {text}." for word, text in gap_lines(report.planning)]
    notes += [*report.chosen.explanation.notes, ABOUT_FIGURES]
    if len(devices) > 1:
        notes.append(f"The chart, the cuts and all below them are about {devices[0]}; the table has every device.")
    return notes
