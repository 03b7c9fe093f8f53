"""The page of a search says what its rows say: self-contained, escaped, readable at every width in both schemes."""

import shutil

import pytest
from msgspec.structs import replace

from ondevice_sora.base.units import format_seconds
from ondevice_sora.plans.schema import LoadedPlan
from ondevice_sora.records.search import SearchReport
from ondevice_sora.reports.page.search import render_search, write_search
from ondevice_sora.simulator.changes.explain import explain
from ondevice_sora.simulator.changes.sensitivity import sensitivities
from ondevice_sora.simulator.changes.whatif import what_ifs
from ondevice_sora.simulator.prepare import asked, prepare
from ondevice_sora.simulator.search.comparison import find_plan_for

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")


@pytest.fixture(scope="module")
def report():
    loaded, setting = asked("ours-192")
    answer, best = find_plan_for(loaded, [setting], (3 * 10**9, "given"), seconds=1.0)
    prepared = prepare(LoadedPlan(best), setting)
    return SearchReport("opensora-192", answer, explain(prepared), sensitivities(prepared), what_ifs(prepared))


def test_the_page_shows_every_row_block_figure_and_change(report):
    page = render_search(report).replace("\u00a0", " ")
    for row in report.planning.rows:
        assert f"<td>{format_seconds(row.total_s)}</td>" in page
        for block in row.blocks:
            assert f"{block.num_runs} runs, {block.num_loads} loads" in page
    for sensitivity in report.sensitivities[:12]:
        assert sensitivity.figure in page
    for what_if in report.what_ifs:
        assert what_if.title in page
    assert "s estimated" in page


def test_the_cuts_are_to_scale(report):
    """Each plan's blocks of a component are as wide together as every other plan's: the same weights, cut otherwise."""
    held = {}
    for row in report.planning.rows:
        for component in row.num_blocks:
            own = sum(block.resident_bytes for block in row.blocks if block.component == component)
            held.setdefault(component, set()).add(own)
    assert all(max(sizes) - min(sizes) <= 100 for sizes in held.values()), held


def test_sensitivities_lie_on_both_sides_and_the_most_telling_comes_first(report):
    total = report.explanation.total_s
    for row in report.sensitivities:
        assert min(row.low_s, row.high_s) <= total * (1 + 1e-9)
        assert max(row.low_s, row.high_s) >= total * (1 - 1e-9)
    widths = [abs(row.high_s - row.low_s) for row in report.sensitivities]
    assert widths == sorted(widths, reverse=True)


def test_the_page_is_the_same_for_the_same_report_escaped_and_self_contained(report):
    rows = [replace(report.planning.rows[0], name="<b>bold</b>"), *report.planning.rows[1:]]
    report = replace(report, planning=replace(report.planning, rows=rows))
    page = render_search(report)
    assert page == render_search(report)
    assert "<b>bold" not in page
    assert "<script" not in page
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")


@pytest.mark.skipif(not (BROWSER and DRIVER), reason="chromium or chromedriver is not installed")
def test_the_page_fits_its_width_and_asks_for_nothing(report, tmp_path):
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    from selenium.webdriver.chrome.service import Service

    path = tmp_path / "search.html"
    write_search(report, path)
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        driver.get(path.as_uri())
        grounds = set()
        for width in (1440, 390):
            metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            for scheme in ("light", "dark"):
                media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
                driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
                assert driver.execute_script("return document.documentElement.scrollWidth") <= width
                grounds.add(driver.execute_script("return getComputedStyle(document.body).backgroundColor"))
        assert len(grounds) == 2
        assert driver.get_log("browser") == []
        asked = [entry for entry in driver.get_log("performance") if "Network.requestWillBeSent" in entry["message"]]
        assert all(path.as_uri() in entry["message"] for entry in asked)
    finally:
        driver.quit()
