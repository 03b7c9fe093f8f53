"""The page of an evaluation: every row, the chart's points, frames from the folder, and whose figures are whose."""

from __future__ import annotations

from pathlib import Path

import pytest
from worlds.answers import clip, quality_row, results
from worlds.pages import unpacked, words

from ondevice_sora.base.errors import UserError
from ondevice_sora.commands.evaluate import DEFAULT_CLIPS
from ondevice_sora.plans.plan_file import load_plan
from ondevice_sora.plans.step_file import read_steps, shipped_steps
from ondevice_sora.records.quality import Evaluation
from ondevice_sora.reports.page.quality import GROUPS, render_quality, write_evaluation
from ondevice_sora.runtime.small.dataset import clip_of, describe
from ondevice_sora.runtime.small.evaluation.clips import frames_file, write_clip, write_frames
from ondevice_sora.runtime.small.evaluation.configurations import configurations
from ondevice_sora.runtime.small.evaluation.evaluation import chosen_scenes
from ondevice_sora.runtime.small.shipped import small_request


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


def test_planned_and_even_steps_are_lines_of_their_own_and_other_solvers_are_not_mixed_in(tmp_path: Path) -> None:
    names = ("planned_8_euler", "planned_12_euler", "planned_8_ab2", "even_8_euler")
    plane = unpacked(render_quality(results(*map(quality_row, names)), tmp_path))["plane"]
    assert [(line["name"], len(line["points"]), line["isLine"]) for line in plane["groups"]] == [
        ("planned steps", 2, True), ("even steps", 1, True),
    ]  # fmt: skip


def test_every_line_of_the_chart_has_configurations_that_are_evaluated() -> None:
    names = configurations(load_plan("small").plan, planned=read_steps(shipped_steps("small")))
    assert [group.name for group in GROUPS if not any(map(group.has, names))] == []


def test_one_point_makes_no_chart(tmp_path: Path) -> None:
    assert "Quality for work" not in words(render_quality(results(quality_row("fixed_16")), tmp_path))


def test_videos_are_inlined_with_the_names_of_their_tiles_and_a_missing_one_is_named(tmp_path: Path) -> None:
    rows = (quality_row("full", "all of them"), quality_row("paper", "the paper's"))
    shown = results(*rows, clips=(clip("full", "paper", prompt="a red circle"),))
    with pytest.raises(UserError, match=r"clip.mp4: cannot be read"):
        render_quality(shown, tmp_path)
    (tmp_path / "clip.mp4").write_bytes(b"MP4")
    page = render_quality(shown, tmp_path)
    assert 'src="data:video/mp4;base64,TVA0"' in page
    assert "a red circle Seed 0." in words(page)
    assert "Play all all of them the paper's" in words(page)


def test_a_page_that_plays_every_configuration_is_small(tmp_path: Path) -> None:
    known = configurations(load_plan("small").plan, planned=read_steps(shipped_steps("small")))
    request = small_request(known["full"].plan)
    rows = [quality_row(name, configuration.title) for name, configuration in known.items()]
    clips = []
    for index, scene in chosen_scenes(DEFAULT_CLIPS):
        for seed, name in enumerate(known):
            write_frames(frames_file(tmp_path, name, index, 0), clip_of(scene, seed).frames)
        clips.append(write_clip(tmp_path, list(known), describe(scene), index, 0, request))
    page = render_quality(results(*rows, clips=tuple(clips)), tmp_path)
    assert page.count("<li>12 evaluations, planned, ab2</li>") == DEFAULT_CLIPS
    assert len(page.encode()) < 2_200_000
