"""Samples of what a plan gives beyond its total: the seconds of a component, of a step, and differences of plans."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ondevice_sora.profiles.costs import Array
from ondevice_sora.simulator.fast import Finish, finish
from ondevice_sora.simulator.interval import LEVEL, draw, run_factors
from ondevice_sora.simulator.machine import machines_of
from ondevice_sora.simulator.prepare import Prepared

SAMPLES = 200
SEED = 20250204


def sampled(prepared: Prepared, quantity: Callable[[Finish], float], noise_seed: int = SEED) -> Array:
    """A quantity of the generation over the spread of costs and the noise between runs [SAMPLES].

    Plans on the same profile are sampled with the same costs, so that their samples can be subtracted: two runs, whose
    noise differs by its seed.
    """
    setting, costs = prepared.setting, prepared.setting.profile.costs
    sample = draw(setting.profile, SAMPLES, np.random.default_rng(SEED))
    priced, machines = prepared.price(sample), machines_of(costs, setting.limit_bytes, sample)
    found = [quantity(finish(prepared.schedule, priced, machine, number)) for number, machine in enumerate(machines)]
    seconds: Array = np.array(found) * run_factors(prepared, SAMPLES, np.random.default_rng(noise_seed))
    return seconds


def interval_of(samples: Array) -> tuple[float, float]:
    """The central 90 % of samples."""
    low, high = np.quantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
