"""A plan as this machine plays it from a store of units: every block on the CPU, in float32, within the budget.

What a plan says of processors, precision and packages is how a phone loads the model. Here weights are what the store
holds, which may be several times what the plan's precision makes of them. So blocks that do not fit the budget are cut
into their units, and where the blocks that the plan wants kept do not fit, whatever fits is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.units import format_bytes
from ondevice_sora.plans.heat import NO_HEAT
from ondevice_sora.plans.partition import Block, cut
from ondevice_sora.plans.recurrence import Blocks, Seconds, finish_times
from ondevice_sora.plans.schedule import MemoryModel, Schedule, sizes_of
from ondevice_sora.plans.scheduling import build_schedule
from ondevice_sora.plans.schema import ComponentPlan, Memory, Plan
from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.profiles.costs import BlockCosts, MarkShares
from ondevice_sora.profiles.figures import ByteCount
from ondevice_sora.profiles.models.catalogue import Reference
from ondevice_sora.profiles.models.model import Model, Variant
from ondevice_sora.runtime.executor import footprint
from ondevice_sora.runtime.executor.buffers import placed
from ondevice_sora.runtime.executor.probing import UnitCosts, UnitKey
from ondevice_sora.runtime.executor.unit_store import UnitFile

FREE_SHARE = 0.8
"""Of the memory that is free here, the budget of a plan that has none: other programs go on."""
SOFT = ("none", "belady", "optimal")
"""What may be kept so that it never makes a budget impossible."""


class HostCosts:
    """What blocks of a unit store cost here, from the costs of units. Loads are reads of `read_bytes_per_s`.

    `runs` are how often the blocks of a component run in a visit, once unless told.
    """

    def __init__(
        self,
        files: Sequence[UnitFile],
        units: Mapping[UnitKey, UnitCosts],
        read_bytes_per_s: float,
        runs: Mapping[str, int] | None = None,
    ) -> None:
        self._sizes = {(file.component, file.unit): file.data_bytes for file in files}
        self._units = units
        self.read_bytes_per_s = read_bytes_per_s
        self._runs = runs or {}

    def resident_bytes(self, component: str, names: Sequence[str]) -> int:
        """As the files of these units lie in a buffer."""
        return placed([self._sizes[component, name] for name in names])[1]

    def working_bytes(self, component: str, names: Sequence[str], variant: Variant) -> int:
        """At most: of what the block reads nothing is given up before it has ended.

        Where it runs for one state after another, the others wait: where it begins, or where it ends.
        """
        costs = [self._of(component, name, variant) for name in names]
        read = costs[0].state_bytes
        one = max(unit.working_bytes + unit.state_bytes + (read if index else 0) for index, unit in enumerate(costs))
        return one + (self._runs.get(component, 1) - 1) * max(read, costs[-1].left_bytes)

    def needed_bytes(self, component: str, names: Sequence[str]) -> int:
        """Of a block alone, in whatever variant it runs."""
        variants: tuple[Variant, ...] = ("plain", "tdtm")
        working = max(self.working_bytes(component, names, variant) for variant in variants)
        return self.resident_bytes(component, names) + working

    def run_s(self, component: str, names: Sequence[str], variant: Variant) -> float:
        once = sum(self._of(component, name, variant).run_s for name in names)
        return self._runs.get(component, 1) * once

    def price(self, blocks: Sequence[BlockSpec]) -> BlockCosts:
        """The prices of a schedule's blocks."""
        named = [(block.component, [unit.name for unit in block.units], block.variant) for block in blocks]
        resident = tuple(self.resident_bytes(component, names) for component, names, _ in named)
        measured: MarkShares = {"measured": 1.0}
        marks = (measured,) * len(blocks)
        load = np.array([[size / self.read_bytes_per_s] for size in resident])
        run = np.array([[self.run_s(*each)] for each in named])
        return BlockCosts(
            load_warm_s=load,
            load_cold_s=load,
            run_s=run,
            first_run_s=run,
            unload_s=np.zeros_like(run),
            resident_bytes=resident,
            working_bytes=tuple(self.working_bytes(*each) for each in named),
            stored_bytes=resident,
            load_marks=marks,
            run_marks=marks,
        )

    def _of(self, component: str, name: str, variant: Variant) -> UnitCosts:
        """In the other variant where this one never runs, or is none of its own."""
        other: Variant = "tdtm" if variant == "plain" else "plain"
        return self._units.get((component, name, variant)) or self._units[component, name, other]


@dataclass(frozen=True)
class Settled:
    """What is played here: a schedule, its prices, and what of the plan could not be followed, for people."""

    schedule: Schedule
    costs: BlockCosts
    memory: MemoryModel
    told: tuple[str, ...]

    def seconds(self) -> dict[str, float]:
        """By component, how long its passes take if each block takes what its units took when they were measured."""
        count = len(self.schedule.blocks)
        rates = [[1.0] * count] * 2
        seconds = Seconds(*(array[:, 0].tolist() for array in self.costs.seconds), *rates)
        blocks = Blocks(seconds, sizes_of(self.costs, self.memory))
        finish_s, _ = finish_times(self.schedule.columns, blocks, self.memory.baseline, NO_HEAT)
        found: dict[str, float] = {}
        for each, begin_s, end_s in zip(self.schedule.passes, [0.0, *finish_s], finish_s, strict=False):
            component = self.schedule.blocks[self.schedule.visits[each.first].block].component
            found[component] = found.get(component, 0.0) + end_s - begin_s
        return found


def budget_of(plan: Plan) -> int:
    """The plan's budget, or what may be taken here where it has none."""
    if plan.memory.budget is not None:
        return int(plan.memory.budget)
    free = footprint.available_bytes()
    return round(FREE_SHARE * free) if free is not None else footprint.physical_bytes() // 2


def settle(
    plan: Plan, model: Model, reference: Reference, costs: HostCosts, *, budget: int, baseline_bytes: int
) -> Settled:
    """The schedule for this machine. `baseline_bytes` are what a run holds beside blocks.

    Raises UserError, about the budget, if not even single units fit, with what they need; or as cut.
    """
    cuts = cut(plan, model, reference)
    check_units(model, costs, budget=budget, baseline_bytes=baseline_bytes)
    told, components = [], {}
    for name, blocks in cuts.items():
        names = [finer for block in blocks for finer in _fitting(block, costs, budget - baseline_bytes)]
        if len(names) > len(blocks):
            told.append(f"{name}: {len(names)} blocks instead of {len(blocks)}, which do not all fit the budget here")
        settings = plan.component(name)
        components[name] = ComponentPlan(
            blocks=tuple(names), compute_units="cpu_only", prefetch=settings.prefetch, keep=settings.keep
        )
    memory = MemoryModel(baseline_bytes, budget)
    here = msgspec.structs.replace(plan, memory=Memory(ByteCount(budget)), components=components)
    try:
        schedule, prices = build_schedule(here, model, reference, costs.price, memory, plan.most_evaluations())
    except UserError:
        softened = {
            name: settings if settings.keep in SOFT else msgspec.structs.replace(settings, keep="belady")
            for name, settings in components.items()
        }
        here = msgspec.structs.replace(here, components=softened, start="cached")
        schedule, prices = build_schedule(here, model, reference, costs.price, memory, plan.most_evaluations())
        told.append("what the plan keeps resident does not fit the budget here; whatever fits is kept")
    return Settled(schedule, prices, memory, tuple(told))


def check_units(model: Model, costs: HostCosts, *, budget: int, baseline_bytes: int) -> None:
    """Raises UserError if a unit alone does not fit the budget, with the least that would do for all."""
    needs = {
        (component.name, unit.name): baseline_bytes + costs.needed_bytes(component.name, [unit.name])
        for component in model.components
        for unit in component.units
    }
    component, unit = max(needs, key=lambda key: needs[key])
    needed = needs[component, unit]
    if needed > budget:
        weights = costs.resident_bytes(component, [unit])
        raise UserError(
            f"unit '{unit}' of {component} alone needs {format_bytes(needed)} here, in float32 "
            f"({format_bytes(weights)} weights, {format_bytes(needed - weights - baseline_bytes)} working memory, "
            f"{format_bytes(baseline_bytes)} besides); the budget is {format_bytes(budget)}",
            mend=f"Allow {format_bytes(needed)}, or ask for a smaller video.",
            field="$.memory.budget",
        )


def _fitting(block: Block, costs: HostCosts, room: int) -> list[str]:
    """The block itself if it fits alone, else its units."""
    names = [unit.name for unit in block.units]
    return [block.name] if costs.needed_bytes(block.component, names) <= room else names
