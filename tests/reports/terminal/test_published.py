"""Published figures beside simulated ones on a terminal."""

from __future__ import annotations

import pytest
from worlds.terminals import WIDTHS, Shown, has_line

from ondevice_sora.records.checks import PublishedRow
from ondevice_sora.reports.terminal.published import print_published

ROWS = [
    PublishedRow("a", "total_s", "Table 1", "calibration", 100.0, 102.0, 0.02),
    PublishedRow("b", "total_s", "Table 1", "calibration", 50.0, 48.0, -0.04),
    PublishedRow("c", "peak_bytes", "Figure 13", "held_out", 3e9, 3.3e9, 0.1),
    PublishedRow("d", "step_s", "Figure 12", "context", 1.0, 2.0, 1.0),
]


@pytest.mark.parametrize("width", WIDTHS)
def test_every_figure_has_its_error_and_each_role_its_mean_and_worst(shown: Shown, width: int) -> None:
    assert (
        shown(width, lambda: print_published(ROWS, "a comparison", "a paper"))
        == """\
a paper: a comparison
case  quantity    published  simulated     error  place      role
a     total_s      100.00 s   102.00 s    +2.0 %  Table 1    calibration
b     total_s       50.00 s    48.00 s    −4.0 %  Table 1    calibration
c     peak_bytes    3.00 GB    3.30 GB   +10.0 %  Figure 13  held out
d     step_s         1.00 s     2.00 s  +100.0 %  Figure 12  context
calibration: 2 figures, mean error 3.00 %, worst 4.00 %
held out: 1 figure, mean error 10.00 %, worst 10.00 %
"""
    )


def test_a_long_case_stays_legible_at_80_columns(shown: Shown) -> None:
    long = PublishedRow(
        "the app at 192x192 with every technique but one", "decoder_s", "Table 5, row 7", "held_out", 1.0, 1.1, 0.1
    )
    out = shown(80, lambda: print_published([long], "a comparison", "a paper"))
    assert has_line(out, "the app at 192x192", "1.00 s", "1.10 s")
    assert "+10.0 %" in out
