"""Monte-Carlo over the costs' spread: how sure the total is.

Parameters are drawn normally in the seconds they stand for, correlated as the fit found them: a total is linear in
those seconds, so that what the fit could not tell apart still adds up to what was published. Dynamic LPL's leap step is
drawn from its distribution. Measured seconds of a block are drawn once for all its visits, each figure by its own
spread. What is the same for everything in a run is one factor on its total:

    measured noise   of the device's whole runs, from so few samples that Student's distribution is wider than a normal
    the fit's noise  what it takes for one published run, on the share of the total that was not measured

Seeded: the same plan and profile give the same interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ondevice_sora.profiles.costs import Array, Sample, figures
from ondevice_sora.profiles.figures import Figure
from ondevice_sora.profiles.pricing import DRAWN, sampled_name
from ondevice_sora.profiles.profile import Profile
from ondevice_sora.simulator.fast import sampled_totals
from ondevice_sora.simulator.machine import machines_of
from ondevice_sora.simulator.prepare import Prepared

F = TypeVar("F", float, Array)

SAMPLES = 100
SEED = 20250204
LEVEL = 0.90
SMALLEST = 0.05
LARGEST = 3.0
"""Of a run's noise, as a logarithm: two runs that were measured say little of how far a third may lie."""
FACTOR = 0.5
"""A larger spread is that of the logarithm: a normal draw as wide would leave what can be."""


@dataclass(frozen=True)
class Spread:
    """Sampled totals [sample] in seconds."""

    totals_s: Array

    def interval(self) -> tuple[float, float]:
        """The central 90 % of the totals, in seconds."""
        return interval_of(self.totals_s)


def interval_of(samples: Array) -> tuple[float, float]:
    """The central 90 % of samples."""
    low, high = np.quantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def draw(profile: Profile, count: int, random: np.random.Generator) -> Sample:
    """Samples of every figure of the profile's costs and of measured seconds: dotted name -> [count]."""
    known = figures(profile.costs)
    apart = random.spawn(1)[0]  # for what few plans have: the others' draws stay as they are
    deviations = {
        name: figure.spread * (apart if name.startswith("core_ai.") else random).standard_normal(count)
        for name, figure in known.items()
    }
    if profile.fit is not None:
        draws = profile.fit.correlation_root() @ random.standard_normal((len(profile.fit.parameters), count))
        for parameter, column in zip(profile.fit.parameters, draws, strict=True):
            if known[parameter.name].mark == "measured":  # in place of what was fitted
                continue
            beyond = max(0.0, known[parameter.name].spread ** 2 - parameter.fitted_spread**2) ** 0.5
            extra = beyond * random.standard_normal(count)
            deviations[parameter.name] = parameter.fitted_spread * column + extra
    sample = {name: _moved(name, figure, deviations[name]) for name, figure in known.items()}
    for place, measurement in enumerate(profile.measurements):
        for name in DRAWN:
            figure = getattr(measurement, name)
            if figure is not None and figure.spread > 0:
                deviation = figure.spread * random.standard_normal(count)
                sample[sampled_name(place, name)] = _moved(name, figure, deviation)
    return sample


def _moved(name: str, figure: Figure, deviation: Array) -> Array:
    """A figure moved by relative deviations, its seconds down to a twentieth; by a factor where its spread is one."""
    is_turned = _is_rate(name) and figure.spread <= FACTOR
    return slowed(name, figure.value, factor_of(figure, -deviation if is_turned else deviation))


def factor_of(figure: Figure, deviation: F) -> F:
    """How many times the seconds are that a figure stands for, this relative deviation away."""
    factor: F = np.maximum(np.exp(deviation) if figure.spread > FACTOR else 1.0 + deviation, SMALLEST)
    return factor


def slowed(name: str, value: float, factor: F) -> F:
    """The figure with which the same work takes `factor` times the seconds: a rate is divided, a time multiplied."""
    return value / factor if _is_rate(name) else value * factor


def _is_rate(name: str) -> bool:
    return name.endswith(("_per_s", "float16_factor"))


def spread_of(outcomes: Sequence[tuple[float, Prepared]], count: int = SAMPLES) -> Spread:
    """Totals over the spread of costs and of LPL's outcomes, given as (probability, prepared plan)."""
    random = np.random.default_rng(SEED)
    profile = outcomes[0][1].setting.profile
    setting = outcomes[0][1].setting
    sample = draw(profile, count, random)
    edges = np.cumsum([probability for probability, _ in outcomes])
    chosen = np.searchsorted(edges, (np.arange(count) + 0.5) / count * edges[-1])
    factors = run_factors(outcomes[0][1], count, random)
    totals = np.empty(count)
    for number, (_, prepared) in enumerate(outcomes):
        columns = np.flatnonzero(chosen == number)
        if not columns.size:
            continue
        part = {name: values[columns] for name, values in sample.items()}
        costs = prepared.price(part)
        machines = machines_of(profile.costs, setting.limit_bytes, part, is_thermal=setting.is_thermal)
        totals[columns] = sampled_totals(prepared.schedule, costs, machines)
    return Spread(totals * factors)


def run_factors(prepared: Prepared, count: int, random: np.random.Generator) -> Array:
    """What is the same for everything in a run, as factors of its seconds [count]."""
    profile = prepared.setting.profile
    fitted = profile.fit.noise * (1.0 - measured_share(prepared)) if profile.fit is not None else 0.0
    logarithms = fitted * random.standard_normal(count)
    if profile.noise is not None:
        deviations = random.standard_t(profile.noise.num_runs - 1, count)
        logarithms = logarithms + np.clip(profile.noise.spread * deviations, -LARGEST, LARGEST)
    factors: Array = np.exp(logarithms)
    return factors


def measured_share(prepared: Prepared) -> float:
    """The share of all seconds of loads and runs that was measured."""
    costs = prepared.costs
    measured = total = 0.0
    for visit in prepared.schedule.visits:
        run_s = float((costs.first_run_s if visit.first_run else costs.run_s)[visit.block, 0])
        load_s = float((costs.load_cold_s if visit.cold else costs.load_warm_s)[visit.block, 0]) if visit.loads else 0.0
        total += run_s + load_s
        measured += run_s * costs.marks_of_run(visit.block, visit.first_run).get("measured", 0.0)
        measured += load_s * costs.marks_of_load(visit.block, visit.cold).get("measured", 0.0)
    return measured / total if total > 0 else 0.0
