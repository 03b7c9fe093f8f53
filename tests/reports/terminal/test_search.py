"""A search's answer on a terminal, whole: nothing is lost at 80 columns."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from worlds.answers import explanation, planning
from worlds.terminals import WIDTHS, Shown

from ondevice_sora.records.search import FrontPoint
from ondevice_sora.reports.terminal.search import gain_lines, print_explanation, print_front, print_planning

NARROW = """\
simulated; last columns: how much of the saving comes from fitted or estimated
figures
                             total,  text_encoder,  denoiser,
plan                          min:s              s      min:s     peak  packages
toy on Toy phone
  found                      5:00.0           10.0     4:50.0  2.90 GB         4
  start                      5:10.0           10.0     5:00.0  2.50 GB         8
  paper's policy (killed)    5:20.0           10.0     5:10.0  3.20 GB         8
  reference app              6:40.0           10.0     6:30.0  2.70 GB         8

plan                        risk  found saves, s  fitted  estimated
toy on Toy phone
  found                    5.0 %
  start                    5.0 %           +10.0   +8.00          0
  paper's policy (killed)  100 %           +20.0   −5.00      +15.0
  reference app            5.0 %            +100   +50.0      +20.0

"""
WIDE = """\
simulated; last columns: how much of the saving comes from fitted or estimated figures
                              total,  text_encoder,   denoiser,                                 found
plan                           min:s              s       min:s     peak  packages   risk    saves, s  fitted  estimated
"""
TOLD = """\
10.0 s (3.2 %) faster than start; saved by figures: +2.00 s published, +8.00 s
fitted.
20.0 s (6.2 %) faster than paper's policy; saved by figures: +10.0 s published,
−5.00 s fitted, +15.0 s estimated.
100 s (25 %) faster than reference app; saved by figures: +30.0 s published,
+50.0 s fitted, +20.0 s estimated.
budget         3.00 GB, given with --budget
risk           of being killed; iOS publishes no limit, and the app's own use is
               not known exactly
best possible  4 min 55 s within this budget; the plan found is at most 1.7 %
               slower
search         1,234 plans in 1.50 s for this budget; no single change to the
               plan found makes it faster
"""


def test_the_plan_found_stands_beside_the_others(shown: Shown) -> None:
    narrow = shown(80, lambda: print_planning({"toy": planning()}))
    assert narrow.startswith(NARROW)
    assert narrow.removeprefix(NARROW) == TOLD
    assert shown(120, lambda: print_planning({"toy": planning()})).startswith(WIDE)


def test_a_plan_that_is_faster_only_with_more_than_the_budget_is_told_to_be_so() -> None:
    found, start, *_ = planning().rows
    faster = replace(start, total_s=found.total_s - 10.0, peak_bytes=3_200_000_000)
    (line,) = gain_lines([found, faster], budget_bytes=3_000_000_000)
    assert "slower than start, which needs 3.20 GB, more than the budget; saved by figures" in line
    (line,) = gain_lines([found, faster], budget_bytes=3_300_000_000)
    assert "slower than start; saved by figures" in line


@pytest.mark.parametrize("width", WIDTHS)
def test_several_models_and_a_quantile_share_the_table(shown: Shown, width: int) -> None:
    risky = planning(risk=0.95, rows=[replace(row, quantile_s=row.total_s + 9.0) for row in planning().rows])
    out = shown(width, lambda: print_planning({"toy": risky, "other": risky}))
    assert "toy on Toy phone" in out
    assert "other on Toy phone" in out
    assert "95 %" in out
    assert "5:09.0" in out


@pytest.mark.parametrize("width", WIDTHS)
def test_a_front_has_every_budget_and_of_all_plans_tried_the_first_and_the_last(shown: Shown, width: int) -> None:
    many = planning(storage_front=[FrontPoint(300.0 + index, 10**9, 10**9, 4 + index, {}) for index in range(15)])
    by_budget, by_storage = shown(width, lambda: print_front(many)).strip().split("\n\n")
    assert by_budget.splitlines()[:3] == [
        "fastest plans by budget",
        " budget       total     peak         risk  above the optimum  packages",
        "2.95 GB  5 min 00 s  2.90 GB        100 %      at most 1.0 %         4",
    ]
    assert by_budget.splitlines()[-1] == "1.55 GB  7 min 20 s  1.50 GB  under 0.1 %      at most 1.0 %        18"
    assert len(by_budget.splitlines()) == 2 + 15
    assert len(by_storage.splitlines()) == 2 + 12
    assert by_storage.splitlines()[-1] == "5 min 14 s  1.00 GB        18  1.00 GB"


def test_where_there_was_no_time_for_a_bound_that_is_said(shown: Shown) -> None:
    assert "best possible  there was no time to work out what is possible\n" in shown(
        120, lambda: print_planning({"toy": planning(gap=None)})
    )


def test_an_explanation_says_where_the_time_goes_and_what_each_thing_is_worth(shown: Shown) -> None:
    assert (
        shown(120, lambda: print_explanation(explanation()))
        == """\
found within 3.00 GB on Toy phone · simulated
One generation takes 5 min 00 s; best possible within 3.00 GB 4 min 55 s. Memory peaks at 2.90 GB.

component     time, min:s     run  slowed by loads   stall   other   loads  loaded again
text_encoder       0:10.0  0:04.0           0:00.0  0:06.0  0:00.0  0:09.0        0:00.0
denoiser           4:50.0  4:40.0           0:04.0  0:05.0  0:01.0  1:00.0        0:50.0
text_encoder: 60 % of its time is loading.
denoiser: 97 % of its time is running.

what more would be worth               time     peak  sure
100 MB more budget and limit  2.50 s faster  +100 MB  97 %

what each technique is worth                             time  peak   sure
without LPL                                 3 min 00 s slower  same  100 %
without TDTM (refused: 3.40 GB are needed)

next-best plans, one thing changed           time      peak  sure
denoiser: prefetch 2, not 1         250 ms slower  −50.0 MB  69 %

Sure: the share of draws of the costs, which are not known exactly, in which a change is faster or slower as told.
Not sure: 'denoiser: prefetch 2, not 1' is 250 ms slower here, and faster in 31 % of draws.
Made by hand.
"""
    )


def test_an_explanation_at_80_columns_folds_its_headings(shown: Shown) -> None:
    head, first = shown(80, lambda: print_explanation(explanation())).splitlines()[5:7]
    assert head.split() == ["component", "min:s", "run", "loads", "stall", "other", "loads", "again"]
    assert first.startswith("text_encoder") and first.endswith("  0:00.0")
