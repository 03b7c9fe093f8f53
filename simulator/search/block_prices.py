"""Tables of blocks priced on a device: all of them, in small pieces of work, or what each unit adds to any of them.

A block of many units is priced as two or three: the sum of their work, and the one with the largest working memory as
it is. Prices look at nothing else, except where something was measured of the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ondevice_sora.profiles.blocks import PROCESSORS, UNBOUNDED, BlockSpec, ComputeUnits
from ondevice_sora.profiles.costs import Array
from ondevice_sora.profiles.models.model import Unit, Variant, Work
from ondevice_sora.simulator.search.blocks import CODES, EITHER, Flags, Table, Whole, lengths, segments
from ondevice_sora.simulator.search.choices import Part
from ondevice_sora.simulator.search.place import Place

CHUNK = 1_000
"""Blocks that are priced at once."""
COLD, RESIDENT, WORKING = 0, 4, 5
"""Columns of prices: first and later loads, runs and first runs in seconds, resident and working bytes."""


def table_of(
    part: Part, model: str, place: Place, budget: int, merging: bool, nodes: Sequence[int] | None = None
) -> Table:
    """The table of all blocks between nodes, by default of all units."""
    *_, table = price_table(part, model, place, budget, merging, nodes)
    assert table is not None
    return table


def price_table(
    part: Part, model: str, place: Place, budget: int, merging: bool, nodes: Sequence[int] | None = None
) -> Iterator[Table | None]:
    """The same in small pieces of work: nothing after each of them, and the table at last."""
    chosen = tuple(range(part.count + 1)) if nodes is None else tuple(nodes)
    counts = lengths(part, chosen)
    first = np.concatenate([[0], np.cumsum(counts)])
    starts = np.repeat(np.arange(len(counts)), counts)
    ends = starts + 1 + np.arange(len(starts)) - first[starts]
    columns, processor = np.empty((WORKING + 1, len(starts))), np.empty(len(starts), dtype=np.int64)
    is_measured = _is_measured(part, model, place)
    described = _Described(part, model, merging) if is_measured else _Joined(part, model, merging, place)
    units = np.array(chosen)
    for begin in range(0, len(starts), CHUNK):
        some = slice(begin, begin + CHUNK)
        blocks = described.blocks(units[starts[some]], units[ends[some]])
        columns[:, some] = _prices(place, blocks)
        processor[some] = [CODES.index(block.processor) for block in blocks]
        yield None
    yield _table(part, chosen, starts, ends, columns, processor, _fits(columns, place, budget))


def least_table(part: Part, model: str, place: Place, budget: int, merging: bool) -> Table:
    """The table of single units, with no more than each adds to the price of any block: what a cut costs at least.

    That is what it adds to the block of all units before it: blocks cost no more than their parts, since calls are
    spared and a run takes the larger of two sums. First loads on the Neural Engine may grow faster than packages do:
    there it is no more than what the unit costs alone, but for the call. Where a block may be too large for the engine
    and run on the GPU, it is the less of what both take. Only measured blocks may cost what they like: of those this
    says nothing.
    """
    numbers = np.arange(part.count)
    alone = _prices(place, _Described(part, model, merging).blocks(numbers, numbers + 1))
    columns, processor = (
        np.zeros_like(alone),
        np.array([CODES.index(PROCESSORS[units]) for units in part.compute_units]),
    )
    if not _is_measured(part, model, place):
        ways = _ways(part, place)
        columns = np.min([_added(way, model, place, merging) for way in ways], axis=0)
        if len(ways) > 1:
            processor[processor == CODES.index("ane")] = EITHER
    columns[WORKING] = alone[WORKING]
    nodes = (*numbers.tolist(), part.count)
    return _table(part, nodes, numbers, numbers + 1, columns, processor, _fits(alone, place, budget))


def _ways(part: Part, place: Place) -> list[Part]:
    """The component wherever its blocks may run: where they are to, and on the GPU if the engine may refuse some."""
    ways = [replace(part, engine_bytes=UNBOUNDED)]
    if part.engine_bytes < UNBOUNDED and "gpu" in place.setting.profile.costs.processors:
        on_gpu = tuple[ComputeUnits, ...](
            "cpu_and_gpu" if PROCESSORS[units] == "ane" else units for units in part.compute_units
        )
        if on_gpu != part.compute_units:
            ways.append(replace(part, compute_units=on_gpu, engine_bytes=UNBOUNDED))
    return ways


def _added(part: Part, model: str, place: Place, merging: bool) -> Array:
    """What each unit adds at least, by column of prices."""
    numbers, edges = np.arange(part.count), np.array(segments(part))
    begins = edges[np.searchsorted(edges, numbers, side="right") - 1]
    joined = _Joined(part, model, merging, place)
    reached = _prices(place, joined.blocks(begins, numbers + 1))
    added = np.diff(reached, axis=1, prepend=0.0)
    added[:, edges[:-1]] = reached[:, edges[:-1]]
    calls = {
        units: _prices(
            place,
            [
                BlockSpec(
                    model,
                    part.component.name,
                    0,
                    "",
                    (NOTHING,),
                    "plain",
                    part.precision,
                    units,
                    loading=part.loading,
                )
            ],
        )
        for units in set(part.compute_units)
    }
    alone = _prices(place, joined.blocks(numbers, numbers + 1))
    without_call = alone[COLD] - [calls[units][COLD, 0] for units in part.compute_units]
    is_first = numbers == begins
    added[COLD] = np.where(is_first, added[COLD], np.minimum(added[COLD], without_call))
    if part.loading == "core_ai":  # a block that is too large for clean pages is charged at once for all its units
        added[RESIDENT] = np.minimum(added[RESIDENT], alone[RESIDENT])
    return added


NOTHING = Unit("joined", 0, Work())


def _prices(place: Place, blocks: Sequence[BlockSpec]) -> Array:
    """The columns of prices, by block."""
    costs = place.prices.price(blocks)
    seconds = (costs.load_cold_s, costs.load_warm_s, costs.run_s, costs.first_run_s)
    return np.array([*(column[:, 0] for column in seconds), costs.resident_bytes, costs.working_bytes])


def _fits(columns: Array, place: Place, budget: int) -> Flags:
    """Whether each block can be in memory with no other, while it runs or loads."""
    resident, working = columns[RESIDENT:]
    fits: Flags = place.memory.baseline + resident + working + np.rint(resident * place.memory.transient) <= budget
    return fits


def _table(
    part: Part, nodes: tuple[int, ...], starts: Whole, ends: Whole, columns: Array, processor: Whole, fits: Flags
) -> Table:
    first = np.searchsorted(starts, np.arange(len(nodes)))
    load_cold_s, load_warm_s, run_s, first_run_s, resident, working = columns
    return Table(
        part,
        nodes,
        first,
        starts,
        ends,
        load_cold_s,
        load_warm_s,
        run_s,
        first_run_s,
        resident,
        working,
        processor,
        fits,
    )


def _is_measured(part: Part, model: str, place: Place) -> bool:
    """Whether something was measured of this component, named by its units."""
    return any(
        each.model == model and each.component == part.component.name for each in place.setting.profile.measurements
    )


class _Described:
    """Blocks with all their units, as plans have them."""

    def __init__(self, part: Part, model: str, merging: bool) -> None:
        self.part, self.model, self.merging = part, model, merging

    def blocks(self, starts: Whole, ends: Whole) -> list[BlockSpec]:
        bounds = zip(starts.tolist(), ends.tolist(), strict=True)
        return [self.part.spec(self.model, start, end, self.merging) for start, end in bounds]


class _Joined:
    """Blocks of a few units that do the work of all of theirs: differences of sums over the units before."""

    def __init__(self, part: Part, model: str, merging: bool, place: Place) -> None:
        self.part, self.model, self.merging = part, model, merging
        self.variant: Variant = "tdtm" if merging else "plain"
        self.units = part.component.units
        works = [unit.work(self.variant) for unit in self.units]
        self.amounts = _sums(
            [(each.matmul_flops, each.attention_flops, each.convolution_flops, each.moved_elements) for each in works],
            np.float64,
        )
        self.counts = _sums(
            [
                (work.token_merges, unit.parameters, unit.tables, merging and unit.tdtm is not None)
                for work, unit in zip(works, self.units, strict=True)
            ],
            np.int64,
        )
        numbers = np.arange(part.count)
        self.working = [
            _prices(place, _Described(way, model, merging).blocks(numbers, numbers + 1))[WORKING].tolist()
            for way in _ways(part, place)
        ]

    def blocks(self, starts: Whole, ends: Whole) -> list[BlockSpec]:
        """Fastest in the order of starts, and then of ends."""
        part, name = self.part, self.part.component.name
        kept = self._heaviest(starts, ends)
        amounts, counts = (sums[:, ends] - sums[:, starts] for sums in (self.amounts, self.counts))
        has_merging = (counts[3] > 0).tolist()
        for number, heavy in enumerate(kept):
            is_new = np.all([heavy != other for other in kept[:number]], axis=0)
            amounts -= is_new * (self.amounts[:, heavy + 1] - self.amounts[:, heavy])
            counts -= is_new * (self.counts[:, heavy + 1] - self.counts[:, heavy])
        rows = zip(
            starts.tolist(),
            ends.tolist(),
            np.maximum(amounts, 0.0).T.tolist(),
            counts.T.tolist(),
            has_merging,
            zip(*(heavy.tolist() for heavy in kept), strict=True),
            strict=True,
        )
        found = []
        for start, end, flops, (merges, parameters, tables, _), merging, own in rows:
            units = tuple([self.units[unit] for unit in dict.fromkeys(own)])
            if end - start > len(units):
                matmul, attention, convolution, moved = flops
                work = Work(matmul, attention, convolution, moved, 0.0, merges)
                units = (Unit("joined", parameters, work, work, tables), *units)
            variant: Variant = "tdtm" if merging else "plain"
            compute_units = part.compute_units[start]
            found.append(
                BlockSpec(
                    self.model,
                    name,
                    start,
                    "joined",
                    units,
                    variant,
                    part.precision,
                    compute_units,
                    part.engine_bytes,
                    part.loading,
                    part.stored_bytes,
                )
            )
        return found

    def _heaviest(self, starts: Whole, ends: Whole) -> list[Whole]:
        """For each block the unit with the largest working memory, for each way in which its blocks may run."""
        found = []
        for working in self.working:
            own, start_before, end_before, heaviest = [], -1, -1, 0
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
                if start != start_before or end < end_before:
                    end_before, heaviest = start, start
                for unit in range(end_before, end):
                    if working[unit] > working[heaviest]:
                        heaviest = unit
                start_before, end_before = start, end
                own.append(heaviest)
            found.append(np.array(own))
        return found


def _sums(rows: list[tuple[float, ...]], kind: type[np.generic]) -> Any:
    """The sums of the rows before each, and of all: [column, row]."""
    columns = np.array(rows, dtype=kind).T
    return np.concatenate([np.zeros((len(columns), 1), dtype=kind), np.cumsum(columns, axis=1)], axis=1)
