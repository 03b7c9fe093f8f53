"""Samples of what a plan gives beyond its total: the seconds of a component, of a step, and differences of plans."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ondevice_sora.profiles.costs import Array
from ondevice_sora.simulator.fast import Finish, finish
from ondevice_sora.simulator.interval import SEED, draw, run_factors
from ondevice_sora.simulator.machine import machines_of
from ondevice_sora.simulator.prepare import Prepared

SAMPLES = 200


@dataclass(frozen=True)
class Runs:
    """A generation over the spread of costs: how each run finishes without noise, and its noise [run]."""

    finishes: list[Finish]
    factors: Array

    def seconds(self, quantity: Callable[[Finish], float]) -> Array:
        """A quantity of each run [run]."""
        return np.array([quantity(finish) for finish in self.finishes]) * self.factors


def sampled(prepared: Prepared, noise_seed: int = SEED) -> Runs:
    """So many as SAMPLES.

    Plans on the same profile are sampled with the same costs, so that their seconds can be subtracted: two runs, whose
    noise differs by its seed.
    """
    setting = prepared.setting
    sample = draw(setting.profile, SAMPLES, np.random.default_rng(SEED))
    costs, machines = prepared.price(sample), machines_of(setting.profile.costs, setting.limit_bytes, sample)
    finishes = [finish(prepared.schedule, costs, machine, number) for number, machine in enumerate(machines)]
    return Runs(finishes, run_factors(prepared, SAMPLES, np.random.default_rng(noise_seed)))
