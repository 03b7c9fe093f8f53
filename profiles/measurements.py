"""Figures of single blocks measured on a device, and which of them a block is put together from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from ondevice_sora.base.text import Line
from ondevice_sora.profiles.blocks import BlockSpec, ComputeUnits
from ondevice_sora.profiles.figures import Figure
from ondevice_sora.profiles.models.model import Precision, Variant

LEAST_RATE = 0.1
"""Nothing is slowed to less by one load or run beside it; a smaller rate says that another program ran."""


class Measurement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was measured of one block, named by its first and last unit. Whatever is missing, the model fills in.

    `samples` are what the figures were worked out from, by name and in their units.
    """

    model: Line
    component: Line
    first_unit: Line
    last_unit: Line
    variant: Variant = "plain"
    precision: Precision = "float32"
    compute_units: ComputeUnits = "cpu_and_gpu"
    load_warm_s: Figure | None = None
    load_cold_s: Figure | None = None
    run_s: Figure | None = None
    first_run_s: Figure | None = None
    unload_s: Figure | None = None
    resident_bytes: Figure | None = None
    working_bytes: Figure | None = None
    samples: dict[Line, tuple[float, ...]] = {}


class Part(NamedTuple):
    """Units start..end-1 of a block: what was measured of them together and its place among all measurements, or None
    where nothing was."""

    start: int
    end: int
    measured: tuple[int, Measurement] | None


class MeasuredBlocks:
    """Measurements, by the blocks that they are of."""

    def __init__(self, measurements: Sequence[Measurement]) -> None:
        self._starting: dict[tuple[str, ...], dict[str, tuple[int, Measurement]]] = {}
        for place, m in enumerate(measurements):
            key = (m.model, m.component, m.precision, m.compute_units, m.variant, m.first_unit)
            self._starting.setdefault(key, {})[m.last_unit] = place, m

    def parts(self, block: BlockSpec) -> list[Part]:
        """What a block is put together from, longer measured parts first; none if nothing of it was measured.

        Measured is what Core ML loaded, so blocks that Core AI loads have none.
        A part without a TDTM variant was measured as it is. Units in a row of which nothing was measured are one part.
        """
        found: list[Part] = []
        if block.loading != "core_ml":
            return found
        for part in self._walk(block, [unit.name for unit in block.units]):
            if found and part.measured is None and found[-1].measured is None:
                found[-1] = found[-1]._replace(end=part.end)
            else:
                found.append(part)
        return found if any(part.measured is not None for part in found) else []

    def _walk(self, block: BlockSpec, names: list[str]) -> Iterator[Part]:
        start = 0
        while start < len(names):
            part = self._longest(block, names, start)
            yield part
            start = part.end

    def _longest(self, block: BlockSpec, names: list[str], start: int) -> Part:
        for end in range(len(names), start, -1):
            merges = block.variant == "tdtm" and any(unit.tdtm for unit in block.units[start:end])
            variant: Variant = "tdtm" if merges else "plain"
            key = (block.model, block.component, block.precision, block.compute_units, variant, names[start])
            measured = self._starting.get(key, {}).get(names[end - 1])
            if measured is not None:
                return Part(start, end, measured)
        return Part(start, start + 1, None)
