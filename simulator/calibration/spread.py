"""Samples of what a plan gives beyond its total: the seconds of a component, of a step, and differences of plans."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ondevice_sora.profiles.costs import Array
from ondevice_sora.simulator.fast import Finish, finish
from ondevice_sora.simulator.interval import LEVEL, draw
from ondevice_sora.simulator.machine import machine_of
from ondevice_sora.simulator.prepare import Prepared

SAMPLES = 200
SEED = 20250204


def sampled(prepared: Prepared, quantity: Callable[[Finish], float], noise_seed: int = SEED) -> Array:
    """A quantity of the generation over the spread of costs and the noise between runs [SAMPLES].

    Plans on the same profile are sampled with the same costs, so that their samples can be subtracted: two runs, whose
    noise differs by its seed.
    """
    count = SAMPLES
    setting = prepared.setting
    profile = setting.profile
    sample = draw(profile, count, np.random.default_rng(SEED))
    costs = profile.pricer(setting.device, sample)(prepared.schedule.blocks)
    found = np.empty(count)
    for index in range(count):
        machine = machine_of(profile.costs, setting.limit_bytes, sample=sample, index=index)
        found[index] = quantity(finish(prepared.schedule, costs, machine, index))
    noise = profile.fit.noise if profile.fit is not None else 0.0
    found *= np.exp(noise * np.random.default_rng(noise_seed).standard_normal(count))
    return found


def interval_of(samples: Array) -> tuple[float, float]:
    """The central 90 % of samples."""
    low, high = np.quantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
