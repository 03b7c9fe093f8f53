"""A search's answer on a terminal, whole: nothing is lost at 80 columns."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from worlds.answers import explanation, planning
from worlds.terminals import WIDTHS, Shown

from ondevice_sora.records.search import FrontPoint
from ondevice_sora.reports.terminal.search import print_explanation, print_front, print_planning

NARROW = """\
simulated; fitted, estimated: seconds saved that rest on such figures
plan                            total  text_encoder    denoiser     peak
toy on Toy phone
  found                    5 min 00 s        10.0 s  4 min 50 s  2.90 GB
  start                    5 min 10 s        10.0 s  5 min 00 s  2.50 GB
  paper's policy (killed)  5 min 20 s        10.0 s  5 min 10 s  3.20 GB
  reference app            6 min 40 s        10.0 s  6 min 30 s  2.70 GB

plan                       packages  doubt  found saves   fitted  estimated
toy on Toy phone
  found                           4  5.0 %
  start                           8  5.0 %      +10.0 s  +8.00 s     0.00 s
  paper's policy (killed)         8  100 %      +20.0 s  −5.00 s    +15.0 s
  reference app                   8  5.0 %       +100 s  +50.0 s    +20.0 s

"""
WIDE = """\
simulated; fitted, estimated: seconds saved that rest on such figures
                                                                                               found
plan                            total  text_encoder    denoiser     peak  packages  doubt      saves   fitted  estimated
"""


def test_the_plan_found_stands_beside_the_others(shown: Shown) -> None:
    narrow = shown(80, lambda: print_planning({"toy": planning()}))
    assert narrow.startswith(NARROW)
    assert narrow.removeprefix(NARROW) == (
        "10.0 s (3.2 %) faster than start; seconds saved by figures: +2.00 s published,\n"
        "+8.00 s fitted, 0.00 s estimated.\n"
        "20.0 s (6.2 %) faster than paper's policy; seconds saved by figures: +10.0 s\n"
        "published, −5.00 s fitted, +15.0 s estimated.\n"
        "100 s (25 %) faster than reference app; seconds saved by figures: +30.0 s\n"
        "published, +50.0 s fitted, +20.0 s estimated.\n"
        "budget  3.00 GB, given with --budget\n"
        "doubt   how probable it is that the limit, which nobody knows exactly, lies\n"
        "        below the peak: every run is then killed, else none\n"
        "bound   4 min 55 s: no plan within the budget is faster; the plan found is at\n"
        "        most 1.7 % above the optimum\n"
        "search  1,234 plans in 1.50 s; no plan one step away is faster\n"
    )
    assert shown(120, lambda: print_planning({"toy": planning()})).startswith(WIDE)


@pytest.mark.parametrize("width", WIDTHS)
def test_several_models_and_a_quantile_share_the_table(shown: Shown, width: int) -> None:
    risky = planning(risk=0.95, rows=[replace(row, quantile_s=row.total_s + 9.0) for row in planning().rows])
    out = shown(width, lambda: print_planning({"toy": risky, "other": risky}))
    assert "toy on Toy phone" in out
    assert "other on Toy phone" in out
    assert "at 95 %" in out
    assert "5 min 09 s" in out


@pytest.mark.parametrize("width", WIDTHS)
def test_a_front_has_every_budget_and_of_all_plans_tried_the_first_and_the_last(shown: Shown, width: int) -> None:
    many = planning(storage_front=[FrontPoint(300.0 + index, 10**9, 10**9, 4 + index, {}) for index in range(15)])
    by_budget, by_storage = shown(width, lambda: print_front(many)).strip().split("\n\n")
    assert by_budget.splitlines()[:3] == [
        "fastest plans by budget",
        " budget       total     peak        doubt  above the optimum  packages",
        "2.95 GB  5 min 00 s  2.90 GB        100 %      at most 1.0 %         4",
    ]
    assert by_budget.splitlines()[-1] == "1.55 GB  7 min 20 s  1.50 GB  under 0.1 %      at most 1.0 %        18"
    assert len(by_budget.splitlines()) == 2 + 15
    assert len(by_storage.splitlines()) == 2 + 12
    assert by_storage.splitlines()[-1] == "5 min 14 s  1.00 GB        18  1.00 GB"


def test_where_there_was_no_time_for_a_bound_that_is_said(shown: Shown) -> None:
    assert "bound   there was no time for one\n" in shown(120, lambda: print_planning({"toy": planning(gap=None)}))


def test_an_explanation_says_where_the_time_goes_and_what_each_thing_is_worth(shown: Shown) -> None:
    assert (
        shown(120, lambda: print_explanation(explanation()))
        == """\
found within 3.00 GB on Toy phone · simulated
5 min 00 s, at least 4 min 55 s for any plan within 3.00 GB; peak 2.90 GB

component           time         run  slowed by loads   stall   other   loads  loaded again
text_encoder      10.0 s      4.00 s           0.00 s  6.00 s  0.00 s  9.00 s        0.00 s
denoiser      4 min 50 s  4 min 40 s           4.00 s  5.00 s  1.00 s  60.0 s        50.0 s
text_encoder: loading, bounded by storage
denoiser: running, bounded by arithmetic

what more would be worth        saves     peak  faster in draws
100 MB more budget and limit  +2.50 s  +100 MB             97 %

what each technique is worth                      saves  peak  faster in draws
without LPL                                 −3 min 00 s  same            0.0 %
without TDTM (refused: 3.40 GB are needed)

next-best plans, one thing changed    saves      peak  faster in draws
denoiser: prefetch 2 instead of 1   −250 ms  −50.0 MB             31 %

Within the costs' spread this flips in 31 % of draws: 'denoiser: prefetch 2 instead of 1' costs 0.25 s.
Made by hand.
"""
    )


def test_an_explanation_at_80_columns_folds_its_headings(shown: Shown) -> None:
    head, first = shown(80, lambda: print_explanation(explanation())).splitlines()[4:6]
    assert head.split() == ["component", "time", "run", "by", "loads", "stall", "other", "loads", "again"]
    assert first.startswith("text_encoder") and first.endswith("  0.00 s")
