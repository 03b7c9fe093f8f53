"""The page of a search: the plan found beside the others, the trade-off with memory, the cuts, what it all depends on.

Drawn with HTML and CSS alone: it follows width and colour scheme without a script.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

from ondevice_sora.base.files.writing import write_text
from ondevice_sora.base.units import format_bytes, format_percent, format_seconds
from ondevice_sora.records.search import PlannedBlock, PlannedRow, Planning, Reason, SearchReport
from ondevice_sora.reports.page.markup import Html, el, join, text
from ondevice_sora.reports.rows import MINUS
from ondevice_sora.reports.terminal.search import gap_lines, rests_on, saved_by_mark

NEXT_BEST = "next-best plans, one thing changed"
SHOWN_FIGURES = 12
MARK_COLORS = {"measured": "m-measured", "published": "m-published", "fitted": "m-fitted", "estimated": "m-estimated"}


def write_search(report: SearchReport, path: str | Path) -> None:
    """Write the page. Raises UserError if it cannot be written."""
    write_text(path, render_search(report))


def render_search(report: SearchReport) -> str:
    """The whole page as text: self-contained, the same for the same report."""
    page = files("ondevice_sora.reports") / "page" / "assets"
    found = report.planning.rows[0]
    return Template((page / "plain.html").read_text(encoding="utf-8")).substitute(
        title=text(f"{format_seconds(found.total_s)}: plan found for {report.model} on {found.device}"),
        style="".join((page / name).read_text(encoding="utf-8") for name in ("style.css", "search.css")),
        body=join([_header(report), _policies(report.planning), _pareto(report), _cuts(report.planning),
                   _tornado(report), _worth(report), _what_ifs(report), _ending(report)]),
    )  # fmt: skip


def _section(title: str, about: str, *children: object) -> Html:
    return el("section", el("h2", title), el("p", about, class_="about"), *children)


def _rows_of_first_device(planning: Planning) -> list[PlannedRow]:
    return [row for row in planning.rows if row.device == planning.rows[0].device]


def _header(report: SearchReport) -> Html:
    planning = report.planning
    found, *others = _rows_of_first_device(planning)
    slowest = max(others, key=lambda row: row.name == "reference app", default=None)
    gain = ""
    if slowest is not None:
        share = (slowest.total_s - found.total_s) / slowest.total_s
        gain = f" {format_percent(abs(share))} {'faster' if share >= 0 else 'slower'} than the {slowest.name}'s plan."
        gain = gain.replace("policy's plan", "policy")
    devices = ", ".join(dict.fromkeys(row.device for row in planning.rows))
    return el(
        "header",
        el("p", el("span", "Simulated", class_="badge"), f"{report.model} on {devices}", class_="eyebrow"),
        el("h1", f"{format_seconds(found.total_s)} within {format_bytes(planning.budget_bytes)}"),
        el(
            "p",
            f"The fastest of {planning.num_evaluated:,} plans.{gain} No plan within the planner's freedom is more than "
            f"{format_percent(planning.gap)} faster.",
            class_="sentence",
        ),
        class_="comparison",
    )


def _policies(planning: Planning) -> Html:
    families = list(dict.fromkeys(family for row in planning.rows for family in row.component_s))
    heads = ("Total", *families, "Peak", "Killed in", "Packages", "Found saves")
    sections = []
    for device in dict.fromkeys(row.device for row in planning.rows):
        rows = [row for row in planning.rows if row.device == device]
        body = [_policy(row, rows[0], families) for row in rows]
        head = el("thead", el("tr", el("th", device), *(el("th", name, scope="col") for name in heads)))
        sections.append(el("div", el("table", head, el("tbody", *body), class_="policies"), class_="scroll"))
    about = (
        "Per component, everything on. Killed in: the share of draws of baseline and limit. Beneath a saving: the "
        "seconds of it that rest on figures of each mark."
    )
    return _section("Beside the other policies", about, *sections)


def _policy(row: PlannedRow, found: PlannedRow, families: Sequence[str]) -> Html:
    is_found = row is found
    name = row.name if row.verdict == "fits" else f"{row.name} (killed: over the limit)"
    saving: list[object] = [""]
    if not is_found:
        saved = row.total_s - found.total_s
        saving = [_signed(saved), el("span", rests_on(saved_by_mark(row, found)), class_="rests")]
    return el(
        "tr",
        el("th", name, scope="row"),
        el("td", format_seconds(row.total_s)),
        *(el("td", format_seconds(row.component_s[f]) if f in row.component_s else "") for f in families),
        el("td", format_bytes(row.peak_bytes)),
        el("td", format_percent(row.kill_share)),
        el("td", row.num_packages),
        el("td", *saving),
        class_="found" if is_found else None,
    )


def _signed(seconds: float) -> str:
    return f"{'+' if seconds >= 0 else MINUS}{format_seconds(abs(seconds))}"


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers from low to high."""
    rough = (high - low) / 4 or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first = -(-low // step)
    return [step * (first + number) for number in range(int((high - first * step) / step + 1e-9) + 1)]


def _pareto(report: SearchReport) -> Html:
    """Seconds over peak memory: the front, the named plans, and the plans one change away."""
    planning = report.planning
    rows = _rows_of_first_device(planning)
    near = [reason for reason in report.explanation.reasons if reason.group == NEXT_BEST]
    front = [(point.peak_bytes, point.total_s) for point in planning.memory_front]
    next_best = [_place_of(reason, rows[0]) for reason in near]
    named = [(row.peak_bytes, row.total_s) for row in rows]
    points = [*front, *next_best, *named]
    least_x, most_x = min(x for x, _ in points), max(x for x, _ in points)
    least_y, most_y = min(y for _, y in points), max(y for _, y in points)
    margin_x, margin_y = 0.05 * (most_x - least_x) or 1e8, 0.06 * (most_y - least_y) or 1.0
    low_x, high_x, low_y, high_y = least_x - margin_x, most_x + margin_x, least_y - margin_y, most_y + margin_y

    def at(x: float, y: float) -> str:
        return f"left: {_share(x, low_x, high_x)}; top: {_share(high_y - y, 0.0, high_y - low_y)}"

    drawn: list[Html] = []
    for tick in _ticks(low_y, high_y):
        top = f"top: {_share(high_y - tick, 0.0, high_y - low_y)}"
        drawn += [el("span", class_="across", style=top), el("span", f"{tick:g} s", class_="y", style=top)]
    for tick in _ticks(low_x / 1e9, high_x / 1e9):
        drawn.append(el("span", f"{tick:g}", class_="x", style=f"left: {_share(tick * 1e9, low_x, high_x)}"))
    drawn.append(el("span", "peak footprint, GB", class_="x-title"))
    if low_x < planning.budget_bytes < high_x:
        drawn.append(el("span", class_="limit", style=f"left: {_share(planning.budget_bytes, low_x, high_x)}"))
    drawn += [el("i", class_="front", style=at(x, y), title=_told(x, y)) for x, y in front]
    drawn += [
        el("i", class_="next", style=at(*place), title=f"{reason.title}: {_told(*place)}")
        for reason, place in zip(near, next_best, strict=True)
    ]
    letters = [chr(ord("A") + number) for number in range(len(rows))]
    # The plan found is drawn last, on top.
    for row, letter, number in reversed(list(zip(rows, letters, range(len(rows)), strict=True))):
        color = f"--swatch: var(--t{number % 6}); "
        told = f"{row.name}: {_told(row.peak_bytes, row.total_s)}"
        drawn.append(el("b", letter, style=color + at(row.peak_bytes, row.total_s), title=told))
    keys = [
        el("li", el("span", letter, class_="letter", style=f"--swatch: var(--t{number % 6})"),
           f"{row.name}: {_told(row.peak_bytes, row.total_s)}")
        for number, (row, letter) in enumerate(zip(rows, letters, strict=True))
    ]  # fmt: skip
    keys.append(el("li", el("i", class_="front"), "fastest plan tried within its memory"))
    if near:
        keys.append(el("li", el("i", class_="next"), "one thing changed: a next-best plan"))
    if low_x < planning.budget_bytes < high_x:
        keys.append(el("li", el("span", class_="rule"), f"budget {format_bytes(planning.budget_bytes)}"))
    about = "Every plan tried lies above the dots or to their right."
    return _section(
        "Latency against peak memory", about, el("ul", *keys, class_="legend"), el("div", *drawn, class_="pareto")
    )


def _place_of(reason: Reason, found: PlannedRow) -> tuple[float, float]:
    return found.peak_bytes + (reason.peak_change_bytes or 0), found.total_s - (reason.saved_s or 0.0)


def _told(peak_bytes: float, total_s: float) -> str:
    return f"{format_seconds(total_s)}, {format_bytes(peak_bytes)}"


def _share(value: float, low: float, high: float) -> str:
    return f"{(value - low) / (high - low) * 100:.2f}%"


def _cuts(planning: Planning) -> Html:
    rows = _rows_of_first_device(planning)
    children: list[Html] = []
    for component in rows[0].num_blocks:
        children.append(el("h3", component))
        for row in rows:
            blocks = [block for block in row.blocks if block.component == component]
            held = sum(block.resident_bytes for block in blocks)
            loaded = sum(block.num_loads for block in blocks)
            children.append(
                el("div", row.name, el("br"), el("small", f"{len(blocks)} blocks, {loaded} loads"), class_="name")
            )
            children.append(el("div", *(_block(block, held) for block in blocks), class_="bar", role="img"))
    about = (
        "Blocks in the order in which they run, as wide as their weights. Full: loaded once a generation. Hatched: "
        "loaded again for some or all of its runs."
    )
    return _section("The cuts, to scale", about, el("div", *children, class_="cuts"))


def _block(block: PlannedBlock, held: int) -> Html:
    title = f"{block.name}: {format_bytes(block.resident_bytes)}, {block.num_runs} runs, {block.num_loads} loads"
    width = f"flex: {max(block.resident_bytes, held / 1000):.0f} 0 0"
    return el("i", class_="again" if block.num_loads > 1 else None, style=width, title=title)


def _tornado(report: SearchReport) -> Html | None:
    rows = report.sensitivities[:SHOWN_FIGURES]
    if not rows:
        return None
    total = report.explanation.total_s
    reach = max(abs(value - total) for row in rows for value in (row.low_s, row.high_s)) or 1.0
    children: list[Html] = []
    for row in rows:
        left, right = sorted((row.low_s - total, row.high_s - total))
        left, right = min(left, 0.0), max(right, 0.0)
        style = (
            f"--swatch: var(--{MARK_COLORS[row.mark]}); left: {50 + 50 * left / reach:.2f}%; "
            f"width: {50 * (right - left) / reach:.2f}%"
        )
        told = f"{_signed(left)} to {_signed(right)}"
        about = f"{row.mark}, \u00b1{format_percent(row.spread)}: {told}"
        children.append(el("div", row.figure, el("br"), el("small", about), class_="name"))
        children.append(el("div", el("i", style=style), class_="bar", role="img", title=told))
    children.append(el("div"))
    children.append(
        el("div", *(el("span", label) for label in (_signed(-reach), format_seconds(total), _signed(reach))),
           class_="scale")
    )  # fmt: skip
    marks = [
        el("li", el("span", class_="swatch", style=f"--swatch: var(--{MARK_COLORS[mark]})"), mark)
        for mark in dict.fromkeys(row.mark for row in rows)
    ]
    about = "The plan's total with one figure of the costs lower or higher by its spread, the most telling ones first."
    return _section(
        "What the total depends on", about, el("ul", *marks, class_="legend"), el("div", *children, class_="tornado")
    )


def _worth(report: SearchReport) -> Html:
    rows = []
    reasons = report.explanation.reasons
    for group in dict.fromkeys(reason.group for reason in reasons):
        rows.append(el("tr", el("th", group, scope="rowgroup", colspan=4), class_="group"))
        for reason in (reason for reason in reasons if reason.group == group):
            title = f"{reason.title} ({reason.note})" if reason.note else reason.title
            peak = "" if reason.peak_change_bytes is None else f"{reason.peak_change_bytes / 1e6:+.0f} MB"
            rows.append(
                el(
                    "tr",
                    el("th", title, scope="row"),
                    el("td", "" if reason.saved_s is None else _signed(reason.saved_s)),
                    el("td", peak.replace("-", MINUS)),
                    el("td", "" if reason.better_share is None else format_percent(reason.better_share)),
                )
            )
    head = el("tr", *(el("th", name, scope="col") for name in ("Change", "Saves", "Peak", "Faster in")))
    flips = report.explanation.flips or ["No conclusion here flips in more than one draw of the costs in ten."]
    about = "The plan found with one thing changed. 'Faster in': the share of draws of the costs in which it is."
    table = el("table", el("thead", head), el("tbody", *rows), class_="policies")
    return _section(
        "What each thing is worth", about, el("div", table, class_="scroll"),
        el("ul", *(el("li", line) for line in flips), class_="notes"),
    )  # fmt: skip


def _what_ifs(report: SearchReport) -> Html | None:
    if not report.what_ifs:
        return None
    rows = [
        el(
            "tr",
            el("th", f"{row.title} ({row.detail})", scope="row"),
            el("td", "killed" if row.total_s is None else format_seconds(row.total_s)),
            el("td", format_bytes(row.peak_bytes)),
            el("td", format_bytes(row.limit_bytes)),
        )
        for row in report.what_ifs
    ]
    head = el("tr", *(el("th", name, scope="col") for name in ("The plan found", "Total", "Peak", "Limit")))
    table = el("table", el("thead", head), el("tbody", *rows), class_="policies")
    return _section(
        "What if", "The same cuts and policies elsewhere or with other techniques.", el("div", table, class_="scroll")
    )


def _ending(report: SearchReport) -> Html:
    notes = [*gap_lines(report.planning), *report.explanation.notes]
    notes.append(
        "Everything on this page is simulated from a profile whose figures carry the marks shown: measured, published, "
        "fitted to published figures, or estimated."
    )
    devices = list(dict.fromkeys(row.device for row in report.planning.rows))
    if len(devices) > 1:
        notes.append(f"Chart, cuts and what follows are those of {devices[0]}; the table has every device.")
    return _section("How sure", "", el("ul", *(el("li", " ".join(note.split())) for note in notes), class_="notes"))
