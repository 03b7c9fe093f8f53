"""Cut a component's units into blocks, as the plan says."""

from __future__ import annotations

from dataclasses import dataclass

from ondevice_sora.base.errors import nearest
from ondevice_sora.base.files.documents import Document
from ondevice_sora.plans.schema import BlockEntry, ComponentPlan, UnitsPerBlock
from ondevice_sora.profiles.blocks import ComputeUnits, block_name
from ondevice_sora.profiles.models.model import Component, Unit


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


def partition(
    component: Component,
    settings: ComponentPlan,
    reference: tuple[tuple[str, ...], ...] | None,
    document: Document,
    pointer: str,
) -> tuple[Block, ...]:
    """The component's blocks in order. Raises UserError if they do not cover its units once each, in order.

    `pointer` says where in the document the blocks stand.
    """
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
        chosen = _listed(component, settings.blocks, document, pointer)
    return tuple(
        Block(component.name, index, component.units[start:end], compute_units or settings.compute_units)
        for index, (start, end, compute_units) in enumerate(chosen)
    )


def _listed(
    component: Component, entries: tuple[str | BlockEntry, ...], document: Document, pointer: str
) -> list[tuple[int, int, ComputeUnits | None]]:
    names = [unit.name for unit in component.units]
    chosen: list[tuple[int, int, ComputeUnits | None]] = []
    position = 0
    for row, entry in enumerate(entries):
        text = entry if isinstance(entry, str) else entry.units
        first, dots, last = text.partition("..")
        for name in (first, last) if dots else (first,):
            if not name:
                raise document.error(f"{pointer}[{row}]", f"'{text}' names no block", "Write a unit, or first..last.")
            if name not in names:
                raise document.error(
                    f"{pointer}[{row}]", f"{component.name} has no unit '{name}'", nearest(name, names)
                )
        start, end = names.index(first), names.index(last or first) + 1
        if end <= start:
            raise document.error(f"{pointer}[{row}]", f"'{last}' comes before '{first}'", f"Write '{last}..{first}'.")
        if start < position:
            raise document.error(
                f"{pointer}[{row}]", f"unit '{names[start]}' is in a block already", _continue(names, position)
            )
        if start > position:
            raise document.error(
                f"{pointer}[{row}]", f"unit '{names[position]}' is in no block", _continue(names, position)
            )
        chosen.append((start, end, entry.compute_units if isinstance(entry, BlockEntry) else None))
        position = end
    if position < len(names):
        raise document.error(pointer, f"unit '{names[position]}' is in no block", _continue(names, position))
    return chosen


def _continue(names: list[str], position: int) -> str:
    if position == len(names):
        return f"The blocks end with '{names[-1]}' already."
    return f"The next block starts with '{names[position]}'."
