"""Monte-Carlo over the costs' spread: how sure the total is.

Parameters are drawn normally in the seconds they stand for, correlated as the fit found them: a total is linear in
those seconds, so that what the fit could not tell apart still adds up to what was published. Dynamic LPL's leap step is
drawn from its distribution; each total is multiplied by the noise that the fit takes for one published run. Seeded: the
same plan and profile give the same interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ondevice_sora.profiles.costs import Array, Sample, figures
from ondevice_sora.profiles.profile import Profile
from ondevice_sora.simulator.fast import finish
from ondevice_sora.simulator.machine import machine_of
from ondevice_sora.simulator.prepare import Prepared

F = TypeVar("F", float, Array)

SAMPLES = 100
LEVEL = 0.90
SMALLEST = 0.05


@dataclass(frozen=True)
class Spread:
    """Sampled totals [sample] in seconds."""

    totals_s: Array

    def interval(self) -> tuple[float, float]:
        """The central 90 % of the totals, in seconds."""
        low, high = np.quantile(self.totals_s, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return float(low), float(high)


def draw(profile: Profile, count: int, random: np.random.Generator) -> Sample:
    """Samples of every figure of the profile's costs: dotted name -> [count]."""
    known = figures(profile.costs)
    deviations = {name: figure.spread * random.standard_normal(count) for name, figure in known.items()}
    if profile.fit is not None:
        draws = profile.fit.correlation_root() @ random.standard_normal((len(profile.fit.parameters), count))
        for parameter, column in zip(profile.fit.parameters, draws, strict=True):
            beyond = max(0.0, known[parameter.name].spread ** 2 - parameter.fitted_spread**2) ** 0.5
            extra = beyond * random.standard_normal(count)
            deviations[parameter.name] = parameter.fitted_spread * column + extra
    return {name: _moved(name, figure.value, deviations[name]) for name, figure in known.items()}


def _moved(name: str, value: float, deviation: Array) -> Array:
    """A figure moved by relative deviations, its seconds down to a twentieth."""
    return slowed(name, value, np.maximum(1.0 - deviation if _is_rate(name) else 1.0 + deviation, SMALLEST))


def slowed(name: str, value: float, factor: F) -> F:
    """The figure with which the same work takes `factor` times the seconds: a rate is divided, a time multiplied."""
    return value / factor if _is_rate(name) else value * factor


def _is_rate(name: str) -> bool:
    return name.endswith("_per_s")


def spread_of(outcomes: Sequence[tuple[float, Prepared]], count: int = SAMPLES) -> Spread:
    """Totals over the spread of costs and of LPL's outcomes, given as (probability, prepared plan)."""
    random = np.random.default_rng(20250204)
    profile = outcomes[0][1].setting.profile
    setting = outcomes[0][1].setting
    sample = draw(profile, count, random)
    edges = np.cumsum([probability for probability, _ in outcomes])
    chosen = np.searchsorted(edges, (np.arange(count) + 0.5) / count * edges[-1])
    noise = profile.fit.noise if profile.fit is not None else 0.0
    totals = np.empty(count)
    for number, (_, prepared) in enumerate(outcomes):
        columns = np.flatnonzero(chosen == number)
        if not columns.size:
            continue
        part = {name: values[columns] for name, values in sample.items()}
        costs = profile.pricer(setting.device, part)(prepared.schedule.blocks)
        for index, column in enumerate(columns):
            machine = machine_of(
                profile.costs, setting.limit_bytes, sample=part, index=index, is_thermal=setting.is_thermal
            )
            totals[column] = finish(prepared.schedule, costs, machine, index).total_s
    totals *= np.exp(noise * random.standard_normal(count))
    return Spread(totals)
