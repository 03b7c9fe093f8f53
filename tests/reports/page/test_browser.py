"""The page in headless Chromium: what it draws, that it follows zoom, width and scheme, and asks for nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from msgspec.structs import replace
from worlds.browser import COLLISIONS, NARROW, WIDE, Page

from ondevice_sora.records.quality import Evaluation
from ondevice_sora.records.search import SearchReport
from ondevice_sora.records.trace import MemorySample, Span, Trace
from ondevice_sora.reports.page.quality import render_quality
from ondevice_sora.reports.page.report import render
from ondevice_sora.reports.page.search import render_search

RANGE = "return arguments[0].layout.xaxis.range.map(Number)"
LABELS = "return [...arguments[0].querySelectorAll('.bartext')].map(text => text.textContent)"


@pytest.fixture
def long() -> Trace:
    """50 steps of 30 blocks: 3,000 spans and as many memory samples."""
    spans: list[Span] = []
    memory: list[MemorySample] = []
    for visit in range(1500):
        step, block = divmod(visit, 30)
        start = float(visit)
        name = f"block_{block}"
        spans.append(Span("load", "load", "denoiser", step, name, "plain", start - 0.4, start, 10**8, step == 0))
        spans.append(Span("gpu", "run", "denoiser", step, name, "plain", start, start + 0.9, 10**8, step == 0))
        memory.append(MemorySample(start - 0.4, 10**8, 0, 10**8, 0, 0))
        memory.append(MemorySample(start, 10**8, 10**8, 0, 10**8 * (1 + 8 * (visit == 777)), 0))
    return Trace("simulated", "long plan", "Toy phone", "toy", spans, memory, 2 * 10**9)


@pytest.mark.parametrize(("width", "scheme"), [(WIDE, "light"), (NARROW, "dark")])
def test_page_shows_without_a_complaint_or_a_request(
    page: Page, trace: Trace, killed: Trace, measured: Trace, width: int, scheme: str
) -> None:
    kinds = [[trace], [killed], [trace, measured], [trace, measured, killed]]
    for traces in kinds if width == WIDE else kinds[1:3]:
        page.shown = ""
        page.open(traces, width, scheme)
        assert page.problems() == []
        assert page.js("return document.documentElement.scrollWidth") == width
        assert page.js(COLLISIONS) == []
        for plot in page.plots("lanes"):
            assert plot.find_elements("css selector", ".bars .point path")
        (memory,) = page.plots("memory")
        assert memory.find_elements("css selector", ".scatterlayer .js-line, .scatterlayer .js-fill")
        assert "limit 1.00 GB" in memory.text
        assert ("killed, 1.10 GB" in memory.text) == (killed in traces)


def test_a_limit_far_above_does_not_flatten_the_curve(page: Page, trace: Trace) -> None:
    page.open([replace(trace, limit_bytes=25 * 10**9)])
    (memory,) = page.plots("memory")
    assert page.js("return arguments[0].layout.yaxis.range[1]", memory) < 1000
    assert "limit 25.0 GB, far above" in memory.text


def test_memory_is_stacked_by_holder(page: Page, trace: Trace) -> None:
    page.open([trace])
    (memory,) = page.plots("memory")
    stacked = page.js("return arguments[0].data.filter(t => t.stackgroup).map(t => t.name)", memory)
    assert stacked == ["app baseline", "left by unloaded blocks", "resident blocks", "being loaded", "working memory"]


def test_clean_pages_are_a_line_over_the_footprint(page: Page, trace: Trace) -> None:
    page.open([replace(trace, memory=[replace(sample, clean=2 * 10**9) for sample in trace.memory])])
    assert page.problems() == []
    (memory,) = page.plots("memory")
    drawn = "return arguments[0].data.filter(t => /pages/.test(t.name)).map(t => Math.max(...t.y))"
    (highest,) = page.js(drawn, memory)
    assert highest == pytest.approx((trace.peak_bytes + 2 * 10**9) / 1e9)
    assert page.js("return arguments[0].layout.yaxis.range[1]", memory) > highest


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_sampled_footprint_is_a_line_over_the_ledger(page: Page, trace: Trace, sampled: Trace, width: int) -> None:
    drawn = "return arguments[0].data.filter(t => /measured/.test(t.name)).map(t => [t.name, t.y, t.customdata])"
    page.open([sampled], width)
    assert page.problems() == []
    assert page.js(COLLISIONS) == []
    (memory,) = page.plots("memory")
    assert page.js(drawn, memory) == [["measured by the system", [250, 660, 90], ["250 MB", "660 MB", "90.0 MB"]]]
    page.open([trace, sampled], width)
    (memory,) = page.plots("memory")
    assert [name for name, *_ in page.js(drawn, memory)] == ["B, measured"]


def test_dragging_zooms_every_figure_and_a_double_click_goes_back(page: Page, trace: Trace) -> None:
    page.open([trace])
    (lanes,), (memory,) = page.plots("lanes"), page.plots("memory")
    whole = page.js(RANGE, lanes)
    page.js("arguments[0].scrollIntoView({block: 'center'})", lanes)
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(page.driver, duration=50).move_to_element(lanes).click_and_hold().move_by_offset(90, 0).move_by_offset(
        90, 0
    ).release().perform()
    page.wait_for(lambda: page.js(RANGE, lanes) != whole)
    low, high = page.js(RANGE, lanes)
    assert 10 < low < high < 20
    assert high - low == pytest.approx(180 / (lanes.size["width"] - 58) * whole[1], rel=0.05)
    assert page.js(RANGE, memory) == [low, high]
    page.wait_for(lambda: page.js(RANGE, lanes) == whole, by=lambda: page.double_click(lanes))
    assert page.js(RANGE, memory) == whole


def test_buttons_go_to_a_step_and_zoom(page: Page, trace: Trace) -> None:
    page.open([trace])
    (lanes,) = page.plots("lanes")
    page.driver.find_element("xpath", "//button[.='Step 2']").click()
    assert page.js(RANGE, lanes) == pytest.approx([14.92, 19.08])
    page.driver.find_element("css selector", "[data-move=in]").click()
    assert page.js(RANGE, lanes) == pytest.approx([15.96, 18.04])
    page.driver.find_element("css selector", "[data-move=right]").click()
    assert page.js(RANGE, lanes) == pytest.approx([17, 19.08])
    page.driver.find_element("xpath", "//button[.='Whole run']").click()
    assert page.js(RANGE, lanes) == pytest.approx([0, 27 * 1.012])
    assert page.js("return document.querySelectorAll('[aria-pressed=true]').length") == 1


def test_the_part_that_is_shown_is_told_from_the_others_in_forced_colours(page: Page, trace: Trace) -> None:
    page.open([trace], scheme="forced")
    look = "return [...document.querySelectorAll('.strip button')].map(b => getComputedStyle(b).backgroundColor)"
    shown, *others = page.js(look)
    assert {shown}.isdisjoint(others)


def test_times_far_below_a_second_are_written_out(page: Page, trace: Trace) -> None:
    page.open([trace])
    lanes, memory = page.plots("lanes")[0], page.plots("memory")[0]
    page.js("Plotly.relayout(arguments[0], {'xaxis.range': [0, 0.0002]})", lanes)
    page.wait_for(lambda: page.js(RANGE, memory)[1] < 1)
    ticks = page.js("return [...arguments[0].querySelectorAll('.xtick')].map(tick => tick.textContent)", memory)
    assert ticks and all(re.fullmatch(r"0(\.\d+)?", tick) for tick in ticks), ticks


def test_the_contents_lead_to_the_sections_and_do_not_cover_their_heads(page: Page, trace: Trace) -> None:
    page.open([trace])
    for link in page.driver.find_elements("css selector", "nav.contents a"):
        page.js("arguments[0].click()", link)
        page.settle()
        bar, section = page.js(
            "return [document.querySelector('nav').getBoundingClientRect().bottom, "
            "document.querySelector(arguments[0]).getBoundingClientRect().top]",
            f"#{link.get_attribute('href').partition('#')[2]}",
        )
        assert section >= bar


def test_what_has_the_focus_does_not_lie_beneath_the_contents(page: Page, trace: Trace) -> None:
    page.open([trace])
    covered = page.js("""
        const bar = document.querySelector('nav').getBoundingClientRect().bottom, hidden = [];
        for (const each of [...document.querySelectorAll('main button, main a, main [tabindex]')].reverse()) {
          each.focus();
          if (document.activeElement === each && each.getBoundingClientRect().top < bar) hidden.push(each.outerHTML);
        }
        return hidden;
    """)
    assert covered == []


def test_advice_is_copied_as_lines_of_a_plan(page: Page, trace: Trace) -> None:
    page.open([trace])
    page.driver.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    )
    page.js("document.querySelector('.advice [data-copy]').click()")
    page.wait_for(lambda: page.js("return document.querySelector('.advice [data-copy]').textContent") == "Copied")
    assert page.js("return document.getElementById('advice-1').textContent") == "components: {denoiser: {keep: 1}}\n"


def test_figures_follow_the_colour_scheme_while_open(page: Page, trace: Trace) -> None:
    page.open([trace], scheme="light")
    look = "const p = document.querySelector('.plot.step'); return [p.layout.font.color, p.data[0].marker.color[0]]"
    ground = "return getComputedStyle(document.body).backgroundColor"
    light, light_ground = page.js(look), page.js(ground)
    page.scheme("dark")
    page.wait_for(lambda: page.js(look) != light)
    dark = page.js(look)
    assert dark[0] != light[0] and dark[1] != light[1]
    assert page.js(ground) != light_ground


def test_figures_follow_the_width(page: Page, trace: Trace) -> None:
    page.open([trace], WIDE)
    page.width(NARROW)
    width = "return document.querySelector('.plot.memory').layout.width"
    page.wait_for(lambda: page.js(width) < NARROW)
    assert page.js("return document.documentElement.scrollWidth") == NARROW


def test_the_steady_step_shows_loads_beside_runs(page: Page, trace: Trace) -> None:
    page.open([trace])
    (step,) = page.plots("step")
    assert page.js("return arguments[0].layout.yaxis.ticktext", step) == ["Load", "GPU"]
    assert page.js("return arguments[0].layout.yaxis2.ticktext", step) == ["1 · a", "2 · b"]
    bars = page.js("const t = arguments[0].data[0]; return t.base.map((from, i) => [t.y[i], from, t.x[i]])", step)
    assert bars == [[0, 0, 1], [1, 0, 2], [0, 2, 1], [1, 2, 2]]


def test_a_section_that_has_no_other_beside_it_takes_the_whole_width(page: Page, measured: Trace) -> None:
    page.open([measured])
    width = "return document.querySelector(arguments[0]).getBoundingClientRect().width"
    assert page.js(width, ".columns > section") == page.js(width, "#timeline")


def test_folded_blocks_unfold(page: Page, trace: Trace) -> None:
    page.open([trace])
    members = page.driver.find_element("css selector", "tbody.members")
    assert not members.is_displayed()
    page.js("document.querySelector('.fold').click()")
    assert members.is_displayed()


def test_the_runs_of_an_only_block_are_called_by_their_steps(page: Page, trace: Trace) -> None:
    page.open([replace(trace, spans=[span for span in trace.spans if span.block != "b"])])
    labels = page.js(LABELS, page.plots("lanes")[0])
    assert {"step 1", "step 2", "encode", "decode"} <= set(labels)
    assert "a" not in labels


def test_zooming_reveals_the_blocks_of_a_long_run(page: Page, long: Trace) -> None:
    page.open([long])
    (lanes,), (memory,) = page.plots("lanes"), page.plots("memory")
    joined = page.js(LABELS, lanes)
    assert "7" in joined and not [label for label in joined if label.startswith("block")]
    assert len(page.js("return arguments[0].data[0].x", lanes)) < 400
    peak = "return Math.max(...arguments[0].data.find(t => t.name === '<b>total</b>').y)"
    assert page.js(peak, memory) == pytest.approx(1.1)

    page.js("Plotly.relayout(arguments[0], {'xaxis.range': [600, 606]})", lanes)
    page.wait_for(lambda: page.js(RANGE, memory) == [600, 606])
    assert page.js(LABELS, lanes)[-1].startswith("block_")
    assert {"block_0", "block_4"} <= set(page.js(LABELS, lanes))


def test_bars_are_told_as_python_wrote_them(page: Page, trace: Trace, long: Trace) -> None:
    page.open([trace])
    hover = "return arguments[0].data[0].hovertext"
    assert page.js(hover, page.plots("lanes")[0])[0] == (
        "<b>encode</b><br>First load, 2.00 s<br>text_encoder, step 0<br>0.000 s to 2.000 s<br>100 MB read"
    )
    page.open([long])
    told = page.js(hover, page.plots("lanes")[0])
    assert "<b>denoiser, step 7</b><br>30 loads, 12.0 s<br>busy 41 % of 29.4 s<br>3:29.60 to 3:59.00" in told


def test_the_chart_of_a_search_names_its_plans_by_letter(page: Page, search_report: SearchReport) -> None:
    page.open(render_search(search_report))
    (pareto,), (tornado,) = page.plots("pareto"), page.plots("tornado")
    assert page.js("return arguments[0].data.slice(3).map(t => [t.text[0], t.x[0]])", pareto) == [
        ["D", 2.7], ["C", 3.2], ["B", 2.5], ["A", 2.9],
    ]  # fmt: skip
    assert page.js("return arguments[0].data[0].base.concat(arguments[0].data[0].x)", tornado) == [-18, -2, 38, 5]
    assert "GPU, speed of matrix products" in tornado.text


def test_the_chart_of_an_evaluation_joins_the_fixed_leaps(page: Page, evaluation: Evaluation, tmp_path: Path) -> None:
    page.open(render_quality(evaluation, tmp_path))
    (plane,) = page.plots("plane")
    look = "return arguments[0].data.map(t => [t.mode, t.x, t.y, t.error_y.arrayminus])"
    assert page.js(look, plane) == [["lines+markers", [8, 16], [20, 25], [1, 1]], ["markers", [14.5], [25], [1]]]


def test_the_labels_of_an_axis_are_the_values_that_they_stand_at(
    page: Page, evaluation: Evaluation, tmp_path: Path
) -> None:
    page.open(render_quality(evaluation, tmp_path))
    (plane,) = page.plots("plane")
    ticks = page.js("return arguments[0]._fullLayout.yaxis._vals.map(tick => [tick.x, tick.text])", plane)
    assert len(ticks) > 2 and all(float(text) == pytest.approx(value) for value, text in ticks)


def test_charts_are_saved_as_pictures_on_white_with_their_name(page: Page, trace: Trace, tmp_path: Path) -> None:
    page.open([trace], scheme="dark")
    page.driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    (memory,) = page.plots("memory")
    for button in page.js("return [...arguments[0].nextElementSibling.querySelectorAll('button')]", memory):
        page.js("arguments[0].click()", button)
    page.wait_for(
        lambda: {path.name for path in tmp_path.iterdir()} == {"memory-over-time.svg", "memory-over-time.png"}
    )
    drawn = (tmp_path / "memory-over-time.svg").read_text(encoding="utf-8")
    for part in ("Memory over time", "resident blocks", "limit 1.00 GB", "rgb(255, 255, 255)"):
        assert part in drawn, part
    assert (tmp_path / "memory-over-time.png").read_bytes().startswith(b"\x89PNG")
    assert page.problems() == []


def test_a_browser_that_cannot_unpack_says_so_where_the_figures_would_be(page: Page, trace: Trace) -> None:
    old = page.driver.execute_cdp_cmd(
        "Page.addScriptToEvaluateOnNewDocument", {"source": "delete window.DecompressionStream"}
    )
    try:
        page.driver.get(write(page, render([trace])))
        page.wait_for(lambda: page.js("return document.documentElement.classList.contains('without-figures')"))
        (memory,) = page.plots("memory")
        assert memory.text == (
            "This browser cannot unpack the figures (DecompressionStream is not defined). Chrome and Edge from 103, "
            "Firefox from 113 and Safari from 16.4 can. Every number stands in the text and the tables."
        )
        page.js("document.querySelector('.fold').click()")
        assert page.driver.find_element("css selector", "tbody.members").is_displayed()
        assert page.problems() == []
    finally:
        page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", old)
        page.shown = ""


def write(page: Page, text: str) -> str:
    path = page.folder / "page.html"
    path.write_text(text, encoding="utf-8")
    return path.as_uri()


def test_no_script_runs_but_the_page_s_own(page: Page, trace: Trace) -> None:
    page.open([trace])
    page.js("const s = document.createElement('script'); s.textContent = 'window.strange = 1'; document.head.append(s)")
    assert page.js("return window.strange") is None
    assert [problem for problem in page.problems() if "Content Security Policy" in problem]


@pytest.mark.parametrize("kind", ["report", "search", "quality"])
def test_hostile_names_do_nothing(
    page: Page, kind: str, hostile: Trace, hostile_report: SearchReport, hostile_evaluation: Evaluation, tmp_path: Path
) -> None:
    if kind == "report":
        page.open([hostile, replace(hostile, plan="plain")], NARROW)
        page.js("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    else:
        text = render_search(hostile_report) if kind == "search" else render_quality(hostile_evaluation, tmp_path)
        page.open(text, NARROW)
    page.wait()
    assert page.problems() == []
    assert page.js("return document.querySelectorAll('img, video').length") == (kind == "quality")
    assert page.js("return document.documentElement.scrollWidth") == NARROW
