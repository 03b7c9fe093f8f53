"""The sentences and cells of an evaluation say what the rows say, no more."""

from __future__ import annotations

import pytest
from worlds.answers import quality_row, results

from ondevice_sora.records.quality import Interval, published_quality
from ondevice_sora.reports.quality import ONE, SIGNED, bounds_text, findings, interval_text, published_cells, value_text


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        (Interval(1.0, 0.5, 1.5), "loses less than a fixed leap with as many: +1.00 dB (+0.50 to +1.50)."),
        (Interval(-1.0, -1.5, -0.5), "loses more than a fixed leap with as many: −1.00 dB (−1.50 to −0.50)."),
        (Interval(0.2, -0.5, 0.9), "cannot be told apart from a fixed leap with as many: +0.20 dB (−0.50 to +0.90)."),
    ],
)
def test_a_rule_wins_or_loses_only_where_the_whole_interval_does(gain: Interval, words: str) -> None:
    assert findings(results(quality_row("curvature_0.05", "ours", gain_over_fixed_db=gain))) == [
        f"ours: 14.5 network evaluations; {words}"
    ]


def test_a_gain_without_bounds_is_not_claimed() -> None:
    row = quality_row("curvature_0.05", gain_over_fixed_db=Interval(None, None, None))
    assert findings(results(row)) == []


def test_the_papers_leap_is_told_and_other_fixed_leaps_are_not() -> None:
    told = findings(results(quality_row("fixed_16", "LPL at 16 of 30"), quality_row("fixed_8", "LPL at 8 of 30")))
    assert told == [
        "LPL at 16 of 30: the denoiser is 2.00 (1.90 to 2.10) times as fast, PSNR 25.0 dB (24.0 to 26.0), "
        "SSIM 0.900 (0.890 to 0.910)."
    ]


def test_equal_videos_read_same_and_what_is_not_known_is_a_dash() -> None:
    assert value_text(Interval(None, None, None), ONE) == "same"
    assert value_text(None, ONE) == "\N{EN DASH}"
    assert interval_text(Interval(None, None, None), ONE, " dB") == "same"


def test_bounds_that_are_written_like_the_value_are_left_out() -> None:
    assert bounds_text(Interval(30.0, 30.0, 30.0), ONE) == ""
    assert bounds_text(Interval(30.0, 29.9, 30.0), ONE) == "29.9 to 30.0"


@pytest.mark.parametrize(("value", "shown"), [(0.004, "0.00"), (-0.004, "0.00"), (0.5, "+0.50"), (-0.5, "−0.50")])
def test_a_difference_has_a_sign_unless_it_is_written_as_zero(value: float, shown: str) -> None:
    assert SIGNED(value) == shown


def test_the_papers_figures_stand_beside_our_configuration_of_the_same_kind() -> None:
    techniques = {technique.beside: technique for technique in published_quality().techniques}
    assert techniques.keys() == {"paper", "fixed_16", "tdtm_all", "tdtm_first"}
    assert all(1 < speedup < 2 for each in techniques.values() for speedup in each.speedup.values())
    ours = results(quality_row("fixed_16"))
    assert published_cells(techniques["fixed_16"], ours)[-3:] == ["14.5", "2.00", "0.95"]
    assert published_cells(techniques["tdtm_all"], ours)[-3:] == ["\N{EN DASH}"] * 3
