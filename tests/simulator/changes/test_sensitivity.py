"""How the total moves with each figure of the costs."""

from __future__ import annotations

from ondevice_sora.simulator.changes.sensitivity import sensitivities
from ondevice_sora.simulator.prepare import asked, prepare


def test_every_figure_s_ends_lie_around_the_same_total_and_the_most_telling_comes_first() -> None:
    rows = sensitivities(prepare(*asked("ours-192")))
    least, most = max(min(row.low_s, row.high_s) for row in rows), min(max(row.low_s, row.high_s) for row in rows)
    assert least <= most * (1 + 1e-9)
    widths = [abs(row.high_s - row.low_s) for row in rows]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 0
