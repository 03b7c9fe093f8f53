"""Which network evaluations are worth making: grids and solvers on the small model, all prompts at once on a GPU.

    python -m benchmarks.step_plans --show                              # the saved results, benchmarks/step_plans.json
    python -m benchmarks.step_plans --device cuda -o step_plans.json      # 64 held-out prompts, two seeds
    python -m benchmarks.step_plans --prompts 4 --seeds 1 --quick         # to see that it works

Grids are planned on training scenes, which the held-out ones never are. Every grid is walked with every solver by the
library's sampler; the result is set against the 30-step Euler video and against the flow's exact solution (classical
Runge-Kutta, checked against half as many steps). Printed: mean over videos of the frames' PSNR to each, the latents'
relative error in dB, and how many show shape, colour and direction that the prompt asks for. `ondevice-sora evaluate`
measures the same and more, a video at a time.

What is done is saved after each number of evaluations. The saved results were made in two runs of one kind of GPU: 8 to
16 evaluations, then 6. On 64 videos, DPM-Solver++(2M) and grids whose times were moved one by one until the end lay
nearest to its goal were tried too: neither won by more than 1.4 dB, and both were dropped.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ondevice_sora.plans.step_plan import Grid, Solver, grid_times
from ondevice_sora.records.quality import ATTRIBUTES
from ondevice_sora.runtime.networks.stdit3 import LatentSize, PixelSize
from ondevice_sora.runtime.networks.units import run_units
from ondevice_sora.runtime.sampling.leap import Recording
from ondevice_sora.runtime.sampling.sampler import flow_timesteps, sample
from ondevice_sora.runtime.sampling.trajectories import planned_grids, trajectory_of
from ondevice_sora.runtime.small.dataset import Scene, describe, training_scene
from ondevice_sora.runtime.small.evaluation.adherence import adherence
from ondevice_sora.runtime.small.evaluation.evaluation import chosen_scenes
from ondevice_sora.runtime.small.model import REQUEST
from ondevice_sora.runtime.small.shipped import load_small
from ondevice_sora.runtime.small.vocabulary import tokenize

SAVED = Path(__file__).with_suffix(".json")
Times = tuple[float, ...]
"""Descending from 1000; the last step goes to 0."""
STEPS = 30
TRANSFORM = 2.236
"""R of Open-Sora's time transform for 256 x 256 pixels and 68 frames."""
COUNTS = (6, 8, 10, 12, 16)
SOLVERS: tuple[Solver, ...] = ("euler", "ab2")
EVEN: Times = flow_timesteps(STEPS, height=64, width=64, num_frames=68, transform=False)


class Videos:
    """Prompts as a batch: their flow, and what latents decode to."""

    def __init__(self, scenes: Sequence[Scene], seeds: Sequence[int]) -> None:
        self.model = load_small()
        device = torch.get_default_device()
        for network in vars(self.model).values():
            network.to(device)
        self.scenes = scenes
        self.size = LatentSize(
            *self.model.decoder.config.latent_size(REQUEST.num_frames, REQUEST.height, REQUEST.width)
        )
        ids, mask = (each.to(device) for each in tokenize([describe(scene) for scene in scenes]))
        state = self.model.text_encoder.initial_state(ids, mask)
        caption = run_units(self.model.text_encoder.units(), state)["caption"]
        none = self.model.denoiser.y_embedder.y_embedding[None, : caption.shape[1]].expand_as(caption)
        self.captions, self.mask = torch.cat([caption, none]), mask
        channels = self.model.denoiser.config.in_channels
        shape = (1, channels, *self.size)
        draws = [torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed), device="cpu") for seed in seeds]
        self.noise = torch.cat(draws).to(device)
        self.units = self.model.denoiser.units(self.size, PixelSize(REQUEST.height, REQUEST.width))

    def __call__(self, latents: Tensor, timesteps: Tensor, *, step: int = 0, merge: bool = False) -> Tensor:
        """The denoiser of all videos at once, both branches of guidance, as the sampler calls it."""
        state = self.model.denoiser.initial_state(
            latents, timesteps, self.captions, fps=torch.tensor([REQUEST.fps]), text_mask=self.mask
        )
        return run_units(self.units, state)["velocity"]

    def walked(self, times: Times, solver: Solver = "euler", recording: Recording | None = None) -> Tensor:
        """Latents at the end of a list of times."""
        guidance = REQUEST.guidance_scale
        return sample(self, self.noise, times, guidance_scale=guidance, solver=solver, leap=recording).latent

    def velocity(self, latents: Tensor, at: float) -> Tensor:
        """Guided."""
        out = self(torch.cat([latents, latents]), torch.full((2 * len(latents),), at * 1000))
        conditional, unconditional = out[:, : latents.shape[1]].chunk(2)
        return unconditional + REQUEST.guidance_scale * (conditional - unconditional)

    def frames(self, latents: Tensor) -> Tensor:
        """uint8 [B, frames, height, width, 3]."""
        decoder = self.model.decoder
        batched = decoder.decode_temporal(latents, REQUEST.num_frames)
        folded = batched.transpose(1, 2).reshape(-1, batched.shape[1], *batched.shape[3:])
        images = torch.cat(
            [
                run_units(decoder.spatial_units(), {"latent_frames": piece})["images"]
                for piece in folded.split(1024)
            ]
        )  # fmt: skip
        levels = ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
        return levels.reshape(latents.shape[0], -1, *levels.shape[1:]).permute(0, 1, 3, 4, 2)


def runge_kutta(flow: Callable[[Tensor, float], Tensor], z: Tensor, steps: int) -> Tensor:
    """Classical, four evaluations a step: the exact solution's stand-in. `flow` is of latents and a time of 0..1."""
    for start, end in pairwise(1 - step / steps for step in range(steps + 1)):
        h, middle = start - end, (start + end) / 2
        a = flow(z, start)
        b = flow(z + h / 2 * a, middle)
        c = flow(z + h / 2 * b, middle)
        d = flow(z + h * c, end)
        z = z + h / 6 * (a + 2 * b + 2 * c + d)
    return z


def planned_on(videos: Videos, times: Times) -> list[tuple[int, ...]]:
    """For 1 up to all evaluations, the indices of `times` that are worth making."""
    recording = Recording()
    end = videos.walked(times, recording=recording)
    return [grid.indices for grid in planned_grids([trajectory_of(recording.seen, end)])]


def grids_of(count: int, planned: dict[str, list[tuple[int, ...]]]) -> dict[str, Times]:
    """Every grid of so many evaluations, by what it is called."""
    own = EVEN[:1] * count  # only their number counts
    even = flow_timesteps(count, height=64, width=64, num_frames=68, transform=False)
    moved = grid_times(Grid(shift=TRANSFORM), EVEN)
    return {
        "LPL": EVEN[:count],
        "even": even,
        **{f"shift {ratio:g}": grid_times(Grid(shift=ratio), own) for ratio in (1.5, 2.0, 3.0)},
        **{f"power {p:g}": grid_times(Grid(power=p), own) for p in (1.25, 1.5, 2.0, 2.5)},
        "planned": grid_times(Grid(indices=planned["even"][count - 1]), EVEN),
        "LPL, transformed": moved[:count],
        "even, transformed": grid_times(Grid(shift=TRANSFORM), own),
        "planned, transformed": grid_times(Grid(indices=planned["transformed"][count - 1]), moved),
    }


# What came out


def psnr(found: Tensor, wanted: Tensor) -> float:
    """Mean over videos, dB."""
    squared = torch.stack([(a.float() - b.float()).square().mean() for a, b in zip(found, wanted, strict=True)])
    return float((10 * torch.log10(255**2 / squared.clamp_min(1e-9))).mean())


def relative_db(found: Tensor, wanted: Tensor) -> float:
    error = (found - wanted).flatten(1).norm(dim=1) / wanted.flatten(1).norm(dim=1)
    return float((-20 * torch.log10(error.clamp_min(1e-9))).mean())


def judged(pair: tuple[Scene, np.ndarray[Any, Any]]) -> dict[str, bool]:
    right = adherence(*pair)
    return {name: bool(right[name]) for name in ATTRIBUTES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--show", nargs="?", const=SAVED, type=Path, metavar="FILE", help="print saved results")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--training", type=int, default=48, help="training scenes that grids are planned on")
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--quick", action="store_true", help="few counts, and a coarse exact solution")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    if options.show:
        show(json.loads(options.show.read_text()))
        return
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.set_default_device(options.device)
    with torch.no_grad():
        summary = study(options)
    show(summary)


class Goals:
    """Where the test videos' flow ends by the 30-step grids and by the exact solution, and what the ends decode to."""

    def __init__(self, videos: Videos, moved: Times, fine: int) -> None:
        self.latents = {
            "30 steps": videos.walked(EVEN),
            "exact": runge_kutta(videos.velocity, videos.noise, fine),
            "30 steps, transformed": videos.walked(moved),
        }
        self.checked_db = relative_db(runge_kutta(videos.velocity, videos.noise, fine // 2), self.latents["exact"])
        """of the exact solution, to that with half as many steps"""
        self.frames = {name: videos.frames(end) for name, end in self.latents.items()}

    def frames_db(self, made: Tensor, besides: str = "") -> dict[str, float]:
        """How near frames come to each goal's; `besides` names the goal that they are themselves."""
        goals = self.frames.items()
        return {f"frames to {name}, dB": round(psnr(made, goal), 3) for name, goal in goals if name != besides}

    def latents_db(self, end: Tensor) -> dict[str, float]:
        """How near latents come to each goal's."""
        return {f"latents to {name}, dB": round(relative_db(end, goal), 3) for name, goal in self.latents.items()}


class Judges:
    """Processes that say how many videos show what their prompts ask for, while the next ones are made."""

    def __init__(self, scenes: Sequence[Scene], scratch: str, pool: ProcessPoolExecutor) -> None:
        self.scenes, self.scratch, self.pool = scenes, scratch, pool
        self.num_given = 0

    def __call__(self, frames: Tensor) -> Future[dict[str, float]]:
        path = f"{self.scratch}/{self.num_given}.npy"
        self.num_given += 1
        np.save(path, frames.cpu().numpy())
        return self.pool.submit(_right, self.scenes, path)


Row = dict[str, Any]


def study(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that `show` prints; what is done is saved after each number of evaluations."""
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {what}", flush=True)

    counts, fine = ((4, 8), 30) if options.quick else (tuple(options.counts), 120)
    test, training = _videos(options)
    moved = grid_times(Grid(shift=TRANSFORM), EVEN)
    goals = Goals(test, moved, fine)
    say(f"exact: {fine} steps of Runge-Kutta, {goals.checked_db:.1f} dB from half as many")
    planned = {"even": planned_on(training, EVEN), "transformed": planned_on(training, moved)}
    say("grids planned")
    summary: dict[str, Any] = {
        "machine": machine(options.device),
        "videos": len(test.scenes),
        "exact checked, dB": round(goals.checked_db, 3),
        "training": options.training,
        "rows": [],
    }
    with TemporaryDirectory() as scratch, ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        judges = Judges(test.scenes, scratch, pool)
        right = {name: judges(made) for name, made in goals.frames.items()}
        summary["reference"] = {
            name: right[name].result() | goals.frames_db(made, besides=name) for name, made in goals.frames.items()
        }
        for count in counts:
            rows = []
            for name, times in grids_of(count, planned).items():
                for solver in SOLVERS:
                    end = test.walked(times, solver)
                    made = test.frames(end)
                    row = _row(name, count, solver, planned) | goals.frames_db(made) | goals.latents_db(end)
                    rows.append((row, judges(made)))
            summary["rows"] += [row | judged.result() for row, judged in rows]
            if options.output:  # what is done is kept when the rest is interrupted
                options.output.write_text(json.dumps(summary, indent=1))
            say(f"{count} evaluations done")
    return summary


def _videos(options: argparse.Namespace) -> tuple[Videos, Videos]:
    """Those that grids are tried on, every scene with every seed, and those that grids are planned on."""
    chosen = [scene for _, scene in chosen_scenes(options.prompts)]
    seeds = range(options.seeds)
    test = Videos([scene for scene in chosen for _ in seeds], list(seeds) * len(chosen))
    scenes = [training_scene(1, index)[0] for index in range(options.training)]
    return test, Videos(scenes, [1000 + index for index in range(options.training)])


def _row(name: str, count: int, solver: Solver, planned: dict[str, list[tuple[int, ...]]]) -> Row:
    """What was walked, before it is judged."""
    row: Row = {"grid": name, "evaluations": count, "solver": solver}
    if name.startswith("planned"):
        row["indices"] = planned["transformed" if "transformed" in name else "even"][count - 1]
    return row


def machine(device: str) -> str:
    """Where it ran."""
    return torch.cuda.get_device_name() if device.startswith("cuda") else platform.machine()


def _right(scenes: Sequence[Scene], path: str) -> dict[str, float]:
    """Shares of videos that are right in each attribute and in all; the file of frames is removed."""
    made = np.load(path)
    Path(path).unlink()
    found = [judged(pair) for pair in zip(scenes, made, strict=True)]
    right = {name: float(np.mean([each[name] for each in found])) for name in ATTRIBUTES}
    return {"right": float(np.mean([all(each.values()) for each in found])), **right}


GOALS = ("30 steps", "exact", "30 steps, transformed")


def show(summary: dict[str, Any]) -> None:
    """A table of frames' PSNR, by number of evaluations; the best of each column comes first by the 30-step video."""
    print(
        f"{summary['videos']} videos, grids planned on {summary['training']} others, {summary['machine']}; frames, dB"
    )
    print(f"exact solution: {summary['exact checked, dB']:.1f} dB (latents) from one with half as many steps")
    print(f"{'':3} {'grid':24}{'solver':9}{'to 30 steps':>12}{'to exact':>10}{'to 30, transf.':>16}{'right':>8}")
    for name, row in summary["reference"].items():
        print(f"{'':3} {name:33}" + _cells(row))
    for count in sorted({row["evaluations"] for row in summary["rows"]}):
        found = [row for row in summary["rows"] if row["evaluations"] == count]
        for row in sorted(found, key=lambda row: -row[f"frames to {GOALS[0]}, dB"]):
            print(f"{count:3} {row['grid']:24}{row['solver']:9}" + _cells(row))


def _cells(row: dict[str, Any]) -> str:
    values = [row.get(f"frames to {goal}, dB") for goal in GOALS]
    texts = ["same" if value is None else f"{value:.1f}" for value in values]
    return "".join(f"{text:>{width}}" for text, width in zip(texts, (12, 10, 16), strict=True)) + f"{row['right']:8.3f}"


if __name__ == "__main__":
    main()
