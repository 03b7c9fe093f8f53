"""generate with a plan of the full-size model: from the published layout, on the CPU, within the plan's budget."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from imageio import v3

from benchmarks.published_weights import TINY, write_published_weights
from ondevice_sora.commands.main import main
from ondevice_sora.plans.plan_file import load_plan
from ondevice_sora.plans.schema import Lpl
from ondevice_sora.plans.step_file import read_steps
from ondevice_sora.records.trace import read_trace
from ondevice_sora.runtime.models import PlannedVideo
from ondevice_sora.runtime.networks.components import load_text_to_video
from ondevice_sora.runtime.sampling.generation import generate
from ondevice_sora.runtime.sampling.leap import Recording
from ondevice_sora.runtime.sampling.pictures import contact_sheet
from ondevice_sora.runtime.sampling.trajectories import planned_grids, trajectory_of
from ondevice_sora.runtime.sampling.video import VideoNetworks

PROMPT = "a boat on a lake"
PLAN = """\
extends: ours-256
name: the app's blocks, for a phone
video: {width: 64, height: 64, frames: 9}
sampler: {steps: 3}
lpl: {mode: fixed, leap_step: 1}
memory: {budget: 30 MB}
components:
  text_encoder: {blocks: reference}
  denoiser: {blocks: {units_per_block: 2}, precision: int8, compute_units: cpu_and_ne, keep: [input]}
  decoder.temporal: {blocks: unit}
  decoder.spatial: {blocks: unit}
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published") / "weights"
    write_published_weights(folder, TINY, torch.bfloat16, shard_bytes=4000)
    return folder


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("plan.yaml").write_text(PLAN)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)


def made(*arguments, prompt=PROMPT, plan="plan.yaml"):
    return main(["generate", prompt, "--plan", plan, "-o", "out.gif", "--scale", "1", *arguments])


def test_the_frames_are_those_of_the_whole_model(weights, capsys):
    assert made("--weights", str(weights), "--trace", "--seed", "5") == 0
    told = capsys.readouterr()
    assert "Open-Sora v1.2, block by block: every block on the CPU, in float32" in told.err
    assert "beside the video, removed afterwards" in told.err
    assert {path.name for path in Path().iterdir()} == {
        "plan.yaml", "out.gif", "out.png", "out.json", "out.trace.json",
    }  # fmt: skip
    planned = PlannedVideo.of(load_plan("plan.yaml").plan, weights)
    ids, mask = planned.encode(PROMPT)
    whole = generate(VideoNetworks.of(load_text_to_video(weights), planned.request), ids, mask, seed=5)
    assert np.array_equal(v3.imread("out.png"), contact_sheet(whole.frames, fps=planned.request.fps))
    record, trace = json.loads(Path("out.json").read_text()), read_trace("out.trace.json")
    assert (record["num_evaluations"], record["leap_step"]) == (2, 1)
    assert record["memory"]["peak_bytes"] == trace.peak_bytes <= trace.budget_bytes == 30_000_000
    assert {span.variant for span in trace.spans if span.component == "denoiser"} == {"tdtm"}


def test_steps_are_planned_in_blocks_as_they_are_from_the_whole_model(weights):
    """Under the plan's merging and the model's transformed times, from prompts as they are read; and generated with."""
    prompts = (PROMPT, "a red car")
    Path("prompts.txt").write_text("\n".join(prompts))
    command = ["steps", "plan", "--plan", "plan.yaml", "--weights", str(weights), "--prompts", "prompts.txt"]
    assert main([*command, "--videos", "3", "-o", "grids.json"]) == 0
    file, plan = read_steps(Path("grids.json")), load_plan("plan.yaml").plan
    planned = PlannedVideo.of(msgspec.structs.replace(plan, lpl=Lpl()), weights)
    trajectories = []
    for prompt, seed in ((prompts[0], 1000), (prompts[1], 1001), (prompts[0], 1002)):
        recording = Recording()
        video = VideoNetworks.of(load_text_to_video(weights), replace(planned.request, leap=recording))
        walked = generate(video, *planned.encode(prompt), seed=seed)
        trajectories.append(trajectory_of(recording.seen, walked.sample.latent))
    assert file.front == planned_grids(trajectories)
    assert (file.model, file.steps, file.videos) == ("opensora", 3, 3)
    assert file.times == planned.request.even_timesteps() != (1000.0, 2000 / 3, 1000 / 3)
    grid = "{steps: 3, grid: {planned: {evaluations: 2, from: grids.json}}}"
    settings = PLAN.replace("{steps: 3}", grid).replace("{mode: fixed, leap_step: 1}", "{mode: off, leap_step: null}")
    Path("plan.yaml").write_text(settings)
    assert made("--weights", str(weights)) == 0
    record = json.loads(Path("out.json").read_text())
    assert record["timesteps"] == [file.times[index] for index in file.front[1].indices]


def test_blocks_that_do_not_fit_are_cut_finer_and_that_is_told(weights, capsys):
    settings = PLAN.replace("30 MB", "1.85 MB").replace("spatial: {blocks: unit}", "spatial: {blocks: whole}")
    Path("plan.yaml").write_text(f"{settings}encoder_tokens: 64\n")
    assert made("--weights", str(weights)) == 0
    told = json.loads(Path("out.json").read_text())
    assert told["memory"]["peak_bytes"] <= told["memory"]["budget_bytes"] == 1_850_000
    line = "decoder.spatial: 16 blocks instead of 1, which do not all fit the budget here"
    assert line in told["differs_from_plan"]
    assert f"  note    {line}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("prompt", "change", "message"),
    [
        (PROMPT, None, "the weights of 'opensora' do not come with this program"),
        (
            PROMPT,
            lambda w: (w / "text_encoder" / "spiece.model").unlink(),
            "no tokenizer: there is no spiece.model and no tokenizer.json",
        ),
        ("a boat " * 15, lambda w: None, "tokens, the plan's text_tokens are 60"),
        ("a boat " * 400, lambda w: None, "the model reads 300"),
        (PROMPT, lambda w: (w / "denoiser" / "model.safetensors").unlink(), "no weights here"),
        (PROMPT, lambda w: _misshape(w / "denoiser" / "config.json"), "the weights do not fit the network: "),
    ],
)
def test_what_is_missing_or_does_not_fit_is_one_message(weights, capsys, prompt, change, message):
    arguments = []
    if change is not None:
        shutil.copytree(weights, "weights")
        change(Path("weights"))
        arguments = ["--weights", "weights"]
    assert made(*arguments, prompt=prompt) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.startswith("error: ")
    assert not list(Path().glob("out*")) + list(Path().glob(".*"))


def _misshape(config):
    settings = json.loads(config.read_text())
    config.write_text(json.dumps(settings | {"depth": settings["depth"] + 1}))


def test_a_model_without_networks_is_refused(capsys):
    assert made(plan="sdxl-768") == 2
    assert "'sdxl_base_ios' is not run here\nModels that are: opensora, small." in capsys.readouterr().err
