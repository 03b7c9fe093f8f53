"""steps: plan which network evaluations are worth making, once for a model; plans then ask for so many of them.

`steps plan` records all steps of a few videos, and finds for every number of evaluations the steps whose drifts, held
until the next, stay closest to what was recorded. A plan names the file it writes:
sampler: {grid: {planned: {evaluations: 8, from: FILE}}}. One ships for the small model.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.folders import locked
from ondevice_sora.base.interrupts import keeping
from ondevice_sora.commands.common import (
    EXIT_FITS,
    json_text,
    needing,
    output_path,
    refuse_without_effect,
    stem_of,
    whole_number,
    wrote,
)
from ondevice_sora.commands.options import add_force, add_json
from ondevice_sora.commands.progress import progress_bar

if TYPE_CHECKING:
    from ondevice_sora.plans.plan_file import LoadedPlan
    from ondevice_sora.runtime.sampling.trajectories import Trajectory

DEFAULT_PLAN = "small"
DEFAULT_VIDEOS = 48
MOST_STEPS = 200
FIRST_SEED = 1000
MAX_PROMPT_BYTES = 10_000_000
SCENES_SEED = 1
EXAMPLES = """
examples:
  ondevice-sora steps plan -o small.steps.json
  ondevice-sora steps plan --plan app-256 --weights opensora/ --store blocks/ --prompts prompts.txt --videos 8
  ondevice-sora steps show small.steps.json
"""


class Video(NamedTuple):
    """What is recorded: a prompt from a seed."""

    prompt: str
    seed: int


Recorder = Callable[[Video], "Trajectory"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="plan|show")
    plan = actions.add_parser("plan", help="record trajectories, and plan the grids of all lengths from them")
    plan.add_argument(
        "--plan",
        default=DEFAULT_PLAN,
        metavar="PLAN",
        help="whose model, video, steps, guidance and TDTM are recorded; its grid, solver and LPL are not used "
        f"(default {DEFAULT_PLAN})",
    )
    plan.add_argument("--weights", type=Path, metavar="DIR", help="the model's folder (default: the small one's)")
    plan.add_argument(
        "--prompts",
        type=Path,
        metavar="FILE",
        help="prompts to record, one a line (default, small model only: scenes of its training)",
    )
    plan.add_argument(
        "--videos",
        type=whole_number(1, 10_000),
        metavar="N",
        help=f"so many, prompts taking turns (default {DEFAULT_VIDEOS})",
    )
    plan.add_argument("--store", type=Path, metavar="DIR", help="of a model that runs in blocks: keep them here")
    plan.add_argument("-o", "--output", metavar="JSON", help="the file of grids (default MODEL.steps.json)")
    add_json(plan)
    add_force(plan)
    show = actions.add_parser("show", help="the grids of a file, and what they are estimated to cost")
    show.add_argument("file", metavar="FILE", help="a file that `steps plan` wrote, or a model whose file ships: small")
    add_json(show)


def run(options: argparse.Namespace) -> int:
    """Raises UserError."""
    return run_show(options) if options.action == "show" else run_plan(options)


def run_show(options: argparse.Namespace) -> int:
    """Raises UserError."""
    from ondevice_sora.plans.step_file import read_steps, shipped_steps
    from ondevice_sora.reports.terminal.steps import print_steps

    file = read_steps(shipped_steps(options.file) or Path(options.file))
    if options.json:
        print(json_text(file))
    else:
        print_steps(file)
    return EXIT_FITS


def run_plan(options: argparse.Namespace) -> int:
    """Raises UserError and Interrupted."""
    from ondevice_sora.base.hashing import hash_of
    from ondevice_sora.plans.plan_file import load_plan
    from ondevice_sora.plans.schema import plan_data
    from ondevice_sora.plans.step_file import FORMAT, StepFile, write_steps
    from ondevice_sora.reports.terminal.steps import print_steps

    with needing("torch"):
        from ondevice_sora.runtime.models import check_model, denoiser_digest, request_of_plan
        from ondevice_sora.runtime.sampling.trajectories import TrajectoryJournal, planned_grids

    loaded = _walking(load_plan(options.plan))
    plan = loaded.plan
    with loaded.locating():
        check_model(plan, "run")
    if plan.sampler.steps > MOST_STEPS:
        what = f"grids of {plan.sampler.steps} steps; at most {MOST_STEPS} are planned"
        raise UserError(what, mend="Record a plan of fewer steps.")
    videos = _videos(options, plan.model_name)
    inputs = [options.plan, *([str(options.prompts)] if options.prompts else [])]
    output = output_path(options.output or "", f"{stem_of(plan.model_name)}.steps.json", options.force, inputs)
    with loaded.locating("$"):
        digest = denoiser_digest(plan, options.weights)
        times = request_of_plan(plan).even_timesteps()
    recorded = {"denoiser": digest, "plan": {**plan_data(plan), "name": ""}}
    keys = [hash_of([recorded, *video])[:24] for video in videos]
    journal = TrajectoryJournal(output, plan.sampler.steps)
    with locked(journal.path):
        found = journal.read(keys)
        left = [(key, video) for key, video in zip(keys, videos, strict=True) if key not in found]
        with (
            keeping(f"videos done are kept in {journal.path}; the same command goes on from them"),
            _recorder(options, loaded) as record,
            progress_bar("videos", len(videos)) as advance,
        ):
            advance(len(videos) - len(left))
            for key, video in left:
                found[key] = record(video)
                journal.add(key, found[key])
                advance(1)
        file = StepFile(
            format=FORMAT,
            model=plan.model_name,
            denoiser=digest,
            steps=plan.sampler.steps,
            guidance=plan.sampler.guidance,
            videos=len(videos),
            times=times,
            front=planned_grids([found[key] for key in keys]),
        )
        write_steps(output, file)
        journal.remove()
    if options.json:
        print(json_text(file))
    else:
        print_steps(file)
    wrote(output)
    return EXIT_FITS


def _walking(loaded: LoadedPlan) -> LoadedPlan:
    """The plan with all steps of the model's own even grid."""
    from msgspec.structs import replace

    from ondevice_sora.plans.schema import Lpl

    return loaded.changed(sampler=replace(loaded.plan.sampler, grid="even", solver="euler"), lpl=Lpl())


def _videos(options: argparse.Namespace, model: str) -> list[Video]:
    """Raises UserError."""
    from ondevice_sora.base.files.opening import read_text
    from ondevice_sora.runtime.small.dataset import describe, training_scene
    from ondevice_sora.runtime.small.shipped import SMALL

    count = options.videos or DEFAULT_VIDEOS
    if options.prompts is not None:
        lines = read_text(options.prompts, MAX_PROMPT_BYTES).splitlines()
        prompts = [line.strip() for line in lines if line.strip()]
        if not prompts:
            raise UserError("there is no prompt in this file", str(options.prompts), "Write one a line.")
        return [Video(prompts[number % len(prompts)], FIRST_SEED + number) for number in range(count)]
    if model != SMALL:
        what = f"nobody has chosen prompts for the model '{model}'"
        raise UserError(what, mend="Name a file of prompts like yours, one a line, with --prompts.")
    return [Video(describe(training_scene(SCENES_SEED, number)[0]), FIRST_SEED + number) for number in range(count)]


@contextmanager
def _recorder(options: argparse.Namespace, loaded: LoadedPlan) -> Iterator[Recorder]:
    """What records a video: the small model whole in memory, another block by block. Raises UserError."""
    from ondevice_sora.runtime.small.shipped import SMALL

    if loaded.plan.model_name == SMALL:
        why = "on a model that runs whole, in memory"
        refuse_without_effect(options, ("store",), why, "Leave it out.")
        yield _whole(options, loaded)
    else:
        with _in_blocks(options, loaded) as record:
            yield record


def _whole(options: argparse.Namespace, loaded: LoadedPlan) -> Recorder:
    from dataclasses import replace

    import torch

    from ondevice_sora.plans.checks import check_merging_units
    from ondevice_sora.runtime.sampling.generation import Stopwatch, WholePlayer, denoised
    from ondevice_sora.runtime.sampling.leap import Recording
    from ondevice_sora.runtime.sampling.trajectories import trajectory_of
    from ondevice_sora.runtime.sampling.video import VideoNetworks
    from ondevice_sora.runtime.small.shipped import load_small, small_request
    from ondevice_sora.runtime.small.vocabulary import tokenize

    torch.set_num_threads(1)  # matrices so small: more threads wait for each other, and where others work, long
    recording = Recording()
    with loaded.locating("$"):
        request = replace(small_request(loaded.plan), leap=recording)
    model = load_small(options.weights)
    with loaded.locating():
        check_merging_units(loaded.plan, model.denoiser.block_names)
    video = VideoNetworks.of(model, request)

    def record(asked: Video) -> Trajectory:
        player = WholePlayer(video.networks, request.merge_steps)
        found = denoised(video, *tokenize([asked.prompt]), seed=asked.seed, player=player, watch=Stopwatch())
        return trajectory_of(recording.seen, found.latent)

    return record


@contextmanager
def _in_blocks(options: argparse.Namespace, loaded: LoadedPlan) -> Iterator[Recorder]:
    from dataclasses import replace

    from ondevice_sora.commands.generate_blocks import prepared, store_folder
    from ondevice_sora.plans.checks import check_merging_units
    from ondevice_sora.runtime.executor.in_blocks import BlockwiseVideo
    from ondevice_sora.runtime.models import PlannedVideo, request_of_plan
    from ondevice_sora.runtime.sampling.leap import Recording
    from ondevice_sora.runtime.sampling.trajectories import trajectory_of

    if options.weights is None:
        what = f"the weights of '{loaded.plan.model_name}' do not come with this program"
        raise UserError(what, mend="Name their folder with --weights.")
    recording = Recording()
    with loaded.locating():
        request = replace(request_of_plan(loaded.plan), leap=recording)
        planned = PlannedVideo.of(loaded.plan, options.weights, request=request)
        check_merging_units(loaded.plan, planned.video.model.denoiser.block_names)
    with store_folder(options.store, Path()) as folder:
        with loaded.locating():
            work = prepared(BlockwiseVideo(planned, folder))
        with progress_bar("writing the store, units", len(work.writer.remaining)) as advance:
            work.write(lambda _: advance(1))

        def record(asked: Video) -> Trajectory:
            video, _ = work.generate(*planned.encode(asked.prompt), seed=asked.seed)
            return trajectory_of(recording.seen, video.sample.latent)

        with locked(folder, shared=True):
            yield record
