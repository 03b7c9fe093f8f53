"""Generate held-out prompts in every configuration and measure each video, one file a video, resumably.

A folder of results has `videos/CONFIGURATION/SCENE-SEED.json`, each written whole, and the frames of a few videos
(clips.py). What is there and was made by the same plan is not made again. The full-step video is made anew whenever
one is to be compared with it, so that both are timed one after the other. Configurations that differ by their leap
alone share one run that walks all steps: a leap changes nothing before it, so its steps are that run's, and so are
their times.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from pathlib import Path

import msgspec
import numpy as np
import torch
from msgspec.structs import replace

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.json_files import read_json
from ondevice_sora.base.files.opening import beneath
from ondevice_sora.base.files.writing import write_json, write_text
from ondevice_sora.base.interrupts import noted
from ondevice_sora.base.spread import Words, spread
from ondevice_sora.plans.schema import Lpl, Plan, plan_data
from ondevice_sora.records.quality import ATTRIBUTES, FORMAT, Clip, Measured
from ondevice_sora.runtime.networks.components import TextToVideo
from ondevice_sora.runtime.sampling.generation import Video, generate, generate_from
from ondevice_sora.runtime.sampling.leap import Observation, Recording
from ondevice_sora.runtime.sampling.pictures import Frames
from ondevice_sora.runtime.sampling.sidecar import machine
from ondevice_sora.runtime.sampling.video import VideoNetworks
from ondevice_sora.runtime.small.dataset import Scene, describe, held_out_scenes
from ondevice_sora.runtime.small.evaluation.adherence import adherence
from ondevice_sora.runtime.small.evaluation.clips import frames_file, write_clip, write_frames
from ondevice_sora.runtime.small.evaluation.configurations import EXACT, FULL, Configuration
from ondevice_sora.runtime.small.evaluation.quality import (
    flow_magnitudes,
    is_dynamic,
    mean_squared_error,
    structural_similarity,
    temporal_flickering,
)
from ondevice_sora.runtime.small.shipped import load_small, small_request, weights_digest, weights_folder
from ondevice_sora.runtime.small.vocabulary import tokenize

SETTINGS = "settings.json"
ANOTHER_FOLDER = "Choose another folder with -o."


def chosen_scenes(count: int) -> list[tuple[int, Scene]]:
    """`count` held-out scenes with their numbers, spread over all of them. Raises UserError for too many."""
    scenes = held_out_scenes()
    if not 1 <= count <= len(scenes):
        raise UserError(f"{count} prompts: there are 1 to {len(scenes)} held-out ones", mend="Ask for fewer.")
    return [(index, scenes[index]) for index in np.linspace(0, len(scenes) - 1, count).round().astype(int).tolist()]


def open_folder(folder: Path, weights_sha256: str) -> None:
    """Make the folder, or see that its results are of the same weights. Raises UserError if they are not."""
    settings = folder / SETTINGS
    wanted = {"format": FORMAT, "weights_sha256": weights_sha256}
    if os.path.lexists(settings):
        document = read_json(settings, mend=ANOTHER_FOLDER, follows_links=False)
        document.check_format("an evaluation's settings", FORMAT)
        if document.data != wanted:
            raise UserError("these results are of other weights", str(folder), ANOTHER_FOLDER)
        return
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError("this folder has something else in it", str(folder), "Choose an empty or a new one with -o.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot be made: {error.strerror or error}", str(folder)) from None
    write_json(settings, wanted)


@dataclass(frozen=True)
class Job:
    """The videos of one scene and seed: those of the `wanted` configurations that are `pending`.

    `wanted` begins with the full run. `keeps_frames`: their frames are kept.
    """

    weights: Path | None
    weights_sha256: str
    wanted: tuple[Configuration, ...]
    pending: tuple[Configuration, ...]
    index: int
    scene: Scene
    seed: int
    keeps_frames: bool


@dataclass(frozen=True)
class Made:
    """A video's figures, and its frames where those are kept."""

    measured: Measured
    frames: Frames | None

    def write(self, folder: Path) -> None:
        """Raises OSError and UserError."""
        measured = self.measured
        if self.frames is not None:
            write_frames(frames_file(folder, measured.configuration, measured.scene, measured.seed), self.frames)
        file = _measured_file(folder, measured.configuration, measured.scene, measured.seed)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, msgspec.json.encode(measured).decode() + "\n")


WORDS = Words("scene", lambda job: f"{describe(job.scene)}, seed {job.seed}", "Finished videos are kept")


def run_evaluation(
    weights: Path | None,
    folder: Path,
    wanted: Sequence[Configuration],
    scenes: Sequence[tuple[int, Scene]],
    seeds: int,
    *,
    clips: int = 0,
    processes: int = 1,
    scheduler: str | None = None,
    on_video: Callable[[int], None] = lambda count: None,
) -> None:
    """Make and measure what is not in `folder` yet; `wanted` begins with the full run.

    The frames of the first seed of the first `clips` scenes are kept. `on_video` is told how many videos are done
    with, made now or found there. Several processes take a scene and seed each, with one thread. So do the workers of
    the Dask scheduler at the address `scheduler`: they find the weights under the same path, and send what they make.

    Raises UserError, also for a scheduler that does not answer and for workers that have other weights.
    """
    assert wanted[0].name == FULL
    shown = {index for index, _ in scenes[:clips]}
    digest, place = weights_digest(weights), weights.absolute() if weights is not None else None
    jobs = []
    for (index, scene), seed in product(scenes, range(seeds)):
        keeps_frames = index in shown and seed == 0
        pending = tuple(each for each in wanted if not _is_made(folder, each, index, seed, keeps_frames))
        on_video(len(wanted) - len(pending))
        if pending:
            jobs.append(Job(place, digest, tuple(wanted), pending, index, scene, seed, keeps_frames))
    if scheduler is not None:
        with noted(), closing(spread(_sent, jobs, scheduler, None, WORDS, _one_thread)) as sent:
            for _, videos in sent:
                for made in videos:
                    made.write(folder)
                on_video(len(videos))
    elif processes > 1:
        work = partial(_written, folder)
        with noted(), closing(spread(work, jobs, None, processes, WORDS, _one_thread)) as written:
            for _, count in written:
                on_video(count)
    else:
        warm: list[bool] = []
        for job in jobs:
            for made in made_videos(job, warm):
                made.write(folder)
                on_video(1)


def _is_made(folder: Path, configuration: Configuration, scene: int, seed: int, keeps_frames: bool) -> bool:
    """Whether there is nothing to do. Raises UserError for an unreadable record."""
    return read_measured(folder, configuration, scene, seed) is not None and (
        not keeps_frames or frames_file(folder, configuration.name, scene, seed).is_file()
    )


def _one_thread() -> None:
    torch.set_num_threads(1)


def _written(folder: Path, job: Job) -> int:
    """In a process of its own: each video is kept as soon as it is made. How many."""
    count = 0
    for made in made_videos(job, _WARM):
        made.write(folder)
        count += 1
    return count


def _sent(job: Job) -> list[Made]:
    """On another machine, which may not see the folder."""
    return list(made_videos(job, _WARM))


_WARM: list[bool] = []


@cache
def _model(weights: Path | None, sha256: str) -> TextToVideo:
    """Raises UserError unless the weights are those."""
    if weights_digest(weights) != sha256:
        what = "this worker has other weights than the command that sends it work"
        raise UserError(what, str(weights_folder(weights)), "Give all of them the same weights.")
    return load_small(weights)


def made_videos(job: Job, warm: list[bool]) -> Iterator[Made]:
    """Make and measure a job's videos.

    `warm` is filled once a video was made: the first run of a process is slower, for allocations and thread pools.
    """
    model, full_plan = _model(job.weights, job.weights_sha256), job.wanted[0].plan
    scene, seed = job.scene, job.seed
    if not warm:
        _walked(model, full_plan, scene, seed)
        warm.append(True)
    full, full_seen = _walked(model, full_plan, scene, seed)
    exact_plan = next((each.plan for each in job.wanted if each.name == EXACT), None)
    exact = None if exact_plan is None else _walked(model, exact_plan, scene, seed)
    for walk, sharing in _by_walk(job.pending):
        if walk == _walk_of(full_plan):
            walked, seen = full, full_seen
        elif exact is not None and walk == exact_plan:
            walked, seen = exact
        else:
            walked, seen = _walked(model, walk, scene, seed)
        for each in sharing:
            is_walk = each.plan.lpl == walk.lpl
            video = (
                walked if is_walk else generate_from(walked, seen, VideoNetworks.of(model, small_request(each.plan)))
            )
            measured = _measure(each, job.index, scene, seed, video, full, None if exact is None else exact[0])
            yield Made(measured, video.frames if job.keeps_frames else None)


def read_measured(folder: Path, configuration: Configuration, scene: int, seed: int) -> Measured | None:
    """The record of a video made by this very plan, None if there is none. Raises UserError for an unreadable one."""
    file = _measured_file(folder, configuration.name, scene, seed)
    if not os.path.lexists(file):
        return None
    document = read_json(file, mend="Remove the file.")
    found = document.convert(Measured)
    for name, wanted in (("configuration", configuration.name), ("scene", scene), ("seed", seed)):
        if getattr(found, name) != wanted:
            raise document.error(f"$.{name}", f"{getattr(found, name)!r} in the file of {wanted!r}")
    for name in (*ATTRIBUTES, "all"):
        if name not in found.right:
            raise document.error("$.right", f"the key '{name}' is missing")
    if len(found.cosines) != found.num_evaluations:
        raise document.error("$.cosines", f"{len(found.cosines)} of {found.num_evaluations} network evaluations")
    return found if found.plan == _plan_of(configuration) else None


def read_all(
    folder: Path, known: Sequence[Configuration], scenes: Sequence[tuple[int, Scene]], seeds: int
) -> dict[str, list[Measured]]:
    """Configuration -> its records among these scenes and seeds; those without any are left out."""
    found = {
        each.name: [
            measured
            for index, _ in scenes
            for seed in range(seeds)
            if (measured := read_measured(folder, each, index, seed)) is not None
        ]
        for each in known
    }
    return {name: records for name, records in found.items() if records}


def write_clips(folder: Path, known: Sequence[Configuration], scenes: Sequence[tuple[int, Scene]]) -> Iterator[Clip]:
    """Write a clip of each scene of which there are frames, scene by scene. Raises UserError for unreadable frames."""
    for index, scene in scenes:
        there = [each for each in known if _is_made(folder, each, index, 0, keeps_frames=True)]
        if there:
            names = [each.name for each in there]
            yield write_clip(folder, names, describe(scene), index, 0, small_request(there[0].plan))


def _walk_of(plan: Plan) -> Plan:
    """The plan whose run walks all the steps that this one leaps over."""
    return replace(plan, lpl=Lpl())


def _by_walk(wanted: Sequence[Configuration]) -> list[tuple[Plan, list[Configuration]]]:
    """Configurations that share a walk, together."""
    walks: list[tuple[Plan, list[Configuration]]] = []
    for each in wanted:
        walk = _walk_of(each.plan)
        sharing = next((sharing for plan, sharing in walks if plan == walk), None)
        if sharing is None:
            walks.append((walk, [each]))
        else:
            sharing.append(each)
    return walks


def _walked(model: TextToVideo, plan: Plan, scene: Scene, seed: int) -> tuple[Video, list[Observation]]:
    """The video of all steps of a plan, and what was seen on the way."""
    ids, mask = tokenize([describe(scene)])
    recording = Recording()
    request = dataclasses.replace(small_request(plan), leap=recording)
    return generate(VideoNetworks.of(model, request), ids, mask, seed=seed), recording.seen


def _measure(
    configuration: Configuration, index: int, scene: Scene, seed: int, video: Video, full: Video, exact: Video | None
) -> Measured:
    request, last = small_request(configuration.plan), video.sample.steps[-1]
    magnitudes = flow_magnitudes(video.frames, request.fps)
    right = adherence(scene, video.frames)
    return Measured(
        configuration=configuration.name,
        plan=_plan_of(configuration),
        scene=index,
        prompt=describe(scene),
        seed=seed,
        num_evaluations=len(video.sample.steps),
        leap_step=video.sample.leap_step,
        leap_estimated_error=last.estimated_error if last.leapt else None,
        cosines=tuple(step.cosine_whole for step in video.sample.steps),
        denoiser_s=video.timings.denoiser_s,
        total_s=video.timings.total_s,
        full_denoiser_s=full.timings.denoiser_s,
        full_total_s=full.timings.total_s,
        mse=mean_squared_error(video.frames, full.frames),
        ssim=structural_similarity(video.frames, full.frames),
        right={**right, "all": all(right[name] for name in ATTRIBUTES)},
        flickering=temporal_flickering(video.frames),
        is_dynamic=is_dynamic(magnitudes, min(request.width, request.height)),
        motion=float(magnitudes.mean()) if len(magnitudes) else 0.0,
        exact_mse=None if exact is None else mean_squared_error(video.frames, exact.frames),
        machine="{system} {processor}, torch {torch}, threads: {threads}".format(**machine()),
    )


def _measured_file(folder: Path, configuration: str, scene: int, seed: int) -> Path:
    return beneath(folder, "videos", configuration, f"{scene:03d}-{seed}.json")


def _plan_of(configuration: Configuration) -> dict[str, object]:
    """The plan as JSON has it, so that a record read back compares equal."""
    data: dict[str, object] = msgspec.json.decode(msgspec.json.encode(plan_data(configuration.plan)))
    return data
