"""A time that no plan within the planner's freedom can beat: any cuts, windows and residents within the budget.

Runs follow each other in passes. While a load and a run overlap for o seconds, they progress by load_rate * o and
run_rate * o; hiding a second of load therefore costs at least slope = (1 - run_rate) / load_rate seconds, and a pass
with L seconds of loads and R of runs takes at least

    p * L + R * (1 - max(0, p - slope) * load_rate / run_rate)      for any price p from slope to 1

which is the loader's bound for p = 1 and the runner's for p = slope. A load that is to be done by the end of a pass
may be done in any before it, so prices never rise from pass to pass. With prices chosen, each component is bounded by a
shortest path over all its blocks that fit, the same cut for all that it costs:

    first pass     every block once, unless it is there; one beside which the next does not fit hides no load
    later passes   at the run of a unit no more is in memory than the budget leaves, so the rest is absent and must be
                   loaded again. A block is absent between two of its runs but not during its own; what a second of
                   its loading buys is weighed against a price of absence, which is chosen to raise the bound (a
                   Lagrange multiplier)

The bound comes in stages, each as good as the one before or better. At once: whatever the cut, a component takes no
less than what each unit adds to any block at least (block_prices.least_table). Then, if there are not too many, with
the prices of all blocks, which take time and memory in proportion to the square of the number of units.

Not counted, and therefore the bound's slack: that residents are whole blocks and loads need room before their run,
unloading, heat, the first load's wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ondevice_sora.profiles.costs import Array
from ondevice_sora.simulator.search.block_prices import least_table, price_table
from ondevice_sora.simulator.search.blocks import CODES, EITHER, INFINITY, Table, num_blocks
from ondevice_sora.simulator.search.choices import Part
from ondevice_sora.simulator.search.place import Place
from ondevice_sora.simulator.search.problem import Problem

GOLDEN = (5**0.5 - 1) / 2
FEW_BLOCKS = 20_000
"""A problem of at most so many blocks (200 units) is bounded with all of them at once: that takes half a second."""
MOST_BLOCKS = 2_000_000
"""More are not priced: the tables would take gigabytes."""
PAIRED = 100
"""Components of more units are bounded without looking at which blocks lie beside which: that would take too long."""
SECTIONS = 16
"""Steps of a golden section: the bound is then within a thousandth of its best."""
ROUNDING = 1e-9
"""Relative: sums over many units may be off by this."""


def lower_bound(problem: Problem, place: Place) -> float:
    """Seconds that no choice can beat on this device: the last of `lower_bounds`."""
    return max(lower_bounds(problem, place))


def is_large(problem: Problem) -> bool:
    """Whether all blocks are too many to be priced before anything else is done."""
    return _num_blocks(problem) > FEW_BLOCKS


def _num_blocks(problem: Problem) -> int:
    return sum(num_blocks(part) * len(set(problem.merging(part))) for part in problem.parts)


def lower_bounds(problem: Problem, place: Place) -> Iterator[float]:
    """Ever better bounds, in seconds, each true. They come often, so that whoever reads them may stop at any time."""
    best = 0.0
    for best in quick_bounds(problem, place):
        yield best
        if not is_large(problem):
            break  # all blocks are priced as soon
    if _num_blocks(problem) > MOST_BLOCKS:
        return
    components = []
    for part in problem.parts:
        tables: dict[bool, Table] = {}
        for merging in dict.fromkeys(problem.merging(part)):
            for table in price_table(part, problem.model.name, place, problem.budget, merging):
                yield best
                if table is not None:
                    tables[merging] = table
        components.append(_Component(problem, part, place, tables))
    for bound in _bounds(components):
        best = max(best, bound)
        yield best


def quick_bounds(problem: Problem, place: Place) -> Iterator[float]:
    """The same by no more prices than there are units."""
    components, best = [], 0.0
    for part in problem.parts:
        tables = {
            merging: least_table(part, problem.model.name, place, problem.budget, merging)
            for merging in dict.fromkeys(problem.merging(part))
        }
        components.append(_Component(problem, part, place, tables, is_whole=False))
    for bound in _bounds(components):
        best = max(best, bound)
        yield best


def _bounds(components: list[_Component]) -> Iterator[float]:
    """Bounds for one choice of prices after another, each getting better."""
    slopes = np.concatenate([component.slopes for component in components])
    ends = np.cumsum([len(component.slopes) for component in components])
    firsts = [0, *(int(end) for end in ends[:-1])]
    for dear in (0, *(first + 1 for first in firsts)):
        price = np.minimum.accumulate(np.concatenate([np.ones(dear), np.minimum(slopes[dear:], 1.0)]))
        parts = zip(components, firsts, strict=True)
        improving = [component.least(price[first : first + len(component.slopes)]) for component, first in parts]
        least = [next(bounds) for bounds in improving]
        yield sum(least) * (1.0 - ROUNDING)
        for number, bounds in enumerate(improving):
            for least[number] in bounds:
                yield sum(least) * (1.0 - ROUNDING)


class _Group(NamedTuple):
    """Passes in a row that have the same blocks."""

    merging: bool
    first: int
    last: int


class _Memory(NamedTuple):
    """What a table says of memory. By piece: bytes absent at its run at least, and how many of those lie after it and
    before it at most."""

    missing: Array
    after: Array
    before: Array


class _Component:
    """What a component costs at least, whatever its cut, given the price of a load second in each of its passes.

    `tables` are by whether the step merges tokens. They hold all blocks, unless `is_whole` is False.
    """

    def __init__(
        self, problem: Problem, part: Part, place: Place, tables: dict[bool, Table], is_whole: bool = True
    ) -> None:
        self.part, self.tables = part, tables
        merging = problem.merging(part)
        changes = [step for step in range(len(merging)) if step == 0 or merging[step] != merging[step - 1]]
        self.groups = [_Group(merging[first], first, after - 1) for first, after in pairwise([*changes, len(merging)])]
        self.table = tables[merging[0]]
        self.fits = np.all([table.fits for table in tables.values()], axis=0)
        self.room = problem.budget - place.memory.baseline
        self.start = problem.plan.start
        used = {code for table in tables.values() for code in np.unique(table.processor).tolist()}
        self.is_either = EITHER in used
        used = (used - {EITHER}) | ({CODES.index("gpu"), CODES.index("ane")} if self.is_either else set())
        rates = [(place.machine.load_rate.get(name, 1.0), place.machine.run_rate.get(name, 1.0)) for name in CODES]
        load_rates, run_rates = np.array(rates).T
        self.slope, self.cap = (1.0 - run_rates) / load_rates, load_rates / run_rates
        self.slopes = np.full(part.num_passes, min(self.slope[code] for code in used))
        knows_memory = len(merging) > 1 and not self.is_either
        self.memory = {merging: self._memory_of(table) for merging, table in tables.items()} if knows_memory else {}
        self.is_paired = is_whole and part.count <= PAIRED
        if self.is_paired:
            self.sizes = self.table.by_unit(self.table.resident, INFINITY)
            self.left_over = self.table.by_unit(self.room - self.table.resident - self.table.working, -INFINITY)

    def _memory_of(self, table: Table) -> _Memory:
        missing = np.maximum(0.0, table.cheapest(table.resident) - (self.room - table.least_working(self.fits)))
        after, before = table.most_bytes()
        return _Memory(missing, np.maximum(0.0, missing - after), np.maximum(0.0, missing - before))

    def least(self, price: Array) -> Iterator[float]:
        """Seconds of its runs and loads at least; a second of load by the end of a pass costs `price` of that pass.

        More and more of them.
        """
        left = 1.0 - np.maximum(0.0, price[:, None] - self.slope) * self.cap
        # Of GPU and engine the one on which hiding loads takes less of the run's time.
        left = np.column_stack([left, left[:, [CODES.index("gpu"), CODES.index("ane")]].min(axis=1)])
        load_s, once_s = self._first_pass()
        processor = self.table.processor
        base = price[0] * load_s + left[0][processor] * once_s
        for merging, first, last in self.groups:
            table = self.tables[merging]
            later = left[max(first, 1) : last + 1].sum(axis=0)
            base = base + later[processor] * np.minimum(table.first_run_s, table.run_s)
        self.alone = (1.0 - left[0])[processor] * once_s
        best = self._cheapest(base)
        yield best
        for share in self._shares():
            for found in self._with_reloads(base, price, left, share):
                best = max(best, found)
                yield best

    def _first_pass(self) -> tuple[Array, Array]:
        """Seconds of each block's load and run in the first pass, as the plan's start has it."""
        table = self.table
        if self.start == "loaded" and self.part.stays:
            return np.zeros_like(table.run_s), np.minimum(table.first_run_s, table.run_s)
        return table.load_cold_s if self.start == "first" else table.load_warm_s, table.first_run_s

    def _cheapest(self, price: Array) -> float:
        """The least sum over a cut. A block of the first pass beside which the next does not fit costs `alone` more.

        It hides no load.
        """
        price = np.where(self.fits, price, INFINITY)
        if not self.is_paired or not self.alone.any():
            return self.table.cheapest(price)
        total, alone = self.table.by_unit(price, INFINITY), self.table.by_unit(self.alone, 0.0)
        for start in range(1, self.part.count):
            before = total[:start, start]
            beside = self.left_over[:start, start, None] >= self.sizes[None, start, start + 1 :]
            paired = np.where(beside, before[:, None], before[:, None] + alone[:start, start, None])
            total[start, start + 1 :] += paired.min(axis=0)
        return float(total[:, -1].min())

    def _shares(self) -> list[Array]:
        """Moments to look at memory: a weight for each unit's run, adding up to one."""
        sizes = self.table.resident[self.table.first[:-1]]
        working = self.table.least_working(self.fits)
        most = np.where(working == working.max(), sizes, 0.0)
        last = np.zeros(len(sizes))
        last[np.flatnonzero(working == working.max())[-1]] = 1.0
        return [share / share.sum() for share in (sizes, most, last) if share.sum() > 0]

    def _with_reloads(self, base: Array, price: Array, left: Array, share: Array) -> Iterator[float]:
        """Bounds over the price of a byte's absence: concave in it, hence a golden section."""
        terms = self._absences(price, left, share)
        if not terms:
            return

        def bound(worth: float) -> float:
            blocks, needed = base, 0.0
            for times, seconds, covered, absent in terms:
                blocks = blocks + times * np.minimum(0.0, seconds - worth * covered)
                needed += worth * absent
            return self._cheapest(blocks) + needed

        rates = np.concatenate([seconds[covered > 0] / covered[covered > 0] for _, seconds, covered, _ in terms])
        if not rates.size:
            return
        low, high = 0.0, float(rates.max())
        for _ in range(SECTIONS):
            nearer, farther = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
            at_nearer, at_farther = bound(nearer), bound(farther)
            yield max(at_nearer, at_farther)
            if at_nearer < at_farther:
                low = nearer
            else:
                high = farther

    def _absences(self, price: Array, left: Array, share: Array) -> list[tuple[int, Array, Array, float]]:
        """What loading blocks again comes to, in passes in a row that are alike.

        How often a block is loaded again at most; by block, what that costs, its first run after it included, and the
        bytes that it accounts for; and the bytes that are absent over all passes, weighted by the moments of `share`.
        """
        seen = np.concatenate([[0.0], np.cumsum(share)])
        own = seen[self.table.ends] - seen[self.table.starts]
        # What hiding loads takes of a run's time, and the price of a load, fall from pass to pass.
        alike: dict[tuple[bool, float, tuple[float, ...]], tuple[int, float]] = {}
        for merging, first, last in self.groups:
            if last > first and self.memory:
                missing, after, before = self.memory[merging]
                key = (merging, float(price[last]), tuple(left[first].tolist()))
                times, absent = alike.get(key, (0, 0.0))
                absent += float(share @ (after + before + (last - first - 1) * missing))
                alike[key] = times + last - first, absent
        terms = []
        for (merging, worth, run_left), (times, absent) in alike.items():
            table = self.tables[merging]
            again = np.array(run_left)[table.processor] * np.maximum(0.0, table.first_run_s - table.run_s)
            terms.append((times, worth * table.load_warm_s + again, table.resident * (1.0 - own), absent))
        return terms
