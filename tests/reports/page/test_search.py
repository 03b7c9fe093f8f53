"""The page of a search says what its rows say, and draws them to scale."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from msgspec.structs import replace
from worlds.answers import planned, planning
from worlds.pages import unpacked, words

from ondevice_sora.base.units import format_bytes
from ondevice_sora.records.search import SearchReport
from ondevice_sora.reports.page.search import render_search, write_search


def test_the_page_says_every_row_change_and_what_if(search_report: SearchReport, tmp_path: Path) -> None:
    write_search(search_report, tmp_path / "page.html")
    said = words((tmp_path / "page.html").read_text(encoding="utf-8"))
    for part in (
        "5 min 00 s within 3.00 GB",
        "The fastest of 1,234 plans. 25 % faster than the reference app.",
        "Total, min:s text_encoder, s denoiser, min:s Peak Risk Packages Found saves, s",
        "found 5:00.0 10.0 4:50.0 2.90 GB 5.0 % 4",
        "paper's policy (killed) 5:20.0 10.0 5:10.0 3.20 GB 100 % 8 +20.0",
        "+10.0 published, −5.00 fitted, +15.0 estimated",
        "A found: 5 min 00 s, 2.90 GB",
        "found 4 blocks, 10 loads",
        "Saves, s",
        "100 MB more budget and limit +2.50 +100 MB 97 %",
        "without LPL −180 same 100 %",
        "without TDTM (refused: 3.40 GB are needed)",
        "start the plan that the search began with.",
        "Search: 1,234 plans in 1.50 s for this budget; no single change to the plan found makes it faster.",
    ):
        assert part in said, part


def test_a_plan_that_is_the_one_found_saves_nothing_and_stands_where_it_stands(search_report: SearchReport) -> None:
    found, *others = search_report.planning.rows
    same = replace(found, name="found within 3.50 GB")
    page = render_search(replace(search_report, planning=planning(rows=[found, same, *others])))
    said = words(page)
    drawn = unpacked(page)["pareto"]["plans"]
    assert [(plan["letter"], plan["color"]) for plan in drawn][:2] == [("A", "t0"), ("C", "t2")]
    assert "B found within 3.50 GB: where A is" in said
    assert " 0 published" not in said


def test_the_chart_holds_the_front_the_plans_and_what_is_one_change_away(search_report: SearchReport) -> None:
    pareto = unpacked(render_search(search_report))["pareto"]
    assert [(plan["letter"], plan["x"], plan["y"]) for plan in pareto["plans"]][:2] == [
        ("A", 2.9, 300.0),
        ("B", 2.5, 310.0),
    ]
    assert len(pareto["front"]) == 15
    (near,) = pareto["near"]
    assert near["x"] == pytest.approx(2.85)
    assert near["y"] == pytest.approx(300.25)
    assert near["told"] == "denoiser: prefetch 2, not 1: 5 min 00 s, 2.85 GB"
    assert (pareto["upward"], pareto["budget"]) == ("total time, min:s", 3.0)


def test_every_plan_of_the_front_can_be_had_from_the_page(search_report: SearchReport) -> None:
    page = render_search(search_report)
    assert "Plans for other budgets" in words(page)
    links = re.findall(r'<a download="([^"]+)" href="data:text/yaml;charset=utf-8,([^"]+)">', page)
    points = search_report.planning.memory_front
    assert [name for name, _ in links] == [
        f"{format_bytes(point.budget_bytes).replace(' ', '')}.yaml" for point in points
    ]
    assert [yaml.safe_load(unquote(link)) for _, link in links] == [point.plan for point in points]


def test_short_plans_are_drawn_in_seconds(search_report: SearchReport) -> None:
    rows = [planned("found", 3.0, 10**9, 2, {"fitted": 3.0})]
    quick = replace(search_report, planning=planning(rows=rows, memory_front=[]))
    pareto = unpacked(render_search(quick))["pareto"]
    assert (pareto["upward"], pareto["plans"][0]["y"]) == ("total time, s", 3.0)


def test_a_budget_far_from_every_plan_is_not_drawn(search_report: SearchReport) -> None:
    far = replace(search_report, planning=planning(budget_bytes=9 * 10**9))
    assert unpacked(render_search(far))["pareto"]["budget"] is None


def test_bars_reach_from_the_total_to_both_ends_of_a_figure_s_spread(search_report: SearchReport) -> None:
    tornado = unpacked(render_search(search_report))["tornado"]
    assert [(row["name"], row["low"], row["high"]) for row in tornado["rows"]] == [
        ("GPU, speed of matrix products", -18.0, 20.0),
        ("Loading, reading from storage", -2.0, 3.0),
    ]
    assert tornado["rows"][0]["note"] == "fitted, ±7.0 %: −18.0 s to +20.0 s"
    assert tornado["across"] == "seconds from 5 min 00 s"


def test_costs_without_spread_have_no_bars(search_report: SearchReport) -> None:
    page = render_search(replace(search_report, chosen=replace(search_report.chosen, sensitivities=[])))
    assert "tornado" not in unpacked(page)
    assert "What the total depends on" not in words(page)


def test_the_chart_belongs_to_the_first_device(search_report: SearchReport) -> None:
    other = [replace(row, device="Other phone") for row in search_report.planning.rows]
    both = replace(search_report, planning=planning(rows=[*search_report.planning.rows, *other]))
    page = render_search(both)
    assert [plan["letter"] for plan in unpacked(page)["pareto"]["plans"]] == ["A", "B", "C", "D"]
    assert "The chart, the cuts and all below them are about Toy phone; the table has every device." in words(page)


def test_the_page_has_the_timeline_the_memory_and_the_blocks_of_the_plan_found(search_report: SearchReport) -> None:
    page = render_search(search_report)
    said = words(page)
    places = [
        said.index(part)
        for part in (
            "Beside the other policies", "How sure", "The plan found: Fits", "Timeline", "Memory charged to the app",
            "With the entitlement limit 2.00 GB", "What each thing is worth", "What the total depends on",
            "Where the time goes", "a … b ×2",
        )
    ]  # fmt: skip
    assert places == sorted(places)
    assert unpacked(page)["traces"][0]["total"] == 27.0


def test_a_figure_that_does_not_move_the_total_is_left_out(search_report: SearchReport) -> None:
    chosen = search_report.chosen
    dull = replace(chosen.sensitivities[1], low_s=300.1, high_s=299.9)
    report = replace(search_report, chosen=replace(chosen, sensitivities=[chosen.sensitivities[0], dull]))
    rows = unpacked(render_search(report))["tornado"]["rows"]
    assert [row["name"] for row in rows] == ["GPU, speed of matrix products"]
