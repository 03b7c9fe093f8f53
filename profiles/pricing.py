"""Block prices in which what was measured stands instead of what the cost model gives.

A block is put together from measured parts and, where nothing was measured, from parts that the model prices; what a
measured part lacks the model fills in too. Seconds of loads and runs add up, less what is spent once a call instead of
once a part, to no less than the longest part takes; bytes of weights add up; the largest working memory decides.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

import numpy as np

from ondevice_sora.profiles import block_bytes
from ondevice_sora.profiles.blocks import BlockSpec, block_name
from ondevice_sora.profiles.cost_model import price
from ondevice_sora.profiles.costs import Array, BlockCosts, Costs, MarkShares, Sample, nominal
from ondevice_sora.profiles.figures import Figure
from ondevice_sora.profiles.measurements import MeasuredBlocks, Measurement, Part
from ondevice_sora.profiles.terms import weighed

DRAWN = ("load_warm_s", "load_cold_s", "run_s", "first_run_s", "unload_s")
"""The figures of a measurement that a sample may have other values of; bytes are as measured."""


def price_blocks(
    blocks: Sequence[BlockSpec],
    costs: Costs,
    measurements: Sequence[Measurement] = (),
    sample: Sample | None = None,
    dram_bytes_per_s: float | None = None,
    is_cached: bool = False,
    clean_room: float = math.inf,
) -> BlockCosts:
    """`price`, with measured figures where a block or parts of it were measured.

    A sample may have values of measured seconds as well, under `sampled_name`. The variants of a block are in one
    package, or in two of the same weights: they hold the same, the most that was measured of either.
    """
    sample = sample if sample is not None else nominal(costs)
    if not measurements:
        return price(blocks, costs, sample, dram_bytes_per_s, is_cached, clean_room)
    known = MeasuredBlocks(measurements)
    others = [_other_variant(block) for block in blocks]
    both = _put_together([*blocks, *others], known, costs, sample, dram_bytes_per_s, is_cached, clean_room)
    count = len(blocks)
    resident = list(both.resident_bytes[:count])
    for row, pair in enumerate(zip(blocks, others, strict=True)):
        measured = [
            place for place, block in zip((row, count + row), pair, strict=True) if _is_held_known(known, block)
        ]
        if measured:
            resident[row] = max(both.resident_bytes[place] for place in measured)
    return replace(_first(both, count), resident_bytes=tuple(resident))


def _other_variant(block: BlockSpec) -> BlockSpec:
    """The block with or without token merging, whichever it is not; itself if its units merge none."""
    if not any(unit.tdtm for unit in block.units):
        return block
    return replace(block, variant="plain" if block.variant == "tdtm" else "tdtm")


def _is_held_known(known: MeasuredBlocks, block: BlockSpec) -> bool:
    """Whether anything was measured of what the block holds once loaded."""
    return any(_figure(part, "resident_bytes") is not None for part in known.parts(block))


def _first(costs: BlockCosts, count: int) -> BlockCosts:
    """The price list of the first blocks."""
    return replace(costs, **{field.name: getattr(costs, field.name)[:count] for field in fields(costs)})


def _put_together(
    blocks: Sequence[BlockSpec],
    known: MeasuredBlocks,
    costs: Costs,
    sample: Sample,
    dram_bytes_per_s: float | None,
    is_cached: bool,
    clean_room: float,
) -> BlockCosts:
    priced = price(blocks, costs, sample, dram_bytes_per_s, is_cached, clean_room)
    parts = {row: found for row, block in enumerate(blocks) if (found := known.parts(block))}
    if not parts:
        return priced
    specs = {_key(blocks[row], part): _spec(blocks[row], part) for row, found in parts.items() for part in found}
    modelled = price(list(specs.values()), costs, sample, dram_bytes_per_s, is_cached)
    rows = {key: number for number, key in enumerate(specs)}
    return _Pricing(blocks, priced, modelled, rows, costs, sample).put_together(parts)


def working_moved(
    blocks: Sequence[BlockSpec], costs: Costs, measurements: Sequence[Measurement], deviations: Array
) -> Array:
    """Working memory of blocks [block, deviation] with the working factor so many spreads away from its figure.

    What was measured stays as it is.
    """
    known = MeasuredBlocks(measurements)
    moved = []
    for block in blocks:
        parts = known.parts(block) or [Part(0, len(block.units), None)]
        figures = [_figure(part, "working_bytes") for part in parts]
        rows = [
            block_bytes.working_moved(_spec(block, part), costs, deviations)
            if figure is None
            else np.full(deviations.shape, figure.value)
            for part, figure in zip(parts, figures, strict=True)
        ]
        moved.append(np.max(rows, axis=0))
    return np.array(moved)


def sampled_name(place: int, field: str) -> str:
    """How a sample names a figure of the measurement at a place: 'measurements[3].run_s'."""
    return f"measurements[{place}].{field}"


def unused_measurements(measurements: Sequence[Measurement], blocks: Sequence[BlockSpec]) -> list[Measurement]:
    """Measurements of which none of these blocks takes its figures."""
    known = MeasuredBlocks(measurements)
    used = {part.measured[0] for block in blocks for part in known.parts(block) if part.measured is not None}
    return [measurement for place, measurement in enumerate(measurements) if place not in used]


_Key = tuple[str, ...]


def _key(block: BlockSpec, part: Part) -> _Key:
    """Tells parts apart that are priced differently."""
    units = block.units[part.start : part.end]
    return block.component, block_name(units), block.variant, block.precision, block.compute_units


def _spec(block: BlockSpec, part: Part) -> BlockSpec:
    units = block.units[part.start : part.end]
    engine_bytes = 0 if block.falls_back else block.engine_bytes
    return replace(block, units=units, name=block_name(units), engine_bytes=engine_bytes)


class _Pricing:
    """Blocks put together from parts: `modelled` has what the model says of each part, `rows` where."""

    def __init__(
        self,
        blocks: Sequence[BlockSpec],
        priced: BlockCosts,
        modelled: BlockCosts,
        rows: Mapping[_Key, int],
        costs: Costs,
        sample: Sample,
    ) -> None:
        self.blocks, self.priced, self.modelled, self.rows = blocks, priced, modelled, rows
        self.costs, self.sample = costs, sample

    def put_together(self, parts: Mapping[int, Sequence[Part]]) -> BlockCosts:
        """The price list with the blocks of `parts` (by row) priced so."""
        warm, cold, run, first_run, unload = (array.copy() for array in self.priced.seconds)
        resident, working = list(self.priced.resident_bytes), list(self.priced.working_bytes)
        load_marks, run_marks = list(self.priced.load_marks), list(self.priced.run_marks)
        cold_marks, first_marks = list(self.priced.cold_marks), list(self.priced.first_marks)
        for row, found in parts.items():
            block, saved = self.blocks[row], len(found) - 1
            at = [self.rows[_key(block, part)] for part in found]
            load_fixed_s, specialise_s = self.sample["loads.load_fixed_s"], self.sample["loads.specialise_fixed_s"]
            dispatch_s = self.sample[f"processors.{block.processor}.dispatch_s"]
            warms = self._seconds(found, at, "load_warm_s")
            runs = self._seconds(found, at, "run_s", block.runs)
            colds = np.maximum(self._seconds(found, at, "load_cold_s"), warms)
            warm[row] = _joined(warms, saved * load_fixed_s)
            cold[row] = np.maximum(_joined(colds, saved * (load_fixed_s + specialise_s)), warm[row])
            run[row] = _joined(runs, saved * block.runs * dispatch_s)
            first_run[row] = run[row] + self._first_run_extra(found, at)
            if len(found) == 1:
                unload[row] = self._seconds(found, at, "unload_s")[0]
            resident[row] = sum(self._bytes(found, at, "resident_bytes"))
            working[row] = max(self._bytes(found, at, "working_bytes"))
            load_marks[row] = _mixed(found, "load_warm_s", warms, [self.modelled.load_marks[i] for i in at])
            cold_marks[row] = load_marks[row]
            if cold[row][0] > warm[row][0]:
                cold_marks[row] = _mixed(found, "load_cold_s", colds, [self.modelled.cold_marks[i] for i in at])
            run_marks[row] = _mixed(found, "run_s", runs, [self.modelled.run_marks[i] for i in at])
            first_marks[row] = self._first_marks(block, found, at, runs)
        return replace(
            self.priced,
            load_warm_s=warm,
            load_cold_s=cold,
            run_s=run,
            first_run_s=first_run,
            unload_s=unload,
            resident_bytes=tuple(resident),
            working_bytes=tuple(working),
            load_marks=tuple(load_marks),
            run_marks=tuple(run_marks),
            cold_marks=tuple(cold_marks),
            first_marks=tuple(first_marks),
        )

    def _seconds(self, parts: Sequence[Part], at: Sequence[int], field: str, runs: int = 1) -> Array:
        """[part, sample], measured or else the model's. `runs` of what was measured are what the model has one of."""
        modelled = getattr(self.modelled, field)
        size = self.priced.run_s.shape[1]
        found = []
        for part, row in zip(parts, at, strict=True):
            figure = _figure(part, field)
            if part.measured is None or figure is None:
                found.append(modelled[row])
            else:
                drawn = self.sample.get(sampled_name(part.measured[0], field))
                found.append(runs * (np.full(size, figure.value) if drawn is None else drawn))
        return np.stack(found)

    def _first_run_extra(self, parts: Sequence[Part], at: Sequence[int]) -> Array:
        """What the first run after a load adds to a later one: measured of each part, the model's once a call."""
        firsts = self._seconds(parts, at, "first_run_s") - self._seconds(parts, at, "run_s")
        is_measured = np.array([_figure(part, "first_run_s") is not None for part in parts])
        extra: Array = firsts[is_measured].sum(axis=0)
        if not is_measured.all():
            extra = extra + (self.modelled.first_run_s - self.modelled.run_s)[at[int(np.argmin(is_measured))]]
        return extra

    def _first_marks(self, block: BlockSpec, parts: Sequence[Part], at: Sequence[int], runs: Array) -> MarkShares:
        """What the first run after a load rests on: measured parts, the others' later runs, the model's extra once."""
        weights: list[tuple[MarkShares, float]] = []
        for part, row, run_s in zip(parts, at, runs[:, 0].tolist(), strict=True):
            first, later = _figure(part, "first_run_s"), _figure(part, "run_s")
            if first is not None:
                weights.append(({first.mark: 1.0}, first.value))
            else:
                weights.append((self.modelled.run_marks[row] if later is None else {later.mark: 1.0}, run_s))
        if not all(_figure(part, "first_run_s") for part in parts):
            known = self.costs.processors[block.processor].first_run_s
            weights.append(({known.mark: 1.0}, known.value))
        return weighed(weights)

    def _bytes(self, parts: Sequence[Part], at: Sequence[int], field: str) -> list[int]:
        modelled = getattr(self.modelled, field)
        figures = [_figure(part, field) for part in parts]
        return [
            modelled[row] if figure is None else round(figure.value) for figure, row in zip(figures, at, strict=True)
        ]


def _figure(part: Part, field: str) -> Figure | None:
    figure: Figure | None = None if part.measured is None else getattr(part.measured[1], field)
    return figure


def _joined(seconds: Array, saved: Array) -> Array:
    """The sum over parts [part, sample] less what is saved, but no less than the longest part."""
    joined: Array = np.maximum(seconds.sum(axis=0) - saved, seconds.max(axis=0))
    return joined


def _mixed(parts: Sequence[Part], field: str, seconds: Array, modelled: Sequence[MarkShares]) -> MarkShares:
    """The share of the (first sample's) seconds that rests on each mark."""
    figures = [_figure(part, field) for part in parts]
    known = [marks if figure is None else {figure.mark: 1.0} for figure, marks in zip(figures, modelled, strict=True)]
    return weighed(list(zip(known, seconds[:, 0].tolist(), strict=True)))
