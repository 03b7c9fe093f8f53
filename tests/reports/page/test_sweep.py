"""The page of a sweep: what lies across, a line for each of the rest, and every row to sort and to save."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from worlds.answers import swept
from worlds.pages import read, unpacked, words

from ondevice_sora.records.provenance import Provenance
from ondevice_sora.reports.page.sweep import render_sweep, series_of


def test_a_budget_lies_across_and_techniques_are_lines() -> None:
    figures = unpacked(render_sweep(swept(), "toy"))
    total = figures["total"]
    assert (total["across"], total["upward"]) == ("budget, GB", "total time, min:s")
    assert [(line["name"], [(p["x"], p["y"]) for p in line["points"]]) for line in total["groups"]] == [
        ("none", [(1.5, 600.0), (2.0, 540.0)]),
        ("paper", [(1.5, 480.0)]),
    ]
    assert total["groups"][0]["points"][0]["told"] == "none\nbudget 1.50 GB: 10 min 00 s"


def test_what_is_killed_has_a_peak_but_no_time_and_what_is_refused_has_neither() -> None:
    figures = unpacked(render_sweep(swept(), "toy"))
    points = [point for line in figures["peak"]["groups"] for point in line["points"]]
    assert [(point["x"], point["y"], point["isKilled"]) for point in points] == [
        (1.5, 1.4, False), (2.0, 1.9, False), (1.5, 1.5, False), (2.0, 3.5, True),
    ]  # fmt: skip
    assert figures["peak"]["limit"] == {"y": 3.3, "told": "limit 3.30 GB"}


@pytest.mark.parametrize(
    ("changes", "across", "names"),
    [
        ({"budget_bytes": None}, "technique", ["all"]),
        ({"technique": "none"}, "budget", ["all"]),
        ({"budget_bytes": None, "technique": "none"}, "budget", ["all"]),
    ],
)
def test_the_first_axis_that_varies_lies_across(changes: dict[str, object], across: str, names: list[str]) -> None:
    axis, series = series_of([{**row, **changes} for row in swept()])
    assert (axis.name, [each.name for each in series]) == (across, names)


def test_lines_are_told_apart_by_colour_and_dash() -> None:
    rows = [{**row, "technique": f"technique {number}"} for number in range(20) for row in swept()[:2]]
    _, series = series_of(rows)
    assert len({(each.color, each.dash) for each in series[:18]}) == 18
    assert "2 more lines would not be told apart" in words(render_sweep(rows, "toy"))


def test_a_combination_without_a_place_on_the_axis_is_not_left_out_without_a_word() -> None:
    first, *others = swept()
    said = words(render_sweep([{**first, "budget_bytes": None}, *others], "toy"))
    assert "1 combination without a budget: in the table only." in said
    assert "without a budget" not in words(render_sweep(swept(), "toy"))


def test_every_row_stands_in_the_table_and_every_column_in_the_csv() -> None:
    page = render_sweep(swept(), "toy")
    said = words(page)
    for part in ("5 combinations", "3 fit, 1 would be killed, 1 was refused.", "3.40 GB are needed", "10 min 00 s"):
        assert part in said, part
    ((name, link),) = [(a["download"], a["href"]) for tag, a in read(page).tags if tag == "a" and "download" in a]
    head, first, *_ = unquote(str(link)).partition(",")[2].splitlines()
    assert (name, head.split(",")[:3], first.split(",")[0]) == ("toy.csv", ["model", "width", "height"], "ours-256")


def test_it_begins_with_the_fastest_that_fits_surely_enough() -> None:
    said = words(render_sweep(swept(), "toy"))
    assert (
        "8 min 00 s at best The fastest that fits with a risk of at most 5.0 %: budget 1.50 GB, technique paper."
        in said
    )
    risky = [{**row, "kill_share": 0.2} if row["technique"] == "paper" else row for row in swept()]
    assert "9 min 00 s at best" in words(render_sweep(risky, "toy"))
    unbudgeted = [{**row, "budget_bytes": None} for row in swept()]
    assert "at most 5.0 %: technique paper." in words(render_sweep(unbudgeted, "toy"))
    none = [{**row, "kill_share": 0.2} for row in swept()]
    assert "Nothing fits None fits with a risk of being killed of at most 5.0 %." in words(render_sweep(none, "toy"))


def test_nothing_that_ran_leaves_the_table() -> None:
    page = render_sweep([row for row in swept() if row["verdict"] == "refused"], "toy")
    assert "data-figure" not in page and 'id="plotly"' not in page
    assert "1 combination" in words(page)


def test_the_page_says_where_it_comes_from() -> None:
    made = Provenance("ondevice-sora plan sweep grid.yaml --report", "1.2.3", "2026-11-26T16:00:00Z")
    said = words(render_sweep(swept(), "toy", made))
    assert "ondevice-sora plan sweep grid.yaml --report" in said
    assert "26 Nov 2026, 16:00 UTC" in said
