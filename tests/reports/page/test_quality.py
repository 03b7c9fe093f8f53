"""The evaluation's sentences and page say what the rows say, no more."""

import pytest
from msgspec.structs import replace

from ondevice_sora.base.errors import UserError
from ondevice_sora.records.quality import Evaluation, Interval, Row, Strip, published_quality
from ondevice_sora.reports.page.quality import findings, render

SURE = Interval(2.0, 1.9, 2.1)


def row(name, title="a title", **changes):
    share = Interval(0.95, 0.9, 0.98)
    made = Row(
        configuration=name, title=title, num_prompts=2, num_videos=4, evaluations=Interval(14.5, 14.0, 15.0),
        time_ratio=SURE, whole_time_ratio=SURE, psnr_db=Interval(25.0, 24.0, 26.0), ssim=Interval(0.9, 0.89, 0.91),
        adherence=dict.fromkeys(("shape", "colour", "direction", "all"), share), flickering=share,
        dynamic_degree=share, motion_pixels=SURE,
    )  # fmt: skip
    return replace(made, **changes)


def results(*rows, strips=()):
    return Evaluation("toy", 30, "abc", ("a toy",), rows, tuple(strips))


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        (Interval(1.0, 0.5, 1.5), "loses less than a fixed leap with as many: +1.00 dB"),
        (Interval(-1.0, -1.5, -0.5), "loses more than a fixed leap with as many: -1.00 dB"),
        (Interval(0.2, -0.5, 0.9), "cannot be told apart from a fixed leap"),
    ],
)
def test_a_rule_wins_or_loses_only_where_the_whole_interval_does(gain, words):
    (sentence,) = findings(results(row("curvature_0.05", "ours", gain_over_fixed_db=gain)))
    assert sentence.startswith("ours: 14.5 network evaluations; ")
    assert words in sentence


def test_a_gain_without_bounds_is_not_claimed():
    assert findings(results(row("curvature_0.05", gain_over_fixed_db=Interval(None, None, None)))) == []


def test_the_papers_leap_is_told_and_other_fixed_leaps_are_not():
    told = findings(results(row("fixed_16", "LPL at 16 of 30"), row("fixed_8", "LPL at 8 of 30")))
    assert told == [
        "LPL at 16 of 30: the denoiser is 2.00 (1.90 to 2.10) times as fast, PSNR 25.0 dB (24.0 dB to 26.0 dB), "
        "SSIM 0.900 (0.890 to 0.910)."
    ]


def test_the_page_escapes_and_marks_what_is_another_models(tmp_path):
    page = render(results(row("full", "<b>bold</b>"), row("fixed_16")), tmp_path)
    assert "&lt;b&gt;bold" in page
    assert "<b>bold" not in page
    assert "another model" in page
    assert page == render(results(row("full", "<b>bold</b>"), row("fixed_16")), tmp_path)


def test_equal_videos_read_same_not_a_number(tmp_path):
    page = render(results(row("full", psnr_db=Interval(None, None, None))), tmp_path)
    assert "<td>same" in page


def test_strips_are_inlined_and_a_missing_one_is_named(tmp_path):
    strip = Strip("full", "a red circle", 0, "strip.png")
    with pytest.raises(UserError, match=r"strip.png: cannot be read"):
        render(results(row("full"), strips=[strip]), tmp_path)
    (tmp_path / "strip.png").write_bytes(b"PNG")
    assert 'src="data:image/png;base64,UE5H"' in render(results(row("full"), strips=[strip]), tmp_path)


def test_the_papers_figures_name_configurations_of_ours():
    published = published_quality()
    assert {technique.beside for technique in published.techniques} == {"paper", "fixed_16", "tdtm_all", "tdtm_first"}
    assert all(1 < speedup < 2 for technique in published.techniques for speedup in technique.speedup.values())
