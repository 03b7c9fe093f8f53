"""Pages on paper: light whatever the screen is like, charts in one piece, no heading without what it heads."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from worlds import answers
from worlds.browser import WIDE, Page
from worlds.fullsize import full_size

from ondevice_sora.records.search import SearchReport
from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.page.quality import render_quality
from ondevice_sora.reports.page.report import render
from ondevice_sora.reports.page.search import render_search

pdfium = pytest.importorskip("pypdfium2", reason="pypdfium2 is not installed")

HEADINGS = """
return [...document.querySelectorAll('main h2, main h3')]
  .filter(heading => heading.checkVisibility()).map(heading => heading.textContent.trim());
"""
CHARTED = """
return [...document.querySelectorAll('.plot')].filter(p => p.checkVisibility()).map(plot =>
  [...plot.querySelectorAll('.xtick text, .x2tick text, .xtitle, .ytick text, .y2tick text, .annotation-text')]
    .flatMap(text => text.querySelector('.line') ? [...text.querySelectorAll('.line')] : [text])
    .map(line => line.textContent.trim()).filter(Boolean));
"""


class Sheet(NamedTuple):
    """A page of paper: its words, the last line of them, and its mean lightness, 0 black to 255 white."""

    words: list[str]
    last_line: str
    lightness: float


def sheets(document: bytes) -> list[Sheet]:
    pdf = pdfium.PdfDocument(document)
    try:
        return [_sheet(pdf[number]) for number in range(len(pdf))]
    finally:
        pdf.close()


def _sheet(page: Any) -> Sheet:
    text = page.get_textpage()
    width, _ = page.get_size()
    lowest = min(
        (box[1] for index in range(text.count_chars()) if (box := text.get_charbox(index))[3] > box[1]), default=0
    )
    last_line = text.get_text_bounded(0, lowest - 1, width, lowest + 9).strip()
    sheet = Sheet(text.get_text_range().split(), last_line, float(page.render(scale=0.5).to_numpy().mean()))
    text.close()
    page.close()
    return sheet


class Printed(NamedTuple):
    """A page on paper: its sheets, the headings that it shows, and the words along the axes of each of its charts."""

    sheets: list[Sheet]
    headings: list[str]
    charted: list[list[str]]


@pytest.fixture(scope="module", params=["full size", "full size, two", "search", "quality"])
def printed(
    request: pytest.FixtureRequest, page: Page, search_report: SearchReport, tmp_path_factory: pytest.TempPathFactory
) -> Printed:
    """A page of each kind, printed from a browser in dark colours."""
    folder = tmp_path_factory.mktemp("printed")
    ways = {
        "full size": lambda: render([full_size("ours-256")]),
        "full size, two": lambda: render([full_size("app-256-all"), full_size("ours-256")]),
        "search": lambda: render_search(search_report),
        "quality": lambda: render_quality(answers.evaluation(folder), folder),
    }
    page.open(ways[request.param](), WIDE, "dark")
    found, headings = sheets(page.printed()), page.js(HEADINGS)
    page.js("dispatchEvent(new Event('beforeprint'))")
    page.settle()
    page.shown = ""  # as it is now, it is no page to start from
    return Printed(found, headings, page.js(CHARTED))


def test_paper_is_white_with_dark_words_charts_in_one_piece_and_headings_with_what_they_head(printed: Printed) -> None:
    assert printed.sheets
    assert min(sheet.lightness for sheet in printed.sheets) > 200
    assert printed.headings
    assert [sheet.last_line for sheet in printed.sheets if sheet.last_line in printed.headings] == []


def test_the_heads_of_a_table_stand_on_every_sheet_that_it_reaches(printed: Printed) -> None:
    reached = [sheet for sheet in printed.sheets if {"always", "never"} & set(sheet.words)]
    assert [sheet.words[:12] for sheet in reached if "Kept" not in sheet.words] == []


def test_no_figure_is_cut_by_the_end_of_a_sheet(printed: Printed) -> None:
    for labels in printed.charted:
        words = {word for label in labels for word in label.split()}
        missing = [words - set(sheet.words) for sheet in printed.sheets]
        assert set() in missing, min(missing, key=len)


def test_nothing_is_wider_than_a_sheet(page: Page) -> None:
    """Browsers shrink the whole document for what is."""
    page.open([full_size("ours-256")], width=740)
    try:
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        assert page.js("return document.documentElement.scrollWidth") == 740
    finally:
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_figures_are_drawn_in_light_colours_for_paper_and_in_dark_ones_again_after(page: Page, trace: Trace) -> None:
    page.open(render([trace]), WIDE, "dark")
    memory = "const p = document.querySelector('.plot.memory');"
    look = memory + "return [p.layout.font.color, p.data[0].fillcolor, p.layout.width]"
    dark = page.js(look)
    page.js("dispatchEvent(new Event('beforeprint'))")
    page.settle()
    font, fill, width = page.js(look)
    assert (font, fill) == ("#5b5e66", "#7d828a")
    assert width <= 680
    page.js("dispatchEvent(new Event('afterprint'))")
    page.wait_for(lambda: page.js(look) == dark)
