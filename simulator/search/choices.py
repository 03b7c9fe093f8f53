"""What the planner decides of a component: where to cut it, how far to load ahead, what to keep.

A choice is made of plain tuples, so that a search can compare and count choices; `with_choices` turns them into a
plan. Units keep the compute units that the starting plan gave them, so no block has units with different ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Literal, NamedTuple

from msgspec.structs import replace

from ondevice_sora.plans.partition import cut
from ondevice_sora.plans.schema import BlockEntry, ComponentPlan, Keep, Memory, Packages, Plan
from ondevice_sora.profiles.blocks import (
    UNBOUNDED,
    BlockSpec,
    ComputeUnits,
    Loading,
    block_name,
    span_name,
    stored_bytes_of,
)
from ondevice_sora.profiles.figures import ByteCount
from ondevice_sora.profiles.models.catalogue import Reference
from ondevice_sora.profiles.models.model import Component, Model, Precision, Variant


class Choice(NamedTuple):
    """`starts`: the first unit of each block, by position. The rest as in ComponentPlan."""

    starts: tuple[int, ...]
    prefetch: int | Literal["app"]
    keep: Keep


Choices = tuple[Choice, ...]
"""One for each component, in the model's order."""


@dataclass(frozen=True)
class Part:
    """A component and what is fixed about it. `forced` are the starts that every cut must have.

    `stays`: it stays loaded as long as the app lives, whatever its cut; that is the app's to decide, not a search's.
    """

    component: Component
    precision: Precision
    compute_units: tuple[ComputeUnits, ...]
    num_passes: int
    forced: frozenset[int]
    stays: bool = False
    engine_bytes: int = UNBOUNDED
    loading: Loading = "core_ml"

    @property
    def count(self) -> int:
        return len(self.component.units)

    @cached_property
    def stored_bytes(self) -> int:
        """What all its units take on storage."""
        return stored_bytes_of(self.component.units, self.precision)

    def bounds(self, starts: tuple[int, ...]) -> list[tuple[int, int]]:
        return list(zip(starts, (*starts[1:], self.count), strict=True))

    def kept(self, choice: Choice) -> Keep:
        """What a choice keeps of it: everything, if it stays."""
        return "always" if self.stays else choice.keep

    def spec(self, model: str, start: int, end: int, merging: bool) -> BlockSpec:
        """The block of units start..end-1 as it is on a step with or without token merging."""
        units = self.component.units[start:end]
        variant: Variant = "tdtm" if merging and any(unit.tdtm for unit in units) else "plain"
        return BlockSpec(
            model=model,
            component=self.component.name,
            index=start,
            name=block_name(units),
            units=units,
            variant=variant,
            precision=self.precision,
            compute_units=self.compute_units[start],
            engine_bytes=self.engine_bytes,
            loading=self.loading,
            component_bytes=self.stored_bytes,
        )

    def name_of(self, position: int) -> str:
        return self.component.units[position].name


def parts_of(
    plan: Plan, model: Model, reference: Reference, engine_bytes: int = UNBOUNDED
) -> tuple[tuple[Part, ...], Choices]:
    """The components to be planned, and what the given plan says of each. Raises UserError."""
    parts, choices = [], []
    cuts = cut(plan, model, reference)
    for component in model.components:
        settings, blocks = plan.component(component.name), cuts[component.name]
        units = tuple(block.compute_units for block in blocks for _ in block.units)
        starts, position = [], 0
        for block in blocks:
            starts.append(position)
            position += len(block.units)
        forced = frozenset(i for i in range(len(units)) if i == 0 or units[i] != units[i - 1])
        passes = plan.evaluations() if component.passes == "steps" else component.passes
        stays = settings.keep == "always"
        part = Part(component, settings.stored, units, passes, forced, stays, engine_bytes, settings.loading)
        parts.append(part)
        # A search chooses residents itself: it starts from what fits, and does not have them chosen time and again.
        keep = "belady" if settings.keep == "optimal" else settings.keep
        choices.append(Choice(tuple(starts), settings.prefetch, keep))
    return tuple(parts), tuple(choices)


def with_choices(plan: Plan, parts: tuple[Part, ...], choices: Choices, budget: int, packages: Packages) -> Plan:
    """The plan with everything decided as chosen, held to a budget."""
    components = {}
    for part, choice in zip(parts, choices, strict=True):
        entries: list[str | BlockEntry] = []
        default = part.compute_units[0]
        for start, end in part.bounds(choice.starts):
            name = span_name(part.name_of(start), part.name_of(end - 1))
            units = part.compute_units[start]
            entries.append(name if units == default else BlockEntry(name, units))
        components[part.component.name] = ComponentPlan(
            tuple(entries), part.precision, default, choice.prefetch, part.kept(choice), loading=part.loading
        )
    memory = Memory(budget=ByteCount(budget), entitlement=plan.memory.entitlement)
    return replace(plan, components=components, memory=memory, tdtm=replace(plan.tdtm, packages=packages))


def all_choices(part: Part, windows: tuple[int, ...]) -> Iterator[Choice]:
    """Every cut, window and set of residents, and `belady`; residents only where there is a second pass."""
    free = [start for start in range(1, part.count) if start not in part.forced]
    for size in range(len(free) + 1):
        for chosen in combinations(free, size):
            starts = tuple(sorted({*part.forced, *chosen}))
            keeps: list[Keep] = ["always" if part.stays else "none"]
            if part.num_passes > 1 and not part.stays:
                names = [part.name_of(start) for start in starts]
                keeps += ["belady"]
                keeps += [kept for many in range(1, len(names) + 1) for kept in combinations(names, many)]
            for keep in keeps:
                for window in windows:
                    yield Choice(starts, window, keep)


def num_choices(part: Part, windows: tuple[int, ...]) -> int:
    """How many `all_choices` yields: each free start is absent, there, or there with its block kept."""
    free, forced = part.count - len(part.forced), len(part.forced)
    if part.num_passes == 1 or part.stays:
        return int(2**free) * len(windows)
    return int(3**free * 2**forced + 2**free) * len(windows)
