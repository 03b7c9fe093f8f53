"""Plans predicted and measured, on a terminal."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from worlds.terminals import WIDTHS, Shown, has_line

from ondevice_sora.records.agreement import Check, PlanRow
from ondevice_sora.reports.terminal.agreement import check_line, print_agreement, print_search

MB = 10**6
GOOD = PlanRow("window 1", "toy", 1.1, (0.9, 1.0, 1.2), 500 * MB, 400 * MB, 450 * MB, True)
BAD = replace(GOOD, plan="window 2", model="other", predicted_s=2.0, measured_bytes=600 * MB, is_equal=False)
UNKNOWN = replace(GOOD, plan="window 3", measured_bytes=None, budget_bytes=None, interval_s=(0.95, 1.3))


@pytest.mark.parametrize("width", WIDTHS)
def test_every_plan_has_both_times_and_its_errors(shown: Shown, width: int) -> None:
    out = shown(width, lambda: print_agreement([GOOD, BAD, UNKNOWN], [Check("time: median error", 0.1, 0.05)]))
    assert has_line(out, "window 1", "1.100 s", "1.000 s", "+10.0 %", "20.0%", "500 MB", "400 MB")
    assert "+25.0 %" in out
    assert has_line(out, "window 2", "another result")
    assert has_line(out, "window 3", "2/3", "unknown")
    joined = " ".join(out.split())
    assert "measured: median of 3 runs; spread: largest deviation of a run from it" in joined
    assert "all, 3 plans, median / 90 % / largest: time 10.0% / 100.0% / 100.0%; memory 20.8% / 25.0% / 25.0%" in joined
    assert "other, 1 plan," in joined
    assert out.endswith("OVER  time: median error 10.0%, at most 5.0%\n")


@pytest.mark.parametrize(
    ("check", "line"),
    [
        (Check("time: median error", 0.021, 0.05), "ok    time: median error 2.1%, at most 5.0%"),
        (Check("rank correlation", 0.9, 0.95, is_least=True), "OVER  rank correlation 0.900, at least 0.950"),
        (Check("runs over their budget", 0, 0), "ok    runs over their budget 0, at most 0"),
    ],
)
def test_a_check_says_whether_it_holds_with_value_and_bound(check: Check, line: str) -> None:
    assert check_line(check) == line


@pytest.mark.parametrize("width", WIDTHS)
def test_the_plan_found_is_what_the_others_are_measured_by(shown: Shown, width: int) -> None:
    out = shown(width, lambda: print_search([GOOD, BAD, UNKNOWN]))
    assert has_line(out, "window 1", "1.100 s", "1.000", "1.000 s", "1.000", "20.0%", "400 MB")
    assert has_line(out, "window 2", "2.000 s", "1.818")
    assert has_line(out, "window 3", "none")
    assert " ".join(out.split()).endswith("largest deviation of a run from it; peak: what a run adds to its process.")
