"""Figures of single blocks measured on a device, and what they say of blocks put together from measured ones.

A block that was not measured as a whole, but whose units were in parts that follow one another, takes what its parts
take, less what is spent once a call: seconds add up, bytes of weights too, and the part with the largest working memory
decides. A part without a TDTM variant was measured as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ondevice_sora.base.text import Line
from ondevice_sora.profiles.blocks import BlockSpec, ComputeUnits
from ondevice_sora.profiles.figures import MARKS, Figure
from ondevice_sora.profiles.models.model import Precision, Variant


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


class MeasuredBlocks:
    """Measurements, by the blocks that they are of."""

    def __init__(self, measurements: Sequence[Measurement]) -> None:
        self._starting: dict[tuple[str, ...], dict[str, Measurement]] = {}
        for m in measurements:
            key = (m.model, m.component, m.precision, m.compute_units, m.variant, m.first_unit)
            self._starting.setdefault(key, {})[m.last_unit] = m

    def parts(self, block: BlockSpec) -> list[Measurement]:
        """The measurements that together are of this block, one if it was measured itself; none if any are missing."""
        names = [unit.name for unit in block.units]
        found: list[Measurement] = []
        start = 0
        while start < len(names):
            part = self._longest(block, names, start)
            if part is None:
                return []
            found.append(part)
            start = names.index(part.last_unit, start) + 1
        return found

    def _longest(self, block: BlockSpec, names: list[str], start: int) -> Measurement | None:
        for end in range(len(names), start, -1):
            merges = block.variant == "tdtm" and any(unit.tdtm for unit in block.units[start:end])
            variant: Variant = "tdtm" if merges else "plain"
            key = (block.model, block.component, block.precision, block.compute_units, variant, names[start])
            measured = self._starting.get(key, {}).get(names[end - 1])
            if measured is not None:
                return measured
        return None


def put_together(
    parts: Sequence[Measurement], load_fixed_s: float, specialise_fixed_s: float, dispatch_s: float
) -> Measurement:
    """What parts that follow one another take as one block; the fixed seconds are spent once instead of for each."""
    if len(parts) == 1:
        return parts[0]
    saved = len(parts) - 1
    first, last = parts[0], parts[-1]
    working = [part.working_bytes for part in parts]
    return msgspec.structs.replace(
        first,
        last_unit=last.last_unit,
        load_warm_s=_sum([part.load_warm_s for part in parts], saved * load_fixed_s),
        load_cold_s=_sum([part.load_cold_s for part in parts], saved * (load_fixed_s + specialise_fixed_s)),
        run_s=_sum([part.run_s for part in parts], saved * dispatch_s),
        first_run_s=_sum([part.first_run_s for part in parts], saved * dispatch_s),
        unload_s=None,
        resident_bytes=_sum([part.resident_bytes for part in parts], 0.0),
        working_bytes=max((w for w in working if w is not None), key=lambda w: w.value) if all(working) else None,
        samples={},
    )


def _sum(figures: Sequence[Figure | None], saved: float) -> Figure | None:
    known = [figure for figure in figures if figure is not None]
    if len(known) < len(figures):
        return None
    total = sum(figure.value for figure in known)
    variance = sum((figure.spread * figure.value) ** 2 for figure in known)
    mark = max((figure.mark for figure in known), key=MARKS.index)
    source = f"the sum of {len(known)} parts"
    return Figure(max(0.0, total - saved), mark, source, min(3.0, variance**0.5 / total) if total > 0 else 0.0)
