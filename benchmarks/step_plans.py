"""Which network evaluations are worth making: time grids and solvers on the shipped small model, all prompts at once.

    python -m benchmarks.step_plans --device cuda -o step_plans.json      # 64 held-out prompts, two seeds, minutes
    python -m benchmarks.step_plans --prompts 4 --seeds 1 --quick         # to see that it works

Grids are planned on training scenes, which the held-out ones never are. Every grid is walked with every solver; the
result is set against the 30-step Euler video and against the flow's exact solution (classical Runge-Kutta, checked
against half as many steps). Printed: mean over videos of the frames' PSNR to both, the latents' relative error in dB,
and how many show shape, colour and direction that the prompt asks for.
"""

from __future__ import annotations

import argparse
import json
import math
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

from ondevice_sora.records.quality import ATTRIBUTES
from ondevice_sora.runtime.networks.stdit3 import LatentSize, PixelSize
from ondevice_sora.runtime.networks.units import run_units
from ondevice_sora.runtime.sampling.sampler import flow_timesteps
from ondevice_sora.runtime.small.dataset import Scene, describe, training_scene
from ondevice_sora.runtime.small.evaluation.adherence import adherence
from ondevice_sora.runtime.small.evaluation.evaluation import chosen_scenes
from ondevice_sora.runtime.small.model import REQUEST
from ondevice_sora.runtime.small.shipped import load_small
from ondevice_sora.runtime.small.vocabulary import tokenize

Grid = tuple[float, ...]
"""Times from 1 to 0, both ends in it."""
Flow = Callable[[Tensor, float], Tensor]
"""Velocity, from noise to data, at latents [B, C, T, H, W] and a time of 0..1."""
REFERENCE_STEPS = 30
TRANSFORM = 2.236
"""R of Open-Sora's time transform for 256 x 256 pixels and 68 frames."""
FINE = 120
"""Nodes that refined grids are chosen among: four to each reference step."""
COUNTS = (6, 8, 10, 12, 16)


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
        self.evaluations = 0

    def velocity(self, latents: Tensor, at: float) -> Tensor:
        """Guided, for all videos; `latents` may be a whole number of copies of the batch, one after the other."""
        copies = latents.shape[0] // self.noise.shape[0]
        half = self.captions.shape[0] // 2
        captions = torch.cat([self.captions[:half].repeat(copies, 1, 1), self.captions[half:].repeat(copies, 1, 1)])
        times = torch.full((2 * latents.shape[0],), at * 1000.0)
        state = self.model.denoiser.initial_state(
            torch.cat([latents, latents]), times, captions, fps=torch.tensor([REQUEST.fps]),
            text_mask=self.mask.repeat(copies, 1),
        )  # fmt: skip
        out = run_units(self.units, state)["velocity"][:, : latents.shape[1]]
        conditional, unconditional = out.chunk(2)
        self.evaluations += 1
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


# Solvers: from z at grid[0] to z at grid[-1]. Each step makes one evaluation.


def euler(flow: Flow, z: Tensor, grid: Grid) -> Tensor:
    for start, end in pairwise(grid):
        z = z + (start - end) * flow(z, start)
    return z


def adams_bashforth(flow: Flow, z: Tensor, grid: Grid) -> Tensor:
    """Two-step, on uneven steps; the first step is Euler's."""
    before: Tensor | None = None
    h_before = 0.0
    for start, end in pairwise(grid):
        h, v = start - end, flow(z, start)
        z = z + h * (v if before is None else v + h / (2 * h_before) * (v - before))
        before, h_before = v, h
    return z


def dpmpp_2m(flow: Flow, z: Tensor, grid: Grid) -> Tensor:
    """DPM-Solver++(2M) for this flow: extrapolates the data prediction in log((1 - t) / t)."""

    def noisiness(t: float) -> float:
        t = min(max(t, 1e-6), 1 - 1e-6)
        return math.log((1 - t) / t)

    before: Tensor | None = None
    h_before = 0.0
    for start, end in pairwise(grid):
        data = z + start * flow(z, start)
        if end <= 0:
            return data
        h = noisiness(end) - noisiness(start)
        ahead = data if before is None else data + (data - before) * (h / (2 * h_before))
        ratio = end / start
        z = ratio * z + ((1 - end) - ratio * (1 - start)) * ahead
        before, h_before = data, h
    return z


def runge_kutta(flow: Flow, z: Tensor, grid: Grid) -> Tensor:
    """Classical, four evaluations a step: the exact solution's stand-in."""
    for start, end in pairwise(grid):
        h, middle = start - end, (start + end) / 2
        a = flow(z, start)
        b = flow(z + h / 2 * a, middle)
        c = flow(z + h / 2 * b, middle)
        d = flow(z + h * c, end)
        z = z + h / 6 * (a + 2 * b + 2 * c + d)
    return z


SOLVERS = {"euler": euler, "ab2": adams_bashforth, "dpmpp_2m": dpmpp_2m}


# Grids


def shifted(grid: Grid, ratio: float) -> Grid:
    return tuple(ratio * t / (1 + (ratio - 1) * t) for t in grid)


def even(count: int) -> Grid:
    return (*(1 - i / count for i in range(count)), 0.0)


def power(count: int, exponent: float) -> Grid:
    return (*(1 - (i / count) ** exponent for i in range(count)), 0.0)


def leap(count: int, reference: Grid) -> Grid:
    """LPL at `count` evaluations: the reference's first times, then the end."""
    return (*reference[:count], 0.0)


def trajectory(flow: Flow, z: Tensor, grid: Grid) -> list[Tensor]:
    """Euler's velocities at each node but the last."""
    drifts = []
    for start, end in pairwise(grid):
        drifts.append(flow(z, start))
        z = z + (start - end) * drifts[-1]
    return drifts


def planned(drifts: Sequence[Tensor], grid: Grid, exponent: float = 2.0) -> dict[int, tuple[int, ...]]:
    """For each count of evaluations, the nodes of `grid` whose drifts, held until the next, stay closest to all drifts.

    The cost of holding node i until j is the root mean square over videos of the deviation that it adds; a shortest
    path by number of segments, all at once.
    """
    count = len(drifts)
    steps = [grid[k] - grid[k + 1] for k in range(count)]
    cost = np.full((count, count + 1), np.inf)
    for i in range(count):
        added = torch.zeros_like(drifts[0])
        for j in range(i + 1, count + 1):
            added = added + (drifts[j - 1] - drifts[i]) * steps[j - 1]
            cost[i, j] = float(added.flatten(1).square().sum(1).mean().sqrt()) ** exponent
    best = np.full((count + 1, count + 1), np.inf)
    come_from = np.zeros((count + 1, count + 1), int)
    best[0, 0] = 0.0
    for segments in range(1, count + 1):
        for j in range(segments, count + 1):
            ways = best[segments - 1, :j] + cost[:j, j]
            come_from[segments, j] = int(np.argmin(ways))
            best[segments, j] = ways[come_from[segments, j]]
    found = {}
    for segments in range(1, count + 1):
        nodes, j = [], count
        for s in range(segments, 0, -1):
            j = int(come_from[s, j])
            nodes.append(j)
        found[segments] = tuple(reversed(nodes))
    return found


def refined(
    videos: Videos, solver: Callable[[Flow, Tensor, Grid], Tensor], start: Grid, target: Tensor, until: float
) -> tuple[Grid, float]:
    """A grid near `start` whose end lies nearest to `target`: nodes move one by one, by ever smaller strides."""

    def error(grid: Grid) -> float:
        return float((solver(videos.velocity, videos.noise, grid) - target).square().mean().sqrt())

    nodes = [round(t * FINE) for t in start[:-1]]
    for i in range(1, len(nodes)):  # the first stays: the noise is there
        nodes[i] = min(nodes[i], nodes[i - 1] - 1)
    for i in range(len(nodes) - 1, 0, -1):
        nodes[i] = max(nodes[i], len(nodes) - i)

    def grid_of(nodes: Sequence[int]) -> Grid:
        return (*(node / FINE for node in nodes), 0.0)

    least = error(grid_of(nodes))
    for stride in (8, 4, 2, 1):
        improved = True
        while improved and time.monotonic() < until:
            improved = False
            for i in range(1, len(nodes)):
                for moved in (nodes[i] - stride, nodes[i] + stride):
                    below = nodes[i + 1] if i + 1 < len(nodes) else 0
                    if below < moved < nodes[i - 1]:
                        tried = [*nodes[:i], moved, *nodes[i + 1 :]]
                        found = error(grid_of(tried))
                        if found < least * (1 - 1e-4):
                            nodes, least, improved = tried, found, True
    return grid_of(nodes), least


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
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--training", type=int, default=48, help="training scenes that grids are planned on")
    parser.add_argument("--refine-seconds", type=float, default=150.0)
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--quick", action="store_true", help="few grids and counts")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.set_default_device(options.device)
    with torch.no_grad():
        study(options)


def study(options: argparse.Namespace) -> None:
    began = time.monotonic()
    counts = (4, 8) if options.quick else tuple(options.counts)
    chosen = [scene for _, scene in chosen_scenes(options.prompts)]
    test = Videos([scene for scene in chosen for _ in range(options.seeds)], list(range(options.seeds)) * len(chosen))
    training = Videos(
        [training_scene(1, index)[0] for index in range(options.training)],
        [1000 + index for index in range(options.training)],
    )
    times = flow_timesteps(REFERENCE_STEPS, height=64, width=64, num_frames=68, transform=False)
    reference: Grid = (*(t / 1000 for t in times), 0.0)
    fine = even(30 if options.quick else 120)

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {what}", flush=True)

    ends = {"30 steps": euler(test.velocity, test.noise, reference)}
    ends["exact"] = runge_kutta(test.velocity, test.noise, fine)
    half = runge_kutta(test.velocity, test.noise, even(len(fine) // 2))
    check = relative_db(half, ends["exact"])
    say(f"exact: {len(fine) - 1} steps of Runge-Kutta, {check:.1f} dB from half as many")
    transformed = shifted(reference, TRANSFORM)
    ends["30 steps, transformed"] = euler(test.velocity, test.noise, transformed)
    goals = {
        "30 steps": euler(training.velocity, training.noise, reference),
        "exact": runge_kutta(training.velocity, training.noise, even(len(fine) // 2)),
    }
    plans = {}
    for name, grid in (("even", reference), ("transformed", transformed)):
        for exponent in (1.0, 2.0):
            nodes = planned(trajectory(training.velocity, training.noise, grid), grid, exponent)
            plans[name, exponent] = {n: (*(grid[k] for k in found), 0.0) for n, found in nodes.items()}
    fine_nodes = planned(trajectory(training.velocity, training.noise, fine), fine)
    plans["fine", 2.0] = {n: (*(fine[k] for k in fine_nodes[n]), 0.0) for n in counts}
    say("grids planned")
    grids: dict[tuple[str, int], Grid] = {}
    for n in counts:
        grids["even", n] = even(n)
        grids["LPL", n] = leap(n, reference)
        grids["LPL, transformed", n] = leap(n, transformed)
        for ratio in (1.5, 2.0, 3.0):
            grids[f"shift {ratio:g}", n] = shifted(even(n), ratio)
        grids["even, transformed", n] = shifted(even(n), TRANSFORM)
        for exponent in (1.25, 1.5, 2.0, 2.5):
            grids[f"power {exponent:g}", n] = power(n, exponent)
        grids["planned", n] = plans["even", 2.0][n]
        grids["planned, p = 1", n] = plans["even", 1.0][n]
        grids["planned on 120", n] = plans["fine", 2.0][n]
        grids["planned, transformed", n] = plans["transformed", 2.0][n]
    refinements = {}
    combinations = [
        (n, solver, goal)
        for n in counts
        if n <= 16
        for solver, goal in (("euler", "30 steps"), ("dpmpp_2m", "exact"), ("ab2", "exact"), ("dpmpp_2m", "30 steps"))
    ]
    until = time.monotonic() + options.refine_seconds
    for place, (n, solver, goal) in enumerate(combinations):
        left = (until - time.monotonic()) / (len(combinations) - place)
        start = plans["even", 2.0][n] if solver == "euler" else power(n, 1.5)
        tried = [start, plans["fine", 2.0][n]]
        errors = [
            float((SOLVERS[solver](training.velocity, training.noise, grid) - goals[goal]).square().mean())
            for grid in tried
        ]
        best, error = refined(
            training, SOLVERS[solver], tried[int(np.argmin(errors))], goals[goal], time.monotonic() + left
        )
        refinements[n, solver, goal] = best
        say(f"refined {n} {solver} to {goal}: {error:.5f}")
    frames = {name: test.frames(end) for name, end in ends.items()}
    rows: list[dict[str, Any]] = []
    jobs: list[tuple[str, int, str, Grid]] = [
        (name, n, solver, grid) for (name, n), grid in grids.items() for solver in SOLVERS
    ]
    jobs += [(f"refined to {goal}", n, solver, grid) for (n, solver, goal), grid in refinements.items()]
    with (
        TemporaryDirectory(dir="/dev/shm") as scratch,
        ProcessPoolExecutor(mp_context=get_context("spawn")) as pool,
    ):
        judging = []

        def right(name: str, made: Tensor) -> Future[dict[str, float]]:
            path = f"{scratch}/{name}.npy"
            np.save(path, made.cpu().numpy())
            return pool.submit(_right, test.scenes, path)

        for number, (name, n, solver, grid) in enumerate(jobs):
            end = SOLVERS[solver](test.velocity, test.noise, grid)
            made = test.frames(end)
            row: dict[str, Any] = {"grid": name, "evaluations": n, "solver": solver, "times": list(grid)}
            row |= {f"frames to {goal}, dB": psnr(made, frames[goal]) for goal in ends}
            row |= {f"latents to {goal}, dB": relative_db(end, ends[goal]) for goal in ends}
            rows.append(row)
            judging.append(right(str(number), made))
            if number % 20 == 0:
                say(f"{number} of {len(jobs)} videos made")
            if len(judging) > 40:  # what waits takes memory
                judging[-40].result()
        for row, future in zip(rows, judging, strict=True):
            row |= future.result()
        own = {name: right(name, made).result() for name, made in frames.items()}
    say("done")
    summary = {
        "device": options.device, "videos": len(test.scenes), "exact checked, dB": check, "training": options.training,
        "reference": {
            name: {**own[name], **{f"latents to {goal}, dB": relative_db(ends[name], ends[goal]) for goal in ends},
                   **{f"frames to {goal}, dB": psnr(frames[name], frames[goal]) for goal in ends}}
            for name in ends
        },
        "rows": rows,
    }  # fmt: skip
    if options.output:
        options.output.write_text(json.dumps(summary, indent=1))
    show(summary)


def _right(scenes: Sequence[Scene], path: str) -> dict[str, float]:
    """Shares of videos that are right in each attribute and in all; the file of frames is removed."""
    made = np.load(path)
    Path(path).unlink()
    found = [judged(pair) for pair in zip(scenes, made, strict=True)]
    right = {name: float(np.mean([each[name] for each in found])) for name in ATTRIBUTES}
    return {"right": float(np.mean([all(each.values()) for each in found])), **right}


def show(summary: dict[str, Any]) -> None:
    """For each count, the best three rows by each goal."""
    for goal in ("30 steps", "exact"):
        key = f"frames to {goal}, dB"
        for n in sorted({row["evaluations"] for row in summary["rows"]}):
            best = sorted((row for row in summary["rows"] if row["evaluations"] == n), key=lambda row: -row[key])[:4]
            for row in best:
                print(f"{goal:9} {n:3} {row['solver']:9} {row['grid']:24} {row[key]:6.2f} dB  right {row['right']:.3f}")
    for name, row in summary["reference"].items():
        print(name, {key: round(value, 3) for key, value in row.items()})


if __name__ == "__main__":
    main()
