"""Steps without an evaluation: leapt over, or forecast from what the blocks added before. On the small model.

    python -m benchmarks.forecast -o forecast.json   # 8 held-out scenes; minutes on a CPU
    python -m benchmarks.forecast --show             # the saved results, benchmarks/forecast.json

A planned grid leaps: Euler holds a drift until the next evaluation, ab2 bends it by the one before. A forecast walks
all 30 steps: where the blocks do not run, the first unit takes the current latent, what the blocks added to `hidden` at
earlier evaluations is added again (`held`: the last; `linear`: drawn on from the last two over time), and the last unit
gives the drift. That is one or two tensors as large as `hidden` for both branches, and two small blocks to run a step.

Grids: the planned one that ships, and one planned for the linear forecast (the error over recorded trajectories of
training scenes, a shortest path over pairs of evaluations). Printed: frames' PSNR, mean over videos, to the 30 Euler
steps and to the flow's exact solution.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.step_plans import EVEN, STEPS, Videos, psnr, relative_db, runge_kutta
from ondevice_sora.plans.step_file import read_steps, shipped_steps
from ondevice_sora.plans.step_plan import Solver
from ondevice_sora.runtime.networks.units import State, run_units
from ondevice_sora.runtime.sampling.sampler import sample
from ondevice_sora.runtime.small.dataset import training_scene
from ondevice_sora.runtime.small.evaluation.evaluation import chosen_scenes
from ondevice_sora.runtime.small.model import REQUEST

SAVED = Path(__file__).with_suffix(".json")
COUNTS = (8, 10, 12, 16)
SOLVERS: tuple[Solver, ...] = ("euler", "ab2")


class Evaluated(NamedTuple):
    """What the blocks added to `hidden` at a step, [branches * B, tokens, channels]."""

    step: int
    added: Tensor


class Forecast:
    """A denoiser whose blocks run at `made` steps only."""

    def __init__(self, videos: Videos, made: Sequence[int], is_linear: bool) -> None:
        self.videos, self.made, self.is_linear = videos, set(made), is_linear
        self.first, *self.blocks, self.last = videos.units
        self.seen: list[Evaluated] = []
        self.states: list[State] = []

    def entered(self, latents: Tensor, timesteps: Tensor) -> State:
        """What the first unit makes of a latent."""
        videos = self.videos
        fps = torch.tensor([REQUEST.fps])
        return self.first(
            videos.model.denoiser.initial_state(latents, timesteps, videos.captions, fps=fps, text_mask=videos.mask)
        )

    def __call__(self, latents: Tensor, timesteps: Tensor, *, step: int, merge: bool = False) -> Tensor:
        state = self.entered(latents, timesteps)
        if step in self.made:
            added = run_units(self.blocks, state)["hidden"] - state["hidden"]
            self.seen.append(Evaluated(step, added))
        else:
            added = forecast(self.seen[-2:] if self.is_linear else self.seen[-1:], step)
        return self.left(state, added)

    def left(self, state: State, added: Tensor) -> Tensor:
        """The drift, of both branches."""
        return self.last({**state, "hidden": state["hidden"] + added})["velocity"]


def forecast_walk(videos: Videos, made: Sequence[int], is_linear: bool, solver: Solver) -> Tensor:
    """Latents at the end of all steps, of which these are evaluated."""
    denoise = Forecast(videos, made, is_linear)
    return sample(denoise, videos.noise, EVEN, guidance_scale=REQUEST.guidance_scale, solver=solver).latent


def forecast(seen: Sequence[Evaluated], step: int) -> Tensor:
    """Held, if there is one; else the line through the last two, in time."""
    *before, last = seen
    if not before:
        return last.added
    share = (EVEN[last.step] - EVEN[step]) / (EVEN[before[-1].step] - EVEN[last.step])
    return last.added + share * (last.added - before[-1].added)


def guided(drift: Tensor, channels: int) -> Tensor:
    conditional, unconditional = drift[:, :channels].chunk(2)
    return unconditional + REQUEST.guidance_scale * (conditional - unconditional)


def costs_of_forecasts(videos: Videos) -> np.ndarray[Any, Any]:
    """[p, i, j]: mean square that forecasting the steps between i and j from p and i adds; p == i: from i alone."""
    walk = Forecast(videos, range(STEPS), is_linear=True)
    states: list[State] = []
    entered = walk.entered

    def noted(latents: Tensor, timesteps: Tensor) -> State:
        states.append(entered(latents, timesteps))
        return states[-1]

    walk.entered = noted  # type: ignore[method-assign]
    sample(walk, videos.noise, EVEN, guidance_scale=REQUEST.guidance_scale)
    channels = videos.noise.shape[1]
    true = [guided(walk.left(state, seen.added), channels) for state, seen in zip(states, walk.seen, strict=True)]
    costs = np.full((STEPS, STEPS, STEPS + 1), np.inf)
    for i in range(STEPS):
        for p in range(i + 1):
            if p == i and i > 0:
                continue  # from the second evaluation on there are two to go by
            added = torch.zeros_like(videos.noise)
            costs[p, i, i + 1] = 0.0
            for k in range(i + 1, STEPS):
                known = [walk.seen[i]] if p == i else [walk.seen[p], walk.seen[i]]
                added += (guided(walk.left(states[k], forecast(known, k)), channels) - true[k]) / STEPS
                costs[p, i, k + 1] = float(added.double().square().mean())
    return costs


def grids_for(costs: np.ndarray[Any, Any]) -> dict[int, tuple[int, ...]]:
    """For so many evaluations, those with the least sum of costs: a shortest path over pairs (last but one, last)."""
    best: dict[tuple[int, int], tuple[float, tuple[int, ...]]] = {(0, 0): (0.0, (0,))}
    found: dict[int, tuple[int, ...]] = {}
    for made in range(1, STEPS + 1):
        found[made] = min((cost + costs[p, i, STEPS], path) for (p, i), (cost, path) in best.items())[1]
        after: dict[tuple[int, int], tuple[float, tuple[int, ...]]] = {}
        for (p, i), (cost, path) in best.items():
            for j in range(i + 1, STEPS):
                way = (cost + costs[p, i, j], (*path, j))
                after[i, j] = min(after.get((i, j), way), way)
        best = after
    return found


def study(prompts: int, training: int, fine: int) -> dict[str, Any]:
    scenes = [scene for _, scene in chosen_scenes(prompts)]
    videos = Videos(scenes, list(range(prompts)))
    trained = Videos([training_scene(1, index)[0] for index in range(training)], range(1000, 1000 + training))
    own = grids_for(costs_of_forecasts(trained))
    path = shipped_steps("small")
    assert path is not None
    planned = {len(each.indices): each.indices for each in read_steps(path).front}
    ends = {"30 steps": videos.walked(EVEN), "exact": runge_kutta(videos.velocity, videos.noise, fine)}
    check = relative_db(runge_kutta(videos.velocity, videos.noise, fine // 2), ends["exact"])
    frames = {name: videos.frames(end) for name, end in ends.items()}
    rows = []
    for count in COUNTS:
        leapt = tuple(EVEN[index] for index in planned[count])
        ways: dict[str, Callable[[Solver], Tensor]] = {"leapt": partial(videos.walked, leapt)}
        for name, indices, is_linear in (
            ("forecast, held", planned[count], False),
            ("forecast, linear", planned[count], True),
            ("forecast, linear, own grid", own[count], True),
        ):
            ways[name] = partial(forecast_walk, videos, indices, is_linear)
        for (name, walk), solver in product(ways.items(), SOLVERS):
            end = walk(solver)
            made = videos.frames(end)
            row: dict[str, Any] = {"evaluations": count, "way": name, "solver": solver}
            row |= {f"frames to {goal}, dB": round(psnr(made, frames[goal]), 2) for goal in ends}
            row |= {f"latents to {goal}, dB": round(relative_db(end, ends[goal]), 2) for goal in ends}
            rows.append(row)
            print(told(row), flush=True)
    return {
        "videos": prompts, "training": training, "exact checked, dB": round(check, 2),
        "30 steps to exact, dB": round(psnr(frames["30 steps"], frames["exact"]), 2), "rows": rows,
    }  # fmt: skip


HEAD = f"{'':3}{'skipped steps':28}{'solver':8}{'to 30 steps':>12}{'to exact':>10}"


def told(row: dict[str, Any]) -> str:
    values = f"{row['frames to 30 steps, dB']:12.1f}{row['frames to exact, dB']:10.1f}"
    return f"{row['evaluations']:<3}{row['way']:28}{row['solver']:8}{values}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--show", nargs="?", const=SAVED, type=Path, metavar="FILE", help="print saved results")
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--training", type=int, default=8)
    parser.add_argument("--fine", type=int, default=60, help="steps of the exact solution (Runge-Kutta)")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    print(HEAD)
    if options.show:
        found = json.loads(options.show.read_text())
        print("\n".join(told(row) for row in found["rows"]))
    else:
        torch.set_num_threads(1)
        with torch.no_grad():
            found = study(options.prompts, options.training, options.fine)
        if options.output:
            options.output.write_text(json.dumps(found, indent=1))
    print(
        f"{found['videos']} videos, frames' PSNR in dB; the 30 steps are {found['30 steps to exact, dB']} dB from "
        f"exact, which is {found['exact checked, dB']} dB from half as many steps (latents)"
    )


if __name__ == "__main__":
    main()
