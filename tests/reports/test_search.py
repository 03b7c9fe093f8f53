"""What the reports of a search say, row by row."""

from __future__ import annotations

from worlds.answers import explanation, planning

from ondevice_sora.reports.search import (
    RISK,
    changes,
    flip_lines,
    gap_lines,
    plan_name,
    rests_on,
    rows_of,
    saved_by_mark,
)


def test_what_the_plan_found_saves_is_told_by_the_marks_it_rests_on_surest_first() -> None:
    found, _, paper, _ = planning().rows
    saved = saved_by_mark(paper, found)
    assert list(saved.items()) == [("published", 10.0), ("fitted", -5.0), ("estimated", 15.0)]
    assert rests_on(saved) == "+10.0 s published, −5.00 s fitted, +15.0 s estimated"


def test_a_plan_over_the_limit_is_called_killed() -> None:
    assert [plan_name(row) for row in rows_of(planning(), "Toy phone")] == [
        "found",
        "start",
        "paper's policy (killed)",
        "reference app",
    ]


def test_the_gap_is_told_with_the_budget_and_how_the_search_ended() -> None:
    assert gap_lines(planning()) == [
        ("budget", "3.00 GB, given with --budget"),
        ("risk", RISK),
        ("best possible", "4 min 55 s within this budget; the plan found is at most 1.7 % slower"),
        ("search", "1,234 plans in 1.50 s for this budget; no single change to the plan found makes it faster"),
    ]


def test_changes_are_grouped_and_what_is_not_known_is_empty() -> None:
    groups = changes(explanation())
    assert list(groups) == [
        "what more would be worth",
        "what each technique is worth",
        "next-best plans, one thing changed",
    ]
    assert [tuple(change) for change in groups["what each technique is worth"]] == [
        ("without LPL", "3 min 00 s slower", "same", "100 %"),
        ("without TDTM (refused: 3.40 GB are needed)", "", "", ""),
    ]


def test_where_nothing_flips_that_is_said() -> None:
    assert flip_lines(explanation(flips=[])) == ["All of this holds in at least 9 of 10 draws of the costs."]
    assert flip_lines(explanation())[0].startswith("Not sure: ")
