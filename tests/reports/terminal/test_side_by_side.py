"""Several runs on a terminal."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from worlds.terminals import WIDTHS, Shown, has_line

from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.compare import compare_rows
from ondevice_sora.reports.headline import headline
from ondevice_sora.reports.terminal.side_by_side import print_side_by_side

EXPECTED = """\
Predicted 9.1 % too little. Predicted 27.0 s, measured 29.7 s. That is inside
the predicted 90 % interval, 25.0 s to 30.0 s.

                      toy plan (simulated)        toy plan (measured)
Origin                           Simulated                   Measured
Device                           Toy phone                  Toy phone
Verdict                               Fits                  Completed
Time
  total                             27.0 s    29.7 s  +2.70 s (+10 %)
"""


def test_two_runs_stand_beside_each_other(shown: Shown, trace: Trace, measured: Trace) -> None:
    assert shown(80, lambda: print_side_by_side([trace, measured])).startswith(EXPECTED)


def test_the_sentence_above_is_the_one_that_heads_the_page(shown: Shown, trace: Trace, killed: Trace) -> None:
    words, sentence = headline([trace, killed], [trace.plan, killed.plan])
    assert (words, sentence) == ("Only toy plan fits", "It takes 27.0 s. toy plan, too large would be killed.")
    assert shown(80, lambda: print_side_by_side([trace, killed])).startswith(f"{words}. {sentence}\n\n")


def test_what_must_be_known_of_one_of_them_is_told_under_its_name(shown: Shown, trace: Trace, killed: Trace) -> None:
    assert trace.result is not None and killed.result is not None
    wary = [
        replace(each, result=replace(each.result, cautions=[*own, "a guess for both"]))
        for each, own in ((trace, ["a guess"]), (killed, []))
    ]
    lines = shown(80, lambda: print_side_by_side(wary)).splitlines()
    assert f"{trace.plan}: a guess" in lines[-4:] or any(line.endswith(": a guess") for line in lines)
    assert lines.count("a guess for both") == 1


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_lost_of_many_runs(shown: Shown, trace: Trace, killed: Trace, width: int) -> None:
    traces = [trace, killed, *(replace(trace, plan=f"a plan whose name is long, number {index}") for index in range(4))]
    out = shown(width, lambda: print_side_by_side(traces))
    rows = compare_rows(traces)
    for row in rows:
        lines = [line for line in out.splitlines() if line.strip().startswith(row.name)]
        for cell in row.cells:
            assert any(f"{cell.value}  {cell.difference}".rstrip() in line for line in lines), (row.name, cell)
    for index in range(4):
        assert f"number {index}" in out
    assert has_line(out, "Verdict", "Would be killed")
