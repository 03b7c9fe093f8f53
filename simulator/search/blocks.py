"""Every block that a component could be cut into, with its prices, and shortest paths over them: the cheapest cuts.

Columns have one entry for each block [start, end), in order of starts and then of ends, so that the blocks of one start
lie side by side and a shortest path takes one step for each start. Blocks may be restricted to some of the places where
the component can be cut (`nodes`), which makes fewer and larger ones.

A table of n nodes has up to n^2 / 2 blocks. simulator/search/block_prices.py makes tables.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
import numpy.typing as npt

from ondevice_sora.profiles.blocks import Processor
from ondevice_sora.profiles.costs import Array
from ondevice_sora.simulator.search.choices import Part

INFINITY = float("inf")
CODES: tuple[Processor, ...] = ("cpu", "gpu", "ane")
EITHER = 3
"""GPU or Neural Engine, whichever takes less."""

Whole = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Table:
    """Blocks between `nodes`, the units before which a cut may be, and the count of units. Seconds, and bytes.

    first      for each node the number of its first block; one more entry at the end
    starts, ends   for each block, the numbers of its nodes
    processor  where the block runs: a place in CODES, or EITHER
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
    processor: Whole
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


def lengths(part: Part, nodes: Sequence[int]) -> Whole:
    """For each node, how many blocks start there: no block goes beyond a cut that must be."""
    positions = {unit: number for number, unit in enumerate(nodes)}
    edges = [positions[unit] for unit in segments(part)]
    found = np.empty(len(nodes) - 1, dtype=np.int64)
    for first, last in pairwise(edges):
        found[first:last] = np.arange(last - first, 0, -1)
    return found


def num_blocks(part: Part) -> int:
    """How many blocks the component could be cut into."""
    return int(lengths(part, range(part.count + 1)).sum())


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
