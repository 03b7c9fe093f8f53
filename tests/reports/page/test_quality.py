"""The page of an evaluation: every row, the chart's points, frames from the folder, and whose figures are whose."""

from __future__ import annotations

from pathlib import Path

import pytest
from worlds.answers import quality_row, results
from worlds.pages import unpacked, words

from ondevice_sora.base.errors import UserError
from ondevice_sora.records.quality import Evaluation, Strip
from ondevice_sora.reports.page.quality import render_quality, write_evaluation


def test_the_page_shows_every_row_with_its_intervals(evaluation: Evaluation, tmp_path: Path) -> None:
    write_evaluation(evaluation, tmp_path, tmp_path / "page.html")
    said = words((tmp_path / "page.html").read_text(encoding="utf-8"))
    for part in (
        "2 held-out prompts, 4 videos per configuration; times from a toy.",
        "loses more than a fixed leap with as many: −0.40 dB (−1.00 to −0.10).",
        "all 30 steps 30.0 2.00 1.90\u2009…\u20092.10".replace("\u2009", " "),
        "LPL at 8 of 30 8.0",
        "Quality for work",
        "another model, other prompts, another machine",
        "a red circle moving left",
        "SHA-256 abc",
    ):
        assert part in said, part


def test_the_chart_has_a_point_for_each_configuration_whose_videos_differ(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    plane = unpacked(render_quality(evaluation, tmp_path))["plane"]
    fixed, ours = plane["groups"]
    assert [(point["x"], point["y"], point["low"], point["high"]) for point in fixed["points"]] == [
        (8.0, 20.0, 19.0, 22.0),
        (16.0, 25.0, 24.0, 26.0),
    ]
    assert (fixed["isLine"], ours["isLine"]) == (True, False)
    assert ours["points"][0]["told"] == "LPL, ours, accepting 0.1: 25.0 dB (24.0 to 26.0)"
    assert (plane["from"], plane["to"]) == (0, 30.6)


def test_one_point_makes_no_chart(tmp_path: Path) -> None:
    assert "Quality for work" not in words(render_quality(results(quality_row("fixed_16")), tmp_path))


def test_strips_are_inlined_and_a_missing_one_is_named(tmp_path: Path) -> None:
    shown = results(quality_row("full"), strips=(Strip("full", "a red circle", 0, "strip.png"),))
    with pytest.raises(UserError, match=r"strip.png: cannot be read"):
        render_quality(shown, tmp_path)
    (tmp_path / "strip.png").write_bytes(b"PNG")
    assert 'src="data:image/png;base64,UE5H"' in render_quality(shown, tmp_path)
