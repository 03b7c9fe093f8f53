"""An evaluation of LPL and TDTM as a table on the terminal and as one page with frames side by side.

Figures of the paper stand beside ours, marked as another model's: only their directions can be compared.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from string import Template

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.writing import write_text
from ondevice_sora.records.quality import Evaluation, Interval, PublishedTechnique, Row, published_quality
from ondevice_sora.reports.page.markup import Html, el, join, text
from ondevice_sora.reports.rows import UNKNOWN
from ondevice_sora.reports.terminal.console import plain_table, table_console

Write = Callable[[float], str]
TABLE_WIDTH = 180
SAME = "same"
UNTIL = "\u2009\u2026\u2009"
ANOTHER_MODEL = "another model"


def findings(results: Evaluation) -> list[str]:
    """What the rows show, in sentences; a rule is said to win or lose only where the whole interval does."""
    said = []
    found = {row.configuration: row for row in results.rows}
    full = found.get("full")
    if full is not None:
        shares = ", ".join(f"{name} {_with_interval(share, _percent)}" for name, share in full.adherence.items())
        said.append(f"All {results.num_steps} steps follow the prompt: {shares}.")
    for row in results.rows:
        is_told = row.configuration.startswith("tdtm_") or row.configuration == "together_paper"
        if not (is_told or _is_papers(row, results)):
            continue
        said.append(
            f"{row.title}: the denoiser is {_with_interval(row.time_ratio, _ratio)} times as fast, PSNR "
            f"{_with_interval(row.psnr_db, _decibels)}, SSIM {_with_interval(row.ssim, _thousandths)}."
        )
    for row in results.rows:
        gain = row.gain_over_fixed_db
        if gain is None or gain.value is None or gain.low is None or gain.high is None:
            continue
        outcome = "loses less" if gain.low > 0 else "loses more" if gain.high < 0 else "cannot be told apart"
        than = "from" if outcome.startswith("cannot") else "than"
        said.append(
            f"{row.title}: {_number(row.evaluations)} network evaluations; {outcome} {than} a fixed leap with as many: "
            f"{_with_interval(gain, _signed_decibels)}."
        )
    return said


def _is_papers(row: Row, results: Evaluation) -> bool:
    return row.configuration == f"fixed_{max(1, round(16 * results.num_steps / 30))}"


def print_evaluation(results: Evaluation) -> None:
    """Print what was found, our table, and the paper's figures."""
    console = table_console(TABLE_WIDTH)
    console.print(f"{results.plan}: {_sample(results)}\n")
    table = plain_table(("configuration",), tuple(heading for heading, _, _ in COLUMNS))
    for row in results.rows:
        table.add_row(row.title, *(_value(interval(row), write) for _, interval, write in COLUMNS))
    console.print(table)
    console.print()
    for sentence in findings(results):
        console.print(f"- {sentence}")
    published = published_quality()
    console.print(f"\n{published.source}, {published.model} ({ANOTHER_MODEL}, other prompts):")
    table = plain_table(("technique", "place"), PUBLISHED_HEADINGS)
    for technique in published.techniques:
        table.add_row(technique.name, technique.place, *_published_cells(technique, results))
    console.print(table)


def write_evaluation(results: Evaluation, folder: Path, path: Path) -> None:
    """Write the page; the strips are read from `folder`. Raises UserError if a file cannot be read or written."""
    write_text(path, render(results, folder))


def render(results: Evaluation, folder: Path) -> str:
    """The whole page as text: self-contained, the same for the same results."""
    page = files("ondevice_sora.reports") / "page" / "assets"
    return Template((page / "plain.html").read_text(encoding="utf-8")).substitute(
        title=text(f"LPL and TDTM measured: {results.plan}"),
        style="".join((page / name).read_text(encoding="utf-8") for name in ("style.css", "evaluation.css")),
        body=join([_header(results), _table(results), _plane(results), _published(results), *_strips(results, folder),
                   _definitions(results)]),
    )  # fmt: skip


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _ratio(value: float) -> str:
    return f"{value:.2f}"


def _decibels(value: float) -> str:
    return f"{value:.1f} dB"


def _signed_decibels(value: float) -> str:
    return f"{value:+.2f} dB"


def _thousandths(value: float) -> str:
    return f"{value:.3f}"


def _one_decimal(value: float) -> str:
    return f"{value:.1f}"


def _number(interval: Interval) -> str:
    return _value(interval, _one_decimal)


def _percent_number(share: float) -> str:
    return f"{share * 100:.1f}"


def _signed(value: float) -> str:
    return f"{value:+.2f}"


COLUMNS: tuple[tuple[str, Callable[[Row], Interval | None], Write], ...] = (
    ("evaluations", lambda row: row.evaluations, _one_decimal),
    ("time ratio", lambda row: row.time_ratio, _ratio),
    ("whole", lambda row: row.whole_time_ratio, _ratio),
    ("PSNR, dB", lambda row: row.psnr_db, _one_decimal),
    ("SSIM", lambda row: row.ssim, _thousandths),
    ("over fixed, dB", lambda row: row.gain_over_fixed_db, _signed),
    ("shape, %", lambda row: row.adherence["shape"], _percent_number),
    ("colour, %", lambda row: row.adherence["colour"], _percent_number),
    ("direction, %", lambda row: row.adherence["direction"], _percent_number),
    ("flickering", lambda row: row.flickering, _thousandths),
    ("dynamic", lambda row: row.dynamic_degree, _ratio),
    ("motion", lambda row: row.motion_pixels, _ratio),
)
PUBLISHED_HEADINGS = ("evaluations", "speed-up", "flickering", "dynamic", "ours: evaluations", "time ratio", "dynamic ")


def _value(interval: Interval | None, write: Write) -> str:
    """A dash where there is nothing, 'same' where the videos are equal."""
    if interval is None:
        return UNKNOWN
    return SAME if interval.value is None else write(interval.value)


def _with_interval(interval: Interval, write: Write) -> str:
    bounds = _bounds(interval, write)
    return _value(interval, write) + (f" ({bounds})" if bounds else "")


def _bounds(interval: Interval | None, write: Write, between: str = " to ") -> str:
    if interval is None or interval.low is None or interval.high is None:
        return ""
    return f"{write(interval.low)}{between}{write(interval.high)}"


def _sample(results: Evaluation) -> str:
    counts = {(row.num_prompts, row.num_videos) for row in results.rows}
    prompts, videos = max(counts, default=(0, 0))
    less = "" if len(counts) < 2 else "; some configurations have fewer"
    return (
        f"{prompts} held-out prompts, {videos} videos a configuration{less}; times from {'; '.join(results.machines)}"
    )


def _header(results: Evaluation) -> Html:
    return el(
        "header",
        el("p", "Measured on the small model", class_="eyebrow"),
        el("h1", "What LPL and TDTM cost in quality"),
        el("p", f"{results.plan}: {_sample(results)}.", class_="about"),
        el("ul", *(el("li", sentence) for sentence in findings(results)), class_="notes"),
        class_="comparison",
    )


def _table(results: Evaluation) -> Html:
    head = el("tr", el("th", "Configuration"), *(el("th", heading, scope="col") for heading, _, _ in COLUMNS))
    rows = [
        el(
            "tr",
            el("th", row.title, scope="row"),
            *(
                el(
                    "td",
                    _value(interval(row), write),
                    el("span", _bounds(interval(row), write, UNTIL), class_="interval"),
                )
                for _, interval, write in COLUMNS
            ),
        )
        for row in results.rows
    ]
    table = el("table", el("thead", head), el("tbody", *rows), class_="measured")
    about = "95 % intervals beneath. Every video is compared with the full-step one of its prompt and seed."
    return _section("All configurations", about, el("div", table, class_="scroll"))


def _section(title: str, about: str, *children: object) -> Html:
    return el("section", el("h2", title), el("p", about, class_="about"), *children)


WIDTH, HEIGHT, MARGIN = 720.0, 320.0, 44.0
GROUPS = ((("fixed_",), "t0", "LPL fixed"), (("curvature_",), "t1", "ours"), (("bent_",), "t2", "ours, bent"),
          (("paper", "gpu_code"), "t3", "published dynamic rules"), (("steps_",), "t4", "fewer steps"))  # fmt: skip


def _plane(results: Evaluation) -> Html | None:
    """PSNR over network evaluations: what is above the line of the fixed leaps loses less for the same work."""
    points = []
    for row in results.rows:
        for prefixes, color, _ in GROUPS:
            if row.configuration.startswith(prefixes) and row.psnr_db.value is not None:
                assert row.evaluations.value is not None
                points.append((row.evaluations.value, row.psnr_db.value, color, row.title))
    if len(points) < 2:
        return None
    low, high = min(point[1] for point in points) - 1, max(point[1] for point in points) + 1

    def place(evaluations: float, psnr: float) -> tuple[str, str]:
        x = MARGIN + (WIDTH - 2 * MARGIN) * evaluations / results.num_steps
        y = HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (psnr - low) / (high - low)
        return f"{x:.1f}", f"{y:.1f}"

    line = " ".join(",".join(place(point[0], point[1])) for point in sorted(points) if point[2] == "t0")
    marks: list[Html] = [el("polyline", points=line, class_="fixed")]
    for evaluations, psnr, color, title in points:
        x, y = place(evaluations, psnr)
        marks.append(el("circle", el("title", f"{title}: {psnr:.1f} dB"), cx=x, cy=y, r=4, class_=color))
    for count in range(0, results.num_steps + 1, max(1, results.num_steps // 6)):
        x, _ = place(count, low)
        marks.append(el("text", count, x=x, y=HEIGHT - MARGIN + 18, text_anchor="middle"))
    for level in (low + 1, (low + high) / 2, high - 1):
        _, y = place(0, level)
        marks.append(el("text", f"{level:.0f} dB", x=MARGIN - 6, y=y, text_anchor="end"))
        marks.append(el("line", x1=MARGIN, x2=WIDTH - MARGIN, y1=y, y2=y, class_="axis"))
    marks.append(el("text", "network evaluations", x=WIDTH / 2, y=HEIGHT - 4, text_anchor="middle"))
    legend = el("ul", *(el("li", el("span", class_="swatch", style=f"--swatch: var(--{color})"), name)
                        for _, color, name in GROUPS), class_="legend")  # fmt: skip
    about = "PSNR against the full-step video. Above the line of the fixed leaps: less lost for the same work."
    return _section("Quality for work", about, legend, el("svg", *marks, viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}",
                                                          class_="plane", role="img"))  # fmt: skip


def _published_cells(technique: PublishedTechnique, results: Evaluation) -> list[str]:
    """The paper's figures over its prompt sets, then those of our configuration of the same kind."""
    ours = next((row for row in results.rows if row.configuration == technique.beside), None)
    evaluations, speedups = technique.evaluations.values(), technique.speedup.values()
    spread = (
        f"{min(evaluations):g}" if min(evaluations) == max(evaluations) else f"{min(evaluations)} to {max(evaluations)}"
    )
    return [
        spread,
        f"{min(speedups):.2f} to {max(speedups):.2f}",
        f"{technique.flickering:.2f}",
        f"{technique.dynamic_degree:.2f}",
        *(
            [UNKNOWN] * 3
            if ours is None
            else [_number(ours.evaluations), _value(ours.time_ratio, _ratio), _value(ours.dynamic_degree, _ratio)]
        ),
    ]


def _published(results: Evaluation) -> Html:
    published = published_quality()
    head = el("tr", *(el("th", name) for name in ("Technique", "Place", *PUBLISHED_HEADINGS)))
    rows = [
        el("tr", el("th", technique.name, scope="row"), el("td", technique.place),
           *(el("td", cell) for cell in _published_cells(technique, results)))
        for technique in published.techniques
    ]  # fmt: skip
    about = (
        f"{published.source}, {published.model}: {ANOTHER_MODEL}, other prompts, another machine. Only directions can "
        f"be compared. Without a technique its dynamic degree is {published.baseline['dynamic_degree']:.2f}."
    )
    return _section(
        "Beside the paper", about, el("div", el("table", el("thead", head), el("tbody", *rows)), class_="scroll")
    )


def _strips(results: Evaluation, folder: Path) -> list[Html]:
    titles = {row.configuration: row.title for row in results.rows}
    sections = []
    for prompt, strips in groupby(results.strips, key=lambda strip: strip.prompt):
        cells: list[Html] = []
        for strip in strips:
            title = titles.get(strip.configuration)
            if title is not None:
                cells += [el("span", title, class_="note"), el("img", src=_data_uri(folder / strip.file), alt=title)]
        sections.append(_section(prompt, "Frames from the first to the last, one seed.",
                                 el("div", *cells, class_="strips")))  # fmt: skip
    return sections


def _data_uri(file: Path) -> str:
    try:
        return f"data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()}"
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror or error}", str(file)) from None


def _definitions(results: Evaluation) -> Html:
    entries = [el("div", el("dt", name), el("dd", meaning)) for name, meaning in results.definitions.items()]
    conditions = [el("div", el("dt", "weights"), el("dd", f"SHA-256 {results.weights_sha256}"))]
    return _section("What is measured", "", el("dl", *entries, *conditions, class_="conditions"))
