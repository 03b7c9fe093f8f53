"""steps plan and show: the file, going on after an interruption, and whose weights a grid is for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from worlds.tiny import PLAN, save_tiny_model

from ondevice_sora.base.interrupts import Interrupted
from ondevice_sora.commands.main import main
from ondevice_sora.plans.step_file import read_steps
from ondevice_sora.runtime.sampling import generation
from ondevice_sora.runtime.small.vocabulary import EXAMPLE

pytestmark = pytest.mark.usefixtures("planned_folder")
FILE = Path("small.steps.json")
JOURNAL = Path("small.steps.json.videos.jsonl")


@pytest.fixture
def plan_steps(weights):
    def plan_steps(*arguments, folder=weights):
        plan = [] if "--plan" in arguments else ["--plan", "plan.yaml"]
        return main(["steps", "plan", *plan, "--weights", str(folder), "--videos", "3", *arguments])

    return plan_steps


def asking(evaluations: int) -> None:
    grid = f"{{planned: {{evaluations: {evaluations}, from: {FILE}}}}}"
    Path("plan.yaml").write_text(PLAN.replace("steps: 5,", f"steps: 5, grid: {grid},"))


def test_a_file_of_grids_is_written_shown_and_generated_with(plan_steps, weights, capsys):
    assert plan_steps() == 0
    table = capsys.readouterr().out
    file = read_steps(FILE)
    assert (file.model, file.steps, file.guidance, file.videos) == ("small", 5, 4.0, 3)
    assert file.front[-1].estimated_error == 0
    assert not JOURNAL.exists()
    assert main(["steps", "show", str(FILE)]) == 0
    assert capsys.readouterr().out == table
    asking(2)
    assert (
        main(
            ["generate", "a red circle moving left", "--plan", "plan.yaml", "--weights", str(weights), "-o", "out.mp4"]
        )
        == 0
    )
    told = json.loads(Path("out.json").read_text())
    assert told["timesteps"] == [file.times[index] for index in file.front[1].indices]
    assert told["num_evaluations"] == 2


def test_an_interrupted_run_goes_on_with_the_videos_that_are_left(plan_steps, capsys, monkeypatch):
    assert plan_steps("-o", "whole.json") == 0
    whole, made = read_steps(Path("whole.json")), []
    denoised = generation.denoised

    def interrupted(*arguments, seed, **settings):
        if seed == 1002 and seed not in made:
            made.append(seed)
            raise Interrupted(2)
        made.append(seed)
        return denoised(*arguments, seed=seed, **settings)

    monkeypatch.setattr(generation, "denoised", interrupted)
    capsys.readouterr()
    assert plan_steps() == 130
    told = capsys.readouterr().err
    assert f"videos done are kept in {JOURNAL}; the same command goes on from them" in told
    assert not FILE.exists()
    assert plan_steps() == 0
    assert made == [1000, 1001, 1002, 1002]
    assert read_steps(FILE) == whole
    assert not JOURNAL.exists()


def test_videos_of_other_weights_are_not_gone_on_with(plan_steps, monkeypatch, tmp_path):
    """The journal is by weights, plan, prompt and seed."""
    denoised = generation.denoised

    def interrupted(*arguments, seed, **settings):
        if seed == 1002:
            raise Interrupted(2)
        return denoised(*arguments, seed=seed, **settings)

    monkeypatch.setattr(generation, "denoised", interrupted)
    assert plan_steps() == 130
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    other = altered(tmp_path / "other")
    assert plan_steps("-o", "alone.json", folder=other) == 0
    assert plan_steps(folder=other) == 0
    assert read_steps(FILE) == read_steps(Path("alone.json"))


def altered(folder: Path) -> Path:
    """The tiny model with one weight of its denoiser changed."""
    from safetensors.torch import load_file, save_file

    path = save_tiny_model(folder) / "denoiser" / "model.safetensors"
    tensors = load_file(path)
    tensors["final_layer.linear.bias"] += 0.1
    save_file(tensors, path)
    return folder


@pytest.mark.parametrize(
    "command",
    [["generate", EXAMPLE], ["generate", EXAMPLE, "--store", "store"], ["export", "-o", "out"]],
    ids=["whole", "in blocks", "export"],
)
def test_a_grid_is_refused_for_other_weights_than_it_was_planned_for(command, plan_steps, tmp_path, capsys):
    assert plan_steps() == 0
    asking(2)
    other = altered(tmp_path / "other")
    assert main([*command, "--plan", "plan.yaml", "--weights", str(other)]) == 2
    told = capsys.readouterr().err
    assert "plan.yaml:4: sampler.grid: this grid was planned for other weights of the denoiser" in told
    assert "steps plan" in told


def test_prompts_may_be_named(plan_steps, capsys):
    Path("prompts.txt").write_text("a red circle\n\na blue square\n")
    assert plan_steps("--prompts", "prompts.txt") == 0
    Path("prompts.txt").write_text("\n")
    assert plan_steps("--prompts", "prompts.txt", "-o", "again.json") == 2
    assert "prompts.txt: there is no prompt in this file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--plan", "app-256"], "nobody has chosen prompts for the model 'opensora'"),
        (["--plan", "sdxl-768"], "is not run here"),
        (["--store", "blocks"], "--store has no effect on a model that runs whole"),
    ],
)
def test_what_cannot_be_planned_is_told(arguments, message, plan_steps, capsys):
    assert plan_steps(*arguments) == 2
    assert message in capsys.readouterr().err


def test_a_plan_of_too_many_steps_is_refused(plan_steps, capsys):
    Path("plan.yaml").write_text(PLAN.replace("steps: 5", "steps: 201"))
    assert plan_steps() == 2
    assert "grids of 201 steps; at most 200 are planned" in capsys.readouterr().err
