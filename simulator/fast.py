"""The engine's answer without the engine: total, component times and peak footprint of a schedule by a recurrence.

For the hundreds of samples of a Monte-Carlo interval and whatever needs no spans; plans/recurrence.py has the
arithmetic, simulator/search/candidates.py the thousands of plans of a search.
"""

from __future__ import annotations

from dataclasses import dataclass

from ondevice_sora.plans.recurrence import Blocks, Seconds, finish_times
from ondevice_sora.plans.schedule import Schedule, sizes_of
from ondevice_sora.profiles.costs import BlockCosts
from ondevice_sora.profiles.models.model import family
from ondevice_sora.simulator.machine import Machine


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
