"""The parts of the page that are text, tables and simple bars; each is a function of traces and rows."""

from __future__ import annotations

from ondevice_sora.base.units import format_bytes, format_percent, format_seconds
from ondevice_sora.records.result import Result, WhatIf
from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.compare import compare_rows
from ondevice_sora.reports.page.markup import Html, el, join
from ondevice_sora.reports.rows import (
    MINUS,
    UNKNOWN,
    BlockGroup,
    block_groups,
    component_rows,
    facts,
    hidden_load_share,
    kind_word,
    mark_rows,
    saved_share,
    total_s,
    verdict,
)
from ondevice_sora.reports.timeline import HOLDERS, Place, component_names, lanes_of, places, steady_step, title

TIMES = "\u00d7"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
HOLDER_NAMES = {
    "baseline": "app baseline",
    "residual": "left by unloaded blocks",
    "resident": "resident blocks",
    "loading": "being loaded",
    "working": "working memory",
}
MARK_MEANING = {
    "measured": "samples from the device",
    "published": "printed in a paper or data sheet",
    "fitted": "found so that published totals come out",
    "estimated": "assumed, with a reason",
}


def section(name: str, *children: object, about: str | None = None, **attributes: object) -> Html:
    note = el("p", about, class_="about") if about else None
    return el("section", el("h2", name), note, *children, **attributes)


def badge(trace: Trace) -> Html:
    return el("span", kind_word(trace), class_=f"badge {trace.kind}")


def swatch(color: str, hatched: bool = False) -> Html:
    kind = "swatch hatched" if hatched else "swatch"
    return el("i", class_=kind, style=f"--swatch:var(--{color})", aria_hidden="true")


def letter(index: int) -> str:
    """A, B, ... Z, AA, AB, ... for the traces of a comparison."""
    before, last = divmod(index, len(LETTERS))
    return (letter(before - 1) if before else "") + LETTERS[last]


def verdict_header(trace: Trace) -> Html:
    """The answer, first and largest."""
    answer = verdict(trace)
    return el(
        "header",
        el("p", badge(trace), el("span", trace.device), el("span", trace.model), class_="eyebrow"),
        el("h1", el("span", answer.word, class_="word"), class_="answer"),
        el("p", trace.plan, class_="plan"),
        el("p", answer.sentence, class_="sentence"),
        class_="verdict bad" if answer.is_killed else "verdict ok",
    )


def fact_tiles(trace: Trace) -> Html:
    tiles = [
        el("div", el("dt", fact.name), el("dd", fact.value, class_="big"), el("dd", fact.note, class_="note"))
        for fact in facts(trace)
    ]
    return el("dl", *tiles, class_="tiles")


def next_steps(trace: Trace) -> Html | None:
    """What binds the total, and what to change next."""
    result = trace.result
    if result is None:
        return None
    most = "Most of it is " if trace.kill is None else "Without a limit, most of it would be "
    binding = el("p", most, el("strong", result.bounded_by), ".")
    advice = el("ul", *(el("li", line) for line in result.advice), class_="advice") if result.advice else None
    return section("What to change next", binding, advice)


def what_if_cards(trace: Trace) -> Html | None:
    if trace.result is None or not trace.result.what_ifs:
        return None
    now = total_s(trace)
    cards = [_what_if_card(what, now) for what in trace.result.what_ifs]
    return section("What if", el("div", *cards, class_="cards"), about="The same plan with one thing changed.")


def _what_if_card(what: WhatIf, now: float | None) -> Html:
    killed = what.verdict == "killed"
    fill = min(1.0, what.peak_bytes / what.limit_bytes) if what.limit_bytes else 1.0
    if what.total_s is None:
        number, change = "killed", "bad"
    else:
        number, change = format_seconds(what.total_s), "same"
    difference = None
    if what.total_s is not None and now:
        share = what.total_s / now - 1
        if abs(share) >= 5e-4:
            change = "better" if share < 0 else "worse"
            difference = el("span", f"{'+' if share > 0 else MINUS}{format_percent(abs(share))}", class_=change)
    size = f"{format_bytes(what.peak_bytes)} of {format_bytes(what.limit_bytes)}"
    word = el("span", "killed" if killed else "fits", class_="badge bad" if killed else "badge ok")
    return el(
        "article",
        el("h3", what.title),
        el("p", what.detail, class_="note"),
        el("p", el("strong", number), difference, class_="number") if not killed else None,
        _meter(fill, killed),
        el("p", el("span", size), word, class_="note row"),
        class_="card",
    )


def _meter(share: float, is_over: bool) -> Html:
    inner = el("i", style=f"width:{share * 100:.2f}%")
    return el("div", inner, class_="meter over" if is_over else "meter", aria_hidden="true")


def timeline(traces: list[Trace], names: list[str]) -> Html:
    """The run on one time axis: lanes of each trace, and memory beneath them."""
    several = len(traces) > 1
    stages = component_names(traces)
    buttons = [
        el("button", place.name, type="button", data_from=f"{place.start_s:.6f}", data_to=f"{place.end_s:.6f}")
        for place in (places(traces[0]) if not several else _shared_places(traces))
    ]
    signs = (("←", "left", "Earlier"), ("→", "right", "Later"), ("+", "in", "Zoom in"), (MINUS, "out", "Zoom out"))
    moves = [
        el("button", sign, type="button", data_move=move, aria_label=name, title=name) for sign, move, name in signs
    ]
    bar = el(
        "div",
        el("div", *buttons, class_="strip", role="group", aria_label="Zoom to"),
        el("div", *moves, class_="moves", role="group", aria_label="Move and zoom"),
        class_="toolbar",
    )
    keys = [el("li", swatch(f"c{index % 8}"), title(name)) for index, name in enumerate(stages)]
    keys += [el("li", swatch("muted", hatched=True), "first load or first run"), el("li", swatch("faint"), "unload")]
    plots: list[Html] = []
    for index, (trace, name) in enumerate(zip(traces, names, strict=True)):
        if several:
            plots.append(el("h3", letter_mark(index), name, badge(trace), class_="lane-title"))
        plots.append(
            el("div", class_="plot lanes", data_figure="lanes", data_trace=index, role="img",
               aria_label=f"Timeline of {name}: lanes {', '.join(lanes_of(trace))}")
        )  # fmt: skip
    memory_keys = _memory_keys(traces, names)
    memory = [
        el("h3", "Memory charged to the app", class_="lane-title"),
        el("ul", *memory_keys, class_="legend"),
        el("div", class_="plot memory", data_figure="memory", role="img", aria_label="Memory over time"),
    ]
    about = join(
        [
            el("span", "Drag to zoom, double-click for the whole run. ", class_="mouse"),
            "Zoomed out, a step is one bar, the paler the more its lane idles; zoomed in, each block is one.",
        ]
    )
    return section(
        "Timeline", bar, el("ul", *keys, class_="legend"), *plots, *memory, about=about, class_="wide", id="timeline"
    )


def _memory_keys(traces: list[Trace], names: list[str]) -> list[Html]:
    if len(traces) > 1:
        return [
            *(
                el("li", swatch(f"t{index % 6}"), f"{letter(index)}: peak {format_bytes(trace.peak_bytes)}")
                for index, trace in enumerate(traces)
            ),
            el("li", el("i", class_="rule"), "limit"),
            el("li", "Zoomed out: a line for the highest, a band down to the lowest."),
        ]
    trace = traces[0]
    held = [name for name in reversed(HOLDERS) if any(getattr(sample, name) for sample in trace.memory)]
    keys = [el("li", swatch(f"h-{name}"), HOLDER_NAMES[name]) for name in held]
    keys.append(el("li", el("i", class_="rule"), f"limit {format_bytes(trace.limit_bytes)}"))
    budget = trace.result.budget_bytes if trace.result is not None else None
    if budget is not None:
        keys.append(el("li", el("i", class_="rule budget"), f"budget {format_bytes(budget)}"))
    if trace.kill is not None:
        killed = f"killed at {format_seconds(trace.kill.time_s)} with {format_bytes(trace.kill.footprint_bytes)}"
        keys.append(el("li", el("i", TIMES, class_="cross"), killed))
    elif trace.memory:
        peak = max(trace.memory, key=lambda sample: sample.total)
        at = format_seconds(peak.time_s)
        keys.append(el("li", el("i", class_="dot"), f"peak {format_bytes(peak.total)} at {at}"))
    return keys


def _shared_places(traces: list[Trace]) -> list[Place]:
    """Those of the longest run, which the others lie within."""
    return places(max(traces, key=lambda trace: trace.total_s))


def letter_mark(index: int) -> Html:
    return el("span", letter(index), class_="letter", style=f"--swatch:var(--t{index % 6})")


def steady(trace: Trace, index: int) -> Html | None:
    """One step enlarged: how the loads of blocks hide behind the runs of the blocks before them."""
    step = steady_step(trace)
    if step is None:
        return None
    numbers = [("step", format_seconds(step.seconds)), ("running", format_seconds(step.run_s))]
    if step.load_s > 0:
        numbers.append(("loading", format_seconds(step.load_s)))
        numbers.append(("of that hidden behind runs", format_percent(step.hidden_share or 0.0)))
    else:
        numbers.append(("loading", "none, all blocks stay resident"))
    listed = el("dl", *(el("div", el("dt", name), el("dd", value)) for name, value in numbers), class_="inline")
    keys = [
        el("li", swatch("step-load"), "load"),
        el("li", swatch("step-run"), "run"),
        el("li", el("i", class_="rule thin"), "resident, waiting"),
        el("li", swatch("faint"), "unload"),
    ]
    name = title(step.component).lower()
    if step.is_steady:
        heading = f"One steady {name} step"
        about = f"Step {step.step}, the median of the steps after first loads and first runs."
    elif step.is_only:
        heading = f"The {name}, block by block"
        about = "Its only pass, with first loads and first runs."
    else:
        heading = f"One {name} step"
        about = f"Step {step.step}; this run has no step free of first loads and first runs."
    plot = el(
        "div", class_="plot step", data_figure="step", data_trace=index, role="img",
        aria_label=f"Loads and runs of the blocks of {step.component} in step {step.step}",
    )  # fmt: skip
    return section(heading, listed, el("ul", *keys, class_="legend"), plot, about=about)


def where_time_goes(trace: Trace) -> Html:
    rows = component_rows(trace)
    longest = max((row.total_s for row in rows), default=0.0) or 1.0
    total = sum(row.total_s for row in rows) or 1.0
    lines = []
    for row in rows:
        parts = [("run", row.run_s), ("stall", row.stall_s), ("rest", row.rest_s)]
        bars = [
            el("i", class_=f"part {name}", style=f"width:{seconds / longest * 100:.3f}%")
            for name, seconds in parts
            if seconds > 0
        ]
        words = f"{format_seconds(row.run_s)} running, {format_seconds(row.stall_s)} waiting for loads"
        if row.rest_s >= 0.0005 * total:
            words += f", {format_seconds(row.rest_s)} unloading and other"
        loads = f"{row.num_loads} loads of {format_bytes(row.loaded_bytes)} in {format_seconds(row.load_s)}"
        lines.append(
            el(
                "li",
                el("p", el("strong", title(row.component)), el("span", format_seconds(row.total_s)),
                   el("span", format_percent(row.total_s / total), class_="note"), class_="line"),
                el("div", *bars, class_="bar", aria_hidden="true"),
                el("p", f"{words}; {row.num_runs} runs, {loads}", class_="note"),
            )
        )  # fmt: skip
    keys = [
        el("li", swatch("p-run"), "running"),
        el("li", swatch("p-stall"), "waiting for a load"),
        el("li", swatch("p-rest"), "unloading and other"),
    ]
    hidden = hidden_load_share(trace.spans)
    about = None if hidden is None else f"{format_percent(hidden)} of all loading passes while a block runs."
    if trace.kill is not None and trace.result is not None:
        about = "As if there were no limit: the kill ends the run earlier."
    listed = el("ul", *lines, class_="components")
    return section("Where the time goes", el("ul", *keys, class_="legend"), listed, about=about)


def bounds(trace: Trace) -> Html | None:
    """The total between what no overlap can beat and what no overlap at all would take."""
    result = trace.result
    if result is None:
        return None
    limits, total = result.bounds, result.unlimited_s
    scale = max(limits.sequential_s, total, result.interval_s[1] if result.interval_s else 0.0) * 1.02 or 1.0
    marks = [
        el("i", class_=f"tick {name}", style=f"left:{at / scale * 100:.3f}%")
        for name, at in (("lower", limits.lower_s), ("sequential", limits.sequential_s))
    ]
    if result.interval_s is not None:
        low, high = result.interval_s
        place = f"left:{low / scale * 100:.3f}%;width:{(high - low) / scale * 100:.3f}%"
        marks.append(el("i", class_="whisker", style=place))
    marks.append(el("i", class_="here", style=f"left:{total / scale * 100:.3f}%"))
    saved = saved_share(trace)
    rows = [
        ("tick lower", "No overlap can beat", format_seconds(limits.lower_s)),
        ("here", "This plan" if trace.kill is None else "This plan, without a limit", format_seconds(total)),
        ("tick sequential", "Every load waited for", format_seconds(limits.sequential_s)),
    ]
    if result.interval_s is not None:
        span = f"{format_seconds(result.interval_s[0])} to {format_seconds(result.interval_s[1])}"
        rows.insert(2, ("whisker", "90 % interval", span))
    listed = (
        el("li", el("i", class_=f"key {key}"), el("span", name), el("strong", value)) for key, name, value in rows
    )
    keys = el("ul", *listed, class_="keys")
    about = None
    if saved is not None:
        about = f"The plan realises {format_percent(saved)} of what overlapping loads with runs can save."
    return section("Bounds", el("div", *marks, class_="scale", aria_hidden="true"), keys, about=about)


def origins(trace: Trace) -> Html | None:
    """How much of the total rests on which kind of figure."""
    marks = mark_rows(trace)
    if not marks:
        return None
    bars = [el("i", class_=f"part m-{mark}", style=f"width:{share * 100:.3f}%") for mark, share in marks]
    rows = [
        el(
            "li",
            swatch(f"m-{mark}"),
            el("strong", format_percent(share)),
            el("span", mark),
            el("span", MARK_MEANING[mark], class_="note"),
        )
        for mark, share in marks
    ]
    about = "Share of the total time, by the kind of figure it is computed from."
    bar = el("div", *bars, class_="bar", aria_hidden="true")
    return section("What the total rests on", bar, el("ul", *rows, class_="origins"), about=about)


BLOCK_HEADS = ("Block", "All runs", "All loads", "Run", "Load", "First load", "Runs", "Loads", "Weights", "Working",
               "Runs on", "Rests mostly on")  # fmt: skip


def blocks(trace: Trace) -> Html | None:
    """Every block, those that cost the same folded into one row."""
    groups = block_groups(trace)
    if not groups:
        return None
    most = max(max(group.all_runs_s, group.all_loads_s) for group in groups) or 1.0
    bodies = []
    last = None
    for group in groups:
        if group.component != last:
            last = group.component
            stage = el("th", title(last), colspan=len(BLOCK_HEADS), scope="rowgroup")
            bodies.append(el("tbody", el("tr", stage), class_="stage"))
        bodies.append(el("tbody", _block_row(group, most)))
        if group.members:
            members = [_block_row(member, most) for member in group.members]
            bodies.append(el("tbody", *members, class_="members", hidden=True))
    heads = (el("th", head, scope="col") for head in BLOCK_HEADS)
    table = el("table", el("thead", el("tr", *heads)), *bodies, class_="blocks")
    until = "until the kill" if trace.kill is not None else "over the whole generation"
    about = f"Blocks that cost the same share a row. Run and Load are one block's, undisturbed; All are sums {until}."
    return section("Blocks", el("div", table, class_="scroll", tabindex="0"), about=about, class_="wide")


def _block_row(group: BlockGroup, most: float) -> Html:
    name: list[object] = [group.name]
    mark = group.main_mark
    if group.members:
        name = [el("button", group.name, type="button", class_="fold", aria_expanded="false")]
        name.append(el("span", f" {TIMES}{group.num_blocks}", class_="count"))
    if group.variant != "plain":
        name.append(el("span", f" {group.variant}", class_="count"))
    cells = [
        _cell_with_bar(group.all_runs_s, group.all_runs_s / most, "p-run"),
        _cell_with_bar(group.all_loads_s, group.all_loads_s / most, "p-stall"),
        *(el("td", _seconds(value)) for value in (group.run_s, group.load_warm_s, group.load_cold_s)),
        el("td", group.num_runs),
        el("td", group.num_loads),
        el("td", UNKNOWN if group.stored_bytes is None else format_bytes(group.stored_bytes)),
        el("td", format_bytes(group.working_bytes)),
        el("td", group.compute_units, class_="word"),
        el("td", f"{mark[0]} {format_percent(mark[1])}" if mark else UNKNOWN, class_="word"),
    ]
    return el("tr", el("th", *name, scope="row"), *cells)


def _cell_with_bar(value: float, share: float, color: str) -> Html:
    bar = el("i", class_="spark", style=f"--share:{share:.4f};--swatch:var(--{color})") if share >= 0.02 else None
    return el("td", _seconds(value), bar)


def _seconds(value: float | None) -> str:
    return UNKNOWN if value is None else format_seconds(value)


def conditions(trace: Trace) -> Html:
    result = trace.result
    rows: list[tuple[str, str]] = [
        ("origin", "simulated: computed, nothing was run" if trace.kind == "simulated" else "measured on the device"),
        ("plan", trace.plan),
        ("model", trace.model),
        ("device", trace.device),
        ("limit", format_bytes(trace.limit_bytes) + (f" ({result.limit_source})" if result else "")),
    ]
    if result is not None:
        rows += _plan_conditions(result)
    rows += list(trace.conditions.items())
    listed = el("dl", *(el("div", el("dt", name), el("dd", value)) for name, value in rows), class_="conditions")
    notes = el("ul", *(el("li", note) for note in result.notes), class_="notes") if result and result.notes else None
    return section("Conditions and notes", listed, notes)


def _plan_conditions(result: Result) -> list[tuple[str, str]]:
    rows = []
    if result.budget_bytes is not None:
        rows.append(("memory budget", format_bytes(result.budget_bytes)))
    chances = result.evaluations.items()
    counts = ", ".join(str(n) if share >= 1 else f"{n} ({format_percent(share)})" for n, share in chances)
    if counts:
        rows.append(("network evaluations", counts))
    return rows


def comparison_header(traces: list[Trace], names: list[str]) -> Html:
    cards = []
    for index, (trace, name) in enumerate(zip(traces, names, strict=True)):
        answer = verdict(trace)
        cards.append(
            el(
                "article",
                el("p", badge(trace), el("span", trace.device), class_="eyebrow"),
                el("h2", letter_mark(index), name),
                el("p", el("span", answer.word, class_="word"), class_="answer"),
                el("p", answer.sentence, class_="note"),
                class_="card verdict bad" if answer.is_killed else "card verdict ok",
            )
        )
    heading = el("h1", f"{len(traces)} runs compared")
    return el("header", heading, el("div", *cards, class_="cards runs"), class_="comparison")


def comparison_table(traces: list[Trace], names: list[str]) -> Html:
    head = [el("th", "", scope="col")]
    head += [el("th", letter_mark(index), el("span", name), scope="col") for index, name in enumerate(names)]
    bodies = []
    section_name = None
    for row in compare_rows(traces):
        if row.section != section_name:
            section_name = row.section
            if section_name:
                head_cell = el("th", section_name, colspan=len(traces) + 1, scope="rowgroup")
                bodies.append(el("tr", head_cell, class_="stage"))
        cells = []
        for cell in row.cells:
            style = {1: "better", -1: "worse", 0: "note"}[cell.better]
            difference = el("span", cell.difference, class_=style) if cell.difference else None
            cells.append(el("td", el("span", cell.value), difference))
        bodies.append(el("tr", el("th", row.name, scope="row"), *cells))
    table = el("table", el("thead", el("tr", *head)), el("tbody", *bodies), class_="compare")
    scroll = el("div", table, class_="scroll", tabindex="0")
    return section("Side by side", scroll, about="Differences are from A.", class_="wide")
