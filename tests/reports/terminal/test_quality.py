"""An evaluation on a terminal."""

from __future__ import annotations

import pytest
from worlds.terminals import WIDTHS, Shown, has_line

from ondevice_sora.records.quality import Evaluation
from ondevice_sora.reports.quality import COLUMNS
from ondevice_sora.reports.terminal.quality import print_evaluation


def test_every_figure_of_every_configuration_is_there_at_80_columns(shown: Shown, evaluation: Evaluation) -> None:
    first, second, third, *_ = shown(80, lambda: print_evaluation(evaluation)).split("\n\n")[1:]
    assert (
        first
        == """\
configuration             evaluations  time ratio  whole  PSNR, dB   SSIM
all 30 steps                     30.0        2.00   2.00      same  0.900
LPL at 16 of 30                  16.0        2.00   2.00      25.0  0.900
LPL at 8 of 30                    8.0        2.00   2.00      20.0  0.900
LPL, ours, accepting 0.1         14.5        2.00   2.00      25.0  0.900
TDTM on all steps                30.0        2.00   2.00      25.0  0.900"""
    )
    assert (
        second
        == """\
configuration             over fixed, dB  shape, %  colour, %  direction, %
all 30 steps                           –      95.0       95.0          95.0
LPL at 16 of 30                        –      95.0       95.0          95.0
LPL at 8 of 30                         –      95.0       95.0          95.0
LPL, ours, accepting 0.1           −0.40      95.0       95.0          95.0
TDTM on all steps                      –      95.0       95.0          95.0"""
    )
    assert (
        third
        == """\
configuration             flickering  dynamic  motion  to exact, dB
all 30 steps                   0.950     0.95    2.00             –
LPL at 16 of 30                0.950     0.95    2.00             –
LPL at 8 of 30                 0.950     0.95    2.00             –
LPL, ours, accepting 0.1       0.950     0.95    2.00             –
TDTM on all steps              0.950     0.95    2.00             –"""
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_findings_and_the_papers_figures_follow(shown: Shown, evaluation: Evaluation, width: int) -> None:
    out = shown(width, lambda: print_evaluation(evaluation))
    joined = " ".join(out.split())
    assert joined.startswith("toy: 2 held-out prompts, 4 videos per configuration; times from a toy")
    assert "- LPL, ours, accepting 0.1: 14.5 network evaluations; loses more than a fixed leap with as many" in joined
    assert "(another model, other prompts):" in joined
    assert has_line(out, "LPL at 16 of 30", "Table 3", "16", "1.53 to 1.94")
    for column in COLUMNS:
        assert all(word in out for word in column.heading.split())
