"""Cut a component's units into blocks, as the plan says."""

from __future__ import annotations

from dataclasses import dataclass

from ondevice_sora.base.errors import UserError, nearest
from ondevice_sora.plans.schema import BlockEntry, Plan, UnitsPerBlock
from ondevice_sora.profiles.blocks import ComputeUnits, block_name
from ondevice_sora.profiles.models.catalogue import Reference
from ondevice_sora.profiles.models.model import Component, Model, Unit


@dataclass(frozen=True)
class Block:
    """Contiguous units that are loaded, run and evicted together."""

    component: str
    index: int
    units: tuple[Unit, ...]
    compute_units: ComputeUnits

    @property
    def name(self) -> str:
        return block_name(self.units)


def cut(plan: Plan, model: Model, reference: Reference) -> dict[str, tuple[Block, ...]]:
    """The plan's blocks by component. `reference` is what `blocks: reference` means, every unit alone if not given.

    Raises UserError as `partition`, and for settings of a component that the model does not have, or that
    stand for stages which all have their own.
    """
    known = [component.name for component in model.components]
    families = {component.family for component in model.components}
    for name in plan.components:
        if name not in families and name not in known:
            what = f"{model.name} has no such component"
            raise UserError(what, mend=nearest(name, known), field=f"$.components.{name}")
        stages = [component.name for component in model.components if name in (component.family, component.name)]
        if all(plan.entry(stage) != name for stage in stages):
            what = f"has no effect: {' and '.join(stages)} have settings of their own, perhaps inherited ones"
            raise UserError(what, mend="Give the settings to them.", field=f"$.components.{name}")
    return {component.name: partition(plan, component, reference) for component in model.components}


def partition(plan: Plan, component: Component, known: Reference) -> tuple[Block, ...]:
    """The component's blocks in order. Raises UserError if they do not cover its units once each, in order."""
    settings, reference = plan.component(component.name), known.get(component.name)
    count = len(component.units)
    if isinstance(settings.blocks, UnitsPerBlock):
        size = settings.blocks.units_per_block
        bounds = [(start, min(start + size, count)) for start in range(0, count, size)]
        chosen: list[tuple[int, int, ComputeUnits | None]] = [(start, end, None) for start, end in bounds]
    elif settings.blocks == "whole":
        chosen = [(0, count, None)]
    elif settings.blocks == "unit" or (settings.blocks == "reference" and reference is None):
        chosen = [(index, index + 1, None) for index in range(count)]
    elif settings.blocks == "reference":
        assert reference is not None
        chosen = []
        for names in reference:
            start = chosen[-1][1] if chosen else 0
            chosen.append((start, start + len(names), None))
    else:
        chosen = _listed(component, settings.blocks, f"$.components.{plan.entry(component.name)}.blocks")
    return tuple(
        Block(component.name, index, component.units[start:end], compute_units or settings.compute_units)
        for index, (start, end, compute_units) in enumerate(chosen)
    )


def _listed(
    component: Component, entries: tuple[str | BlockEntry, ...], field: str
) -> list[tuple[int, int, ComputeUnits | None]]:
    names = [unit.name for unit in component.units]
    chosen: list[tuple[int, int, ComputeUnits | None]] = []
    position = 0
    for row, entry in enumerate(entries):
        text = entry if isinstance(entry, str) else entry.units
        first, dots, last = text.partition("..")
        place = f"{field}[{row}]"
        for name in (first, last) if dots else (first,):
            if not name:
                raise UserError(f"'{text}' names no block", mend="Write a unit, or first..last.", field=place)
            if name not in names:
                raise UserError(f"{component.name} has no unit '{name}'", mend=nearest(name, names), field=place)
        start, end = names.index(first), names.index(last or first) + 1
        if end <= start:
            raise UserError(f"'{last}' comes before '{first}'", mend=f"Write '{last}..{first}'.", field=place)
        if start < position:
            what = f"unit '{names[start]}' is in a block already"
            raise UserError(what, mend=_continue(names, position), field=place)
        if start > position:
            what = f"unit '{names[position]}' is in no block"
            raise UserError(what, mend=_continue(names, position), field=place)
        chosen.append((start, end, entry.compute_units if isinstance(entry, BlockEntry) else None))
        position = end
    if position < len(names):
        raise UserError(f"unit '{names[position]}' is in no block", mend=_continue(names, position), field=field)
    return chosen


def _continue(names: list[str], position: int) -> str:
    if position == len(names):
        return f"The blocks end with '{names[-1]}' already."
    return f"The next block starts with '{names[position]}'."
