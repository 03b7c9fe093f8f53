"""The engine's answer without the engine: total, component times and peak footprint of a schedule by a recurrence.

For whatever needs no spans, and for the hundreds of samples of a Monte-Carlo interval, which run compiled where that
pays; plans/recurrence.py has the arithmetic, simulator/search/candidates.py the thousands of plans of a search.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ondevice_sora.base.compiled import arrays, compiled, lists, pays
from ondevice_sora.plans import recurrence
from ondevice_sora.plans.recurrence import Blocks, Samples, Seconds, finish_times
from ondevice_sora.plans.schedule import Schedule, sizes_of
from ondevice_sora.profiles.costs import Array, BlockCosts
from ondevice_sora.profiles.models.model import family
from ondevice_sora.simulator.machine import Machine

SECONDS_A_VISIT = 1e-6
"""What a visit of one sample takes uncompiled, about."""


@dataclass(frozen=True)
class Finish:
    """When each pass finished, (component, step, seconds) in order, and the highest footprint in bytes."""

    passes: list[tuple[str, int, float]]
    peak_bytes: int

    @property
    def total_s(self) -> float:
        return self.passes[-1][2] if self.passes else 0.0

    def pass_s(self, name: str) -> list[float]:
        """Seconds of each pass of a component, stages one after the other: from the pass before to its own finish."""
        before, seconds = 0.0, []
        for component, _, finish in self.passes:
            if family(component) == name:
                seconds.append(finish - before)
            before = finish
        return seconds

    @property
    def component_s(self) -> dict[str, float]:
        """Seconds of each component, stages added up; they sum to the total."""
        names = dict.fromkeys(family(component) for component, _, _ in self.passes)
        return {name: sum(self.pass_s(name)) for name in names}


def finish(schedule: Schedule, costs: BlockCosts, machine: Machine, sample: int = 0) -> Finish:
    """When each pass finishes, and the peak footprint, if nothing is killed."""
    rates = zip(*(machine.speeds(block.processor) for block in schedule.blocks), strict=True)
    seconds = Seconds(*(array[:, sample].tolist() for array in costs.seconds), *rates)
    blocks = Blocks(seconds, sizes_of(costs, machine.memory))
    finish_s, peak_bytes = finish_times(schedule.columns, blocks, machine.memory.baseline, machine.heat)
    passes = [
        (schedule.blocks[schedule.visits[walked.first].block].component, schedule.visits[walked.first].step, seconds)
        for walked, seconds in zip(schedule.passes, finish_s, strict=True)
    ]
    return Finish(passes, peak_bytes)


def sampled_totals(schedule: Schedule, costs: BlockCosts, machines: Sequence[Machine]) -> Array:
    """Seconds of the whole for each sample of the costs, played on the machine of the same number: [sample].

    Compiled where that pays (base/compiled.py), to the same numbers.
    """
    processors = [block.processor for block in schedule.blocks]
    by_processor = {name: np.array([machine.speeds(name) for machine in machines]) for name in set(processors)}
    rates = np.stack([by_processor[name] for name in processors], axis=1)  # [sample, block, load and run]
    heats = [machine.heat for machine in machines]
    columns: list[Any] = [np.ascontiguousarray(array.T) for array in (*costs.seconds, rates[..., 0].T, rates[..., 1].T)]
    figures: list[Any] = [np.array([heat.floor for heat in heats]), np.array([heat.time_constant_s for heat in heats])]
    samples = Samples._make([*columns, any(heat.is_on for heat in heats), *figures])
    memory = machines[0].memory
    is_compiled = pays(SECONDS_A_VISIT * len(schedule.visits) * len(machines))
    total, taken = (_compiled(), arrays) if is_compiled else (recurrence.sampled_totals, lists)
    return np.array(total(taken(schedule.columns), taken(samples), taken(sizes_of(costs, memory)), memory.baseline))


@cache
def _compiled() -> Callable[..., Any]:
    return compiled(recurrence.sampled_totals, *recurrence.HELPERS, finish_times)
