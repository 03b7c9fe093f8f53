"""Linear Proportional Leap (LPL): when to stop denoising and jump to the data along the last drift.

Rectified flow trains towards straight trajectories. Once the drift (the guided velocity v) hardly turns any more, the
rest of the path can be walked in one step: z + t/1000 * v (arXiv 2502.04363, section 3.1). A rule says when. Rules
are facts without state; `start` gives each run a watcher of its own, so nothing is carried from one run to the next.

How ours works. Let s be the time that remains at step n and D_n = z_n + s * v_n the video a leap would give. With a
the drift's acceleration towards the data, the true end is D_n + a * s^2 / 2 + O(s^3). The rule estimates a from the
last three drifts and leaps as soon as |a| * s^2 / 2 <= accepted_error * |D_n|, so its one knob is the error, relative
to the result, that the user accepts. What the plateau rules watch, the cosine between drifts, ignores both how much
time remains and how large the drift is beside the result. The estimate's own error is the neglected third order: it
is too large where the path straightens towards its end, too small where it bends more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.leap import Curvature, Fixed, Leap, Over, Plateau

DRIFTS_WATCHED = 3


class Observation(NamedTuple):
    """One network evaluation: `time` from 1 to 0, `latent` before the step, `drift` after guidance, both [B, ...]."""

    step: int
    time: float
    latent: Tensor
    drift: Tensor


class Verdict(NamedTuple):
    """Whether to leap now, along which drift, and the estimated relative error of leaping where there is one."""

    leap: bool
    drift: Tensor
    error: float | None = None


class Watcher(Protocol):
    """Follows one run and decides at each step, in order."""

    def observe(self, seen: Observation) -> Verdict: ...


class LeapRule(Protocol):
    """When to leap. `start` raises UserError if the rule does not fit a run of `num_steps` steps."""

    def start(self, num_steps: int) -> Watcher: ...


@dataclass(frozen=True)
class NoLeap:
    """Walk all steps."""

    def start(self, num_steps: int) -> Watcher:
        return _FixedWatcher(None)


class Recording:
    """Walk all steps of one run and keep what was seen, so that rules can be tried on it afterwards."""

    def __init__(self) -> None:
        self.seen: list[Observation] = []

    def start(self, num_steps: int) -> Watcher:
        self.seen.clear()
        return self

    def observe(self, seen: Observation) -> Verdict:
        self.seen.append(seen)
        return Verdict(False, seen.drift)


@dataclass(frozen=True)
class FixedLeap:
    """Leap at a step known beforehand, counted from 0: `step` + 1 network evaluations."""

    step: int

    def start(self, num_steps: int) -> Watcher:
        if not 0 <= self.step < num_steps:
            raise UserError(
                f"leap at step {self.step}, but the run has steps 0 to {num_steps - 1}",
                mend=f"Choose a step from 0 to {num_steps - 1}, or no leap.",
            )
        return _FixedWatcher(self.step)


@dataclass(frozen=True)
class _FixedWatcher:
    step: int | None

    def observe(self, seen: Observation) -> Verdict:
        return Verdict(seen.step == self.step, seen.drift)


@dataclass(frozen=True)
class PlateauLeap:
    """Leap once successive drifts stop growing more alike.

    `first_step` is the first step whose drift is compared with the one before. See plans/leap.py.
    """

    tolerance: float
    patience: int
    first_step: int
    over: Over

    def start(self, num_steps: int) -> Watcher:
        return PlateauWatcher(self)


class PlateauWatcher:
    """State of a plateau rule in one run: the best cosine so far and how many failures it still forgives."""

    def __init__(self, rule: PlateauLeap) -> None:
        self.rule = rule
        self.best = 0.0
        self.patience_left = rule.patience
        self._previous: Tensor | None = None

    def observe(self, seen: Observation) -> Verdict:
        previous, self._previous = self._previous, seen.drift
        if previous is None or seen.step < self.rule.first_step:
            return Verdict(False, seen.drift)
        cosine = drift_cosine(previous, seen.drift, self.rule.over)
        if cosine > self.best + self.rule.tolerance:
            self.best, self.patience_left = cosine, self.rule.patience
        else:
            self.patience_left -= 1
        return Verdict(self.patience_left == 0, seen.drift)


def drift_cosine(first: Tensor, second: Tensor, over: Over) -> float:
    """Mean cosine between two drifts [B, C, T, H, W]: over samples, flattened, or over the rows of one frame."""
    if over == "slice":
        return float(functional.cosine_similarity(first[0, 0, 0], second[0, 0, 0], dim=-1).mean())
    return float(functional.cosine_similarity(first.flatten(1), second.flatten(1), dim=-1).mean())


@dataclass(frozen=True)
class CurvatureLeap:
    """Leap as soon as the estimated error of the result, relative to it, is at most `accepted_error` (maths: module).

    With `bend` the leap itself follows the estimated acceleration, z + s * (v + a * s / 2), instead of the last drift.
    """

    accepted_error: float
    bend: bool = False

    def start(self, num_steps: int) -> Watcher:
        if not self.accepted_error > 0:
            raise UserError(
                f"accepted_error: {self.accepted_error} is not above 0",
                mend="Write the relative error you accept, such as 0.05.",
            )
        return _CurvatureWatcher(self)


class _CurvatureWatcher:
    def __init__(self, rule: CurvatureLeap) -> None:
        self.rule = rule
        self._times: list[float] = []
        self._drifts: list[Tensor] = []

    def observe(self, seen: Observation) -> Verdict:
        self._times = [*self._times, seen.time][-DRIFTS_WATCHED:]
        self._drifts = [*self._drifts, seen.drift][-DRIFTS_WATCHED:]
        if len(self._drifts) < DRIFTS_WATCHED:
            return Verdict(False, seen.drift)
        acceleration = least_squares_slope([-time for time in self._times], self._drifts)
        landing = seen.latent + seen.time * seen.drift
        missed = acceleration * (seen.time**2 / 2)
        # The sample worst off decides, so the bound holds for every video of a batch.
        error = float((missed.flatten(1).norm(dim=1) / landing.flatten(1).norm(dim=1)).max())
        drift = seen.drift + acceleration * (seen.time / 2) if self.rule.bend else seen.drift
        return Verdict(error <= self.rule.accepted_error, drift, error)


def rule_of(leap: Leap) -> LeapRule | None:
    """The rule that follows a resolved leap, None to walk all steps."""
    match leap:
        case Fixed():
            return FixedLeap(leap.step)
        case Plateau():
            return PlateauLeap(leap.tolerance, leap.patience, leap.first_step, leap.over)
        case Curvature():
            return CurvatureLeap(leap.accepted_error, leap.bend)
        case _:
            return None


def least_squares_slope(positions: Sequence[float], values: Sequence[Tensor]) -> Tensor:
    """Slope of the straight line through `values` at distinct `positions` that fits best, element by element."""
    centre = sum(positions) / len(positions)
    offsets = [position - centre for position in positions]
    weights = torch.tensor([offset / sum(o * o for o in offsets) for offset in offsets], dtype=values[0].dtype)
    return torch.stack([weight * value for weight, value in zip(weights.tolist(), values, strict=True)]).sum(0)
