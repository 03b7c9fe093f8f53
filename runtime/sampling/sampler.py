"""Rectified-flow sampling with classifier-free guidance, LPL and TDTM.

The sampler knows the network only as a function, so it runs whole models, partitioned ones and formulas alike. Times
run from 1000 (noise) to 0 (data) and the velocity points from noise to data: a step is z += v * dt, dt in units of
1000. After Open-Sora tag v1.2.0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.interrupts import check
from ondevice_sora.plans.schema import guidance_branches
from ondevice_sora.plans.step_plan import TIME_SCALE, Solver
from ondevice_sora.runtime.sampling.leap import LeapRule, NoLeap, Observation, drift_cosine

FRAMES_PER_CHUNK = 17
LATENT_FRAMES_PER_CHUNK = 5
REFERENCE_SIDE_PIXELS = 512


class Denoiser(Protocol):
    """Velocity for latents [branches * B, C, T, H, W] at timesteps [branches * B] on the scale 0..1000.

    With two branches the conditional half comes first; with one there is no other. May return further channels after
    the first C; they are not used. `merge` asks for the TDTM variant of the blocks.
    """

    def __call__(self, latents: Tensor, timesteps: Tensor, *, step: int, merge: bool) -> Tensor: ...


@dataclass(frozen=True)
class StepRecord:
    """What one step did. Cosines are with the previous step's drift, None at the first; `dt` is in units of 1000."""

    step: int
    timestep: float
    dt: float
    merged: bool
    leapt: bool
    cosine_whole: float | None
    cosine_slice: float | None
    estimated_error: float | None


@dataclass(frozen=True)
class Sample:
    """The data end of a run; `steps` has one record for each network evaluation."""

    latent: Tensor
    steps: tuple[StepRecord, ...]

    @property
    def leap_step(self) -> int | None:
        """Index of the step that leapt over the rest, None if every step was walked."""
        return self.steps[-1].step if self.steps[-1].leapt else None


def latent_frames_in_transform(num_frames: int) -> int:
    """Frame count that the timestep transform reckons with: 5 for every 17 frames.

    The published code gives 0 for 2 to 16 frames, which would put every step at time 0; such clips count as their
    latent frames here.
    """
    if num_frames < FRAMES_PER_CHUNK:
        return math.ceil(num_frames / 4)
    return num_frames // FRAMES_PER_CHUNK * LATENT_FRAMES_PER_CHUNK


def flow_timesteps(
    num_steps: int, *, height: int, width: int, num_frames: int, discrete: bool = False, transform: bool = True
) -> tuple[float, ...]:
    """Times at which the network is evaluated, descending from 1000.

    Evenly spaced, rounded to integers if `discrete` (halves to even), then moved towards the noise by the transform:
    with R = sqrt(height * width / 512^2 * F) and u = t / 1000, t' = 1000 * R u / (1 + (R - 1) u), for larger videos
    keep their structure under more noise. Raises UserError for counts or sizes below one.
    """
    for name, value in (("num_steps", num_steps), ("height", height), ("width", width), ("num_frames", num_frames)):
        if value < 1:
            raise UserError(f"{name}: {value} is below 1", mend="Write a positive number.")
    times = [TIME_SCALE * (1 - step / num_steps) for step in range(num_steps)]
    if discrete:
        times = [float(round(time)) for time in times]
    if not transform:
        return tuple(times)
    pixels_ratio = height * width / REFERENCE_SIDE_PIXELS**2
    ratio = math.sqrt(pixels_ratio * latent_frames_in_transform(num_frames))
    first, *later = times  # noise stays where it is, however the formula rounds
    return (first, *(ratio * time / (1 + (ratio - 1) * time / TIME_SCALE) for time in later))


def sample(
    denoise: Denoiser,
    noise: Tensor,
    timesteps: Sequence[float],
    *,
    guidance_scale: float,
    solver: Solver = "euler",
    leap: LeapRule | None = None,
    merge_steps: Collection[int] = (),
    on_step: Callable[[StepRecord], None] | None = None,
) -> Sample:
    """Walk `noise` [B, C, T, H, W] to the data along `timesteps`, by Euler's steps or by two-step Adams-Bashforth ones.

    `leap` decides whether to end early (default: never), `merge_steps` are the steps that run with TDTM, `on_step` is
    told of every step as it ends. Guidance is v = v_uncond + scale * (v_cond - v_uncond), both halves in one
    evaluation; at a scale of 1.0 that is v_cond, and the other half is not computed. Raises UserError for a merge step
    or a leap outside the run, and Interrupted between steps.
    """
    outside = sorted(step for step in merge_steps if not 0 <= step < len(timesteps))
    if outside:
        raise UserError(
            f"merging at steps {outside}, but the run has steps 0 to {len(timesteps) - 1}",
            mend="Merge at steps of the run only.",
        )
    watcher = (leap or NoLeap()).start(len(timesteps))
    latent, previous, dt_before, records = noise, None, 0.0, []
    for step, timestep in enumerate(timesteps):
        check()
        merge = step in merge_steps
        drift = _guided_drift(denoise, latent, timestep, guidance_scale, step, merge)
        verdict = watcher.observe(Observation(step, timestep / TIME_SCALE, latent, drift))
        time_after = timesteps[step + 1] if step + 1 < len(timesteps) and not verdict.leap else 0.0
        dt = (timestep - time_after) / TIME_SCALE
        latent = latent + (verdict.drift if verdict.leap else _along(solver, drift, previous, dt, dt_before)) * dt
        record = StepRecord(
            step=step,
            timestep=timestep,
            dt=dt,
            merged=merge,
            leapt=verdict.leap,
            cosine_whole=None if previous is None else drift_cosine(previous, drift, "whole"),
            cosine_slice=None if previous is None else drift_cosine(previous, drift, "slice"),
            estimated_error=verdict.error,
        )
        records.append(record)
        if on_step is not None:
            on_step(record)
        if verdict.leap:
            break
        previous, dt_before = drift, dt
    return Sample(latent, tuple(records))


def _along(solver: Solver, drift: Tensor, previous: Tensor | None, dt: float, dt_before: float) -> Tensor:
    """What a step goes along: the drift; for Adams-Bashforth as it is expected to be in the middle of the step."""
    if solver == "euler" or previous is None:
        return drift
    return drift + (drift - previous) * (dt / (2 * dt_before))


def replay(
    seen: Sequence[Observation], timesteps: Sequence[float], *, leap: LeapRule | None, merge_steps: Collection[int] = ()
) -> Sample:
    """What `sample` would have done with `leap`, told by what a whole run of Euler's steps without one saw.

    A leap changes nothing that comes before it, so no network runs; the result is the same to the bit.
    """

    def recall(latents: Tensor, timesteps: Tensor, *, step: int, merge: bool) -> Tensor:
        return seen[step].drift

    return sample(recall, seen[0].latent, timesteps, guidance_scale=1.0, leap=leap, merge_steps=merge_steps)


def _guided_drift(
    denoise: Denoiser, latent: Tensor, timestep: float, guidance_scale: float, step: int, merge: bool
) -> Tensor:
    branches = guidance_branches(guidance_scale)
    latents = torch.cat([latent] * branches)
    times = torch.full((latents.shape[0],), timestep, dtype=torch.float32, device=latent.device)
    velocity = denoise(latents, times, step=step, merge=merge)[:, : latent.shape[1]]
    if branches == 1:
        return velocity
    conditional, unconditional = velocity.chunk(2)
    return unconditional + guidance_scale * (conditional - unconditional)
