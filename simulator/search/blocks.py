"""Every block that a component could be cut into, with its prices, and shortest paths over them: the cheapest cuts.

Columns have one entry for each block [start, end), in order of starts and then of ends, so that the blocks of one start
lie side by side and a shortest path takes one step for each start. Blocks may be restricted to some of the places where
the component can be cut (`nodes`), which makes fewer and larger ones.

A table of n nodes has up to n^2 / 2 blocks. They are priced a thousand at a time, each as a single unit with the work
of all of its units: prices look at nothing else, except where something was measured of the model.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ondevice_sora.profiles.blocks import PROCESSORS, BlockSpec
from ondevice_sora.profiles.costs import Array
from ondevice_sora.profiles.models.model import Unit, Variant, Work
from ondevice_sora.simulator.search.choices import Part
from ondevice_sora.simulator.search.place import Place

INFINITY = float("inf")
CHUNK = 1_000
SECONDS, BYTES, FLAGS = 4, 2, 1

Whole = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Table:
    """Blocks between `nodes`, the units before which a cut may be, and the count of units. Seconds, and bytes.

    first      for each node the number of its first block; one more entry at the end
    starts, ends   for each block, the numbers of its nodes
    is_refused whether the Neural Engine refuses the block for its size, so that it runs on the GPU
    fits       whether the block alone, while it runs or loads, is within the budget
    """

    part: Part
    nodes: tuple[int, ...]
    first: Whole
    starts: Whole
    ends: Whole
    load_cold_s: Array
    load_warm_s: Array
    run_s: Array
    first_run_s: Array
    resident: Array
    working: Array
    is_refused: Flags
    fits: Flags

    @property
    def count(self) -> int:
        """How many pieces the nodes make of the component."""
        return len(self.nodes) - 1

    def row(self, start: int) -> slice:
        """The blocks that start at a node."""
        return slice(int(self.first[start]), int(self.first[start + 1]))

    def rows(self) -> Iterator[tuple[int, int, slice]]:
        """Of each node that blocks start at: its number, the number of the last node that one ends at, and they."""
        for start in range(self.count):
            row = self.row(start)
            yield start, start + row.stop - row.start, row

    def cheapest(self, price: Array) -> float:
        """The least sum over a cut into blocks that fit; infinite if there is none."""
        return float(self._least(price)[-1])

    def _least(self, price: Array) -> Array:
        """The same up to each node."""
        price = np.where(self.fits, price, INFINITY)
        best = np.full(self.count + 1, INFINITY)
        best[0] = 0.0
        for start, last, row in self.rows():
            np.minimum(best[start + 1 : last + 1], best[start] + price[row], out=best[start + 1 : last + 1])
        return best

    def cheapest_cut(self, price: Array) -> tuple[int, ...] | None:
        """The starts of such a cut, by unit; None if there is none."""
        price, best = np.where(self.fits, price, INFINITY), self._least(price)
        if best[-1] == INFINITY:
            return None
        from_node = np.full(self.count + 1, -1)
        for start, last, row in self.rows():
            before = from_node[start + 1 : last + 1]
            before[(before < 0) & (best[start] + price[row] == best[start + 1 : last + 1])] = start
        starts, node = [], self.count
        while node > 0:
            node = int(from_node[node])
            starts.append(self.nodes[node])
        return tuple(reversed(starts))

    def most_bytes(self) -> tuple[Array, Array]:
        """For each piece, the bytes at most of the blocks after its own, and of those before it."""
        after, before = np.zeros(self.count + 1), np.zeros(self.count + 1)
        rows = list(self.rows())
        for start, last, row in reversed(rows):
            after[start] = max(after[start + 1], (self.resident[row] + after[start + 1 : last + 1]).max())
        for start, last, row in rows:
            before[start] = max(before[start], before[start - 1]) if start > 0 else 0.0
            ahead = before[start + 1 : last + 1]
            np.maximum(ahead, self.resident[row] + before[start], out=ahead)
        return after[1:], before[:-1]

    def least_working(self, allowed: Flags) -> Array:
        """For each piece, the least working memory of any allowed block that has it (measured ones may need less)."""
        least = np.full(self.count, INFINITY)
        working = np.where(allowed, self.working, INFINITY)
        for start, last, row in self.rows():
            of_longer = np.minimum.accumulate(working[row][::-1])[::-1]
            np.minimum(least[start:last], of_longer, out=least[start:last])
        return least

    def by_unit(self, values: Array, empty: float) -> Array:
        """Values of blocks as a square, [start, end]."""
        square = np.full((self.count + 1, self.count + 1), empty)
        square[self.starts, self.ends] = values
        return square


def num_blocks(part: Part, nodes: Sequence[int] | None = None) -> int:
    """How many blocks a table has; of all units' unless nodes are given."""
    return int(_lengths(part, tuple(range(part.count + 1)) if nodes is None else tuple(nodes)).sum())


def segments(part: Part) -> tuple[int, ...]:
    """The nodes of the coarsest cut: a block for each run of units on the same compute units."""
    return (*sorted(part.forced), part.count)


def some_nodes(part: Part, most: int) -> tuple[int, ...]:
    """About `most` nodes, those of the coarsest cut among them, the rest where parameters add up evenly."""
    if part.count <= most:
        return tuple(range(part.count + 1))
    before = [0, *accumulate(unit.stored + 1 for unit in part.component.units)]
    even = (bisect_right(before, before[-1] * number / most) - 1 for number in range(most))
    return tuple(sorted({*segments(part), *even}))


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
    lengths = _lengths(part, chosen)
    first = np.concatenate([[0], np.cumsum(lengths)])
    starts = np.repeat(np.arange(len(lengths)), lengths)
    ends = starts + 1 + np.arange(len(starts)) - first[starts]
    columns = np.empty((SECONDS + BYTES + FLAGS, len(starts)))
    describe, units = _describer(part, model, place, merging), np.array(chosen)
    for begin in range(0, len(starts), CHUNK):
        some = slice(begin, begin + CHUNK)
        columns[:, some] = _prices(place, describe.blocks(units[starts[some]], units[ends[some]]))
        yield None
    yield _table(part, chosen, starts, ends, columns, _fits(columns, place, budget))


def least_table(part: Part, model: str, place: Place, budget: int, merging: bool) -> Table:
    """The table of single units, with no more than each adds to the price of any block: what a cut costs at least.

    That is what it adds to the block of the units before it. Joined blocks cost no more than their parts: calls are
    spared, and a run is bounded by the larger of two sums. First loads on the Neural Engine may cost more, and are
    counted as later ones. Measured blocks may cost less, and so may those that the engine refuses for their size;
    nothing is said then.
    """
    numbers = np.arange(part.count)
    edges = np.array(segments(part))
    begins = edges[np.searchsorted(edges, numbers, side="right") - 1]
    describe = _describer(part, model, place, merging)
    alone = _prices(place, describe.blocks(numbers, numbers + 1))
    columns = np.zeros_like(alone)
    if not _is_measured(part, model, place) and not _may_be_refused(part):
        reached = _prices(place, describe.blocks(begins, numbers + 1))
        columns = np.diff(reached, axis=1, prepend=0.0)
        columns[:, edges[:-1]] = reached[:, edges[:-1]]
        if "ane" in {PROCESSORS[units] for units in part.compute_units}:  # whose compiler takes longer than for parts
            columns[0] = columns[1]
        columns[-2:] = alone[-2:]  # working memory, and whether it is refused
    nodes = (*numbers.tolist(), part.count)
    return _table(part, nodes, numbers, numbers + 1, columns, _fits(alone, place, budget))


def _table(part: Part, nodes: tuple[int, ...], starts: Whole, ends: Whole, columns: Array, fits: Flags) -> Table:
    first = np.searchsorted(starts, np.arange(len(nodes)))
    load_cold_s, load_warm_s, run_s, first_run_s, resident, working, refused = columns
    return Table(
        part, nodes, first, starts, ends, load_cold_s, load_warm_s, run_s, first_run_s, resident, working, refused > 0,
        fits,
    )  # fmt: skip


def _prices(place: Place, blocks: Sequence[BlockSpec]) -> Array:
    """The columns of a table, by block."""
    costs = place.prices.price(blocks)
    seconds = (costs.load_cold_s, costs.load_warm_s, costs.run_s, costs.first_run_s)
    refused = [block.falls_back for block in blocks]
    return np.array([*(column[:, 0] for column in seconds), costs.resident_bytes, costs.working_bytes, refused])


def _fits(columns: Array, place: Place, budget: int) -> Flags:
    """Whether each block can be in memory with no other, while it runs or loads."""
    resident, working = columns[SECONDS : SECONDS + BYTES]
    fits: Flags = place.memory.baseline + resident + working + np.rint(resident * place.memory.transient) <= budget
    return fits


def _lengths(part: Part, nodes: tuple[int, ...]) -> Whole:
    """For each node, how many blocks start there: no block goes beyond a cut that must be."""
    positions = {unit: number for number, unit in enumerate(nodes)}
    edges = [positions[unit] for unit in segments(part)]
    lengths = np.empty(len(nodes) - 1, dtype=np.int64)
    for first, last in pairwise(edges):
        lengths[first:last] = np.arange(last - first, 0, -1)
    return lengths


def _describer(part: Part, model: str, place: Place, merging: bool) -> _Described | _Joined:
    return (_Described if _is_measured(part, model, place) else _Joined)(part, model, merging)


def _may_be_refused(part: Part) -> bool:
    """Whether a block of it may be too large for the Neural Engine."""
    edges = pairwise(segments(part))
    return any(part.spec("", start, end, False).falls_back for start, end in edges)


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
    """Blocks of one unit each, which does the work of all of theirs: differences of sums over the units before."""

    def __init__(self, part: Part, model: str, merging: bool) -> None:
        self.part, self.model = part, model
        units = part.component.units
        variant: Variant = "tdtm" if merging else "plain"
        works = [unit.work(variant) for unit in units]
        self.amounts = _sums(
            [
                (work.matmul_flops, work.attention_flops, work.convolution_flops, work.moved_elements)
                for work in works
            ],
            np.float64,
        )  # fmt: skip
        self.counts = _sums(
            [
                (work.token_merges, unit.parameters, unit.tables, merging and unit.tdtm is not None)
                for work, unit in zip(works, units, strict=True)
            ],
            np.int64,
        )
        self.working = [work.working_elements for work in works]

    def blocks(self, starts: Whole, ends: Whole) -> list[BlockSpec]:
        amounts = np.maximum(self.amounts[:, ends] - self.amounts[:, starts], 0.0).T.tolist()
        counts = (self.counts[:, ends] - self.counts[:, starts]).T.tolist()
        name, precision, compute_units = self.part.component.name, self.part.precision, self.part.compute_units
        found = []
        working, of = 0.0, (-1, -1)
        bounds = zip(starts.tolist(), ends.tolist(), amounts, counts, strict=True)
        for start, end, (matmul, attention, convolution, moved), (merges, parameters, tables, has_merging) in bounds:
            known = of[1] if of[0] == start and of[1] < end else start
            working = max(working if known > start else 0.0, *self.working[known:end])
            of = (start, end)
            work = Work(matmul, attention, convolution, moved, working, merges)
            unit = Unit("joined", parameters, work, work, tables)
            variant: Variant = "tdtm" if has_merging else "plain"
            found.append(
                BlockSpec(
                    self.model,
                    name,
                    start,
                    unit.name,
                    (unit,),
                    variant,
                    precision,
                    compute_units[start],
                    self.part.engine_bytes,
                )
            )
        return found


def _sums(rows: list[tuple[float, ...]], kind: type[np.generic]) -> Any:
    """The sums of the rows before each, and of all: [column, row]."""
    columns = np.array(rows, dtype=kind).T
    return np.concatenate([np.zeros((len(columns), 1), dtype=kind), np.cumsum(columns, axis=1)], axis=1)
