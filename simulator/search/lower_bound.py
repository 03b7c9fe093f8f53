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

Not counted, and therefore the bound's slack: that residents are whole blocks and loads need room before their run,
unloading, heat, the first load's wait.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.units import format_bytes
from ondevice_sora.plans.schema import Start
from ondevice_sora.profiles.costs import Array, BlockCosts
from ondevice_sora.simulator.search.choices import Choice, Part
from ondevice_sora.simulator.search.place import Place
from ondevice_sora.simulator.search.problem import Problem

INFINITY = float("inf")
GOLDEN = (5**0.5 - 1) / 2
PAIRED = 100
"""Components of more units are bounded without looking at which blocks lie beside which: that would take too long."""
SECTIONS = 16
"""Steps of a golden section: the bound is then within a thousandth of its best."""


@dataclass(frozen=True)
class _Table:
    """Every block that a part could be cut into, [start, end), with its prices, and whether it fits alone."""

    part: Part
    bounds: list[tuple[int, int]]
    costs: BlockCosts
    fits: list[bool]

    def cheapest(self, price: list[float], start: int = 0, end: int | None = None) -> float:
        """The least sum over a cut of units start..end-1 into blocks that fit; infinite if there is none."""
        end = self.part.count if end is None else end
        best = {start: 0.0}
        for (first, last), value, fits in zip(self.bounds, price, self.fits, strict=True):
            if fits and first in best and last <= end:
                total = best[first] + value
                if total < best.get(last, INFINITY):
                    best[last] = total
        return best.get(end, INFINITY)


def table_of(problem: Problem, part: Part, place: Place, merging: bool) -> _Table:
    """All blocks in order of their starts, so that one walk over them is a shortest path."""
    edges = sorted({*part.forced, part.count})
    bounds = []
    for start in range(part.count):
        limit = next(edge for edge in edges if edge > start)
        bounds += [(start, end) for end in range(start + 1, limit + 1)]
    costs = place.prices([part.spec(problem.model.name, start, end, merging) for start, end in bounds])
    fits = [needed <= problem.budget for needed in _needed_alone(costs, place)]
    return _Table(part, bounds, costs, fits)


def _needed_alone(costs: BlockCosts, place: Place) -> list[int]:
    """Footprint of each block while it runs with no other in memory, or loads."""
    transient, _ = place.memory.shares_of(costs.resident_bytes)
    baseline = place.memory.baseline
    return [baseline + sum(parts) for parts in zip(costs.resident_bytes, transient, costs.working_bytes, strict=True)]


def lower_bound(problem: Problem, place: Place) -> float:
    """Seconds that no choice can beat on this device. Raises UserError if some unit fits in no block."""
    components = [_Component.of(problem, part, place) for part in problem.parts]
    slopes = np.concatenate([component.slopes for component in components])
    ends = np.cumsum([len(component.slopes) for component in components])
    firsts = [0, *(int(end) for end in ends[:-1])]
    best = 0.0
    for dear in (0, *(first + 1 for first in firsts)):
        price = np.minimum.accumulate(np.concatenate([np.ones(dear), np.minimum(slopes[dear:], 1.0)]))
        total = sum(
            component.least(price[first : first + len(component.slopes)])
            for component, first in zip(components, firsts, strict=True)
        )
        best = max(best, total)
    return best


@dataclass(frozen=True)
class _Group:
    """Passes in a row that have the same blocks: `first` to `last`, and the table of their blocks."""

    table: _Table
    first: int
    last: int


class _Component:
    """What a component costs at least, whatever its cut, given the price of a load second in each of its passes."""

    def __init__(self, part: Part, place: Place, groups: list[_Group], room: int, start: Start) -> None:
        self.part, self.place, self.groups, self.room, self.start = part, place, groups, room, start
        self.fits = np.all([group.table.fits for group in groups], axis=0)
        spec = groups[0].table
        processors = [part.spec("", start, start + 1, False).processor for start in range(part.count)]
        load_rates = {name: place.machine.load_rate[name] for name in processors}
        run_rates = {name: place.machine.run_rate[name] for name in processors}
        self.slope = {name: (1.0 - run_rates[name]) / load_rates[name] for name in load_rates}
        self.cap = {name: load_rates[name] / run_rates[name] for name in load_rates}
        self.processor = [processors[start] for start, _ in spec.bounds]
        self.slopes = np.full(part.num_passes, min(self.slope.values()))
        self.starts, self.ends = (np.array(column) for column in zip(*spec.bounds, strict=True))
        held = np.array(spec.costs.resident_bytes, dtype=float)
        self.sizes = self._square(held, INFINITY)
        self.left_over = self._square(room - held - np.array(spec.costs.working_bytes), -INFINITY)

    @classmethod
    def of(cls, problem: Problem, part: Part, place: Place) -> _Component:
        stepped = part.component.passes == "steps"
        tables: dict[bool, _Table] = {}
        groups: list[_Group] = []
        merging = [stepped and problem.plan.merges(step) for step in range(part.num_passes)]
        for step, merges in enumerate(merging):
            if merges not in tables:
                tables[merges] = table_of(problem, part, place, merges)
                check_units(problem, tables[merges], place)
            if step > 0 and merging[step - 1] == merges:
                groups[-1] = replace(groups[-1], last=step)
            else:
                groups.append(_Group(tables[merges], step, step))
        return cls(part, place, groups, problem.budget - place.memory.baseline, problem.plan.start)

    def least(self, price: Array) -> float:
        """Seconds of its runs and loads at least; a second of load by the end of a pass costs `price` of that pass."""
        load_s, once_s = self._first_pass()
        base = price[0] * load_s
        for group in self.groups:
            later_s = np.minimum(group.table.costs.first_run_s[:, 0], group.table.costs.run_s[:, 0])
            for step in range(group.first, group.last + 1):
                spare = {name: max(0.0, price[step] - self.slope[name]) * self.cap[name] for name in self.slope}
                left = np.array([1.0 - spare[name] for name in self.processor])
                base = base + left * (once_s if step == 0 else later_s)
        spare = {name: max(0.0, price[0] - self.slope[name]) * self.cap[name] for name in self.slope}
        self.alone = np.array([spare[name] for name in self.processor]) * once_s
        self.alone_square = self._square(self.alone, 0.0)
        best = self._cheapest(base)
        for share in self._shares():
            best = max(best, self._with_reloads(base, price, share))
        return best

    def _first_pass(self) -> tuple[Array, Array]:
        """Seconds of each block's load and run in the first pass, as the plan's start has it."""
        costs = self.groups[0].table.costs
        if self.start == "loaded" and self.part.stays:
            return np.zeros_like(costs.run_s[:, 0]), costs.run_s[:, 0]
        loads = costs.load_cold_s if self.start == "first" else costs.load_warm_s
        return loads[:, 0], costs.first_run_s[:, 0]

    def _cheapest(self, price: Array) -> float:
        """The least sum over a cut. A block of the first pass beside which the next does not fit costs `alone` more.

        It hides no load.
        """
        if self.part.count > PAIRED or not self.alone.any():
            return replace(self.groups[0].table, fits=self.fits.tolist()).cheapest(price.tolist())
        total = self._square(np.where(self.fits, price, INFINITY), INFINITY)
        for start in range(1, self.part.count):
            before = total[:start, start]
            beside = self.left_over[:start, start, None] >= self.sizes[None, start, start + 1 :]
            paired = np.where(beside, before[:, None], before[:, None] + self.alone_square[:start, start, None])
            total[start, start + 1 :] += paired.min(axis=0)
        return float(total[:, -1].min())

    def _square(self, values: Array, empty: float) -> Array:
        """Values of blocks by start and end."""
        square = np.full((self.part.count + 1, self.part.count + 1), empty)
        square[self.starts, self.ends] = values
        return square

    def _shares(self) -> list[Array]:
        """Moments to look at memory: a weight for each unit's run, adding up to one."""
        table = self.groups[0].table
        units = [row for row, (start, end) in enumerate(table.bounds) if end == start + 1]
        sizes = np.array([table.costs.resident_bytes[row] for row in units], dtype=float)
        working = self._working(table.costs)
        most = np.where(working == working.max(), sizes, 0.0)
        last = np.zeros(len(units))
        last[np.flatnonzero(working == working.max())[-1]] = 1.0
        return [share / share.sum() for share in (sizes, most, last) if share.sum() > 0]

    def _with_reloads(self, base: Array, price: Array, share: Array) -> float:
        """The best bound over the price of a byte's absence: concave in it, hence a golden section."""
        terms = [term for group in self.groups if (term := self._absences(group, price, share)) is not None]
        if not terms:
            return 0.0

        def bound(worth: float) -> float:
            blocks, needed = base, 0.0
            for times, seconds, covered, absent in terms:
                blocks = blocks + times * np.minimum(0.0, seconds - worth * covered)
                needed += worth * absent
            return self._cheapest(blocks) + needed

        rates = np.concatenate([seconds[covered > 0] / covered[covered > 0] for _, seconds, covered, _ in terms])
        if not rates.size:
            return 0.0
        low, high = 0.0, float(rates.max())
        best = 0.0
        for _ in range(SECTIONS):
            left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
            at_left, at_right = bound(left), bound(right)
            best = max(best, at_left, at_right)
            if at_left < at_right:
                low = left
            else:
                high = right
        return best

    def _absences(self, group: _Group, price: Array, share: Array) -> tuple[int, Array, Array, float] | None:
        """What loading blocks again comes to in a group of passes; None if it is one pass.

        How often a block is loaded again at most; by block, what that costs and the bytes that it accounts for; and the
        bytes that are absent over all passes. Bytes are weighted by the moments of `share`.
        """
        times = group.last - group.first
        if times == 0:
            return None
        table, costs = group.table, group.table.costs
        sizes = np.array(costs.resident_bytes, dtype=float)
        missing = np.maximum(0.0, table.cheapest(sizes.tolist()) - (self.room - self._working(costs)))
        after, before = self._most_bytes(sizes)
        to_come, gone = np.maximum(0.0, missing - after), np.maximum(0.0, missing - before)
        absent = float(share @ (to_come + gone + (times - 1) * missing))
        seen = np.concatenate([[0.0], np.cumsum(share)])
        covered = np.array(
            [size * (1.0 - (seen[end] - seen[start])) for size, (start, end) in zip(sizes, table.bounds, strict=True)]
        )
        return times, price[group.last] * costs.load_warm_s[:, 0], covered, absent

    def _working(self, costs: BlockCosts) -> Array:
        """For each unit, the least working memory of any block that it could run in (measured blocks may need less)."""
        least = np.full(self.part.count, INFINITY)
        for start, end, working, fits in zip(self.starts, self.ends, costs.working_bytes, self.fits, strict=True):
            if fits:
                least[start:end] = np.minimum(least[start:end], working)
        return least

    def _most_bytes(self, sizes: Array) -> tuple[Array, Array]:
        """For each unit, the bytes at most of the blocks after its own, and of those before it."""
        count = self.part.count
        after, before = np.zeros(count + 1), np.zeros(count + 1)
        blocks = list(zip(self.starts.tolist(), self.ends.tolist(), sizes.tolist(), strict=True))
        for start, end, size in reversed(blocks):
            after[start] = max(after[start], after[start + 1], size + after[end])
        for start, end, size in sorted(blocks, key=lambda block: block[1]):
            before[end] = max(before[end], before[end - 1], size + before[start])
        return after[1:], before[:-1]


def check_units(problem: Problem, table: _Table, place: Place) -> None:
    """Raises UserError for a unit that does not fit even alone, with the smallest budget that every unit fits in."""
    needed = zip(table.bounds, _needed_alone(table.costs, place), strict=True)
    needs = {start: alone for (start, end), alone in needed if end == start + 1}
    start, most = max(needs.items(), key=lambda item: item[1])
    if most > problem.budget:
        raise too_big(problem, table.part, start, most)


def too_big(problem: Problem, part: Part, start: int, needed: int) -> UserError:
    smallest = smallest_budget(problem)
    return UserError(
        f"unit '{part.name_of(start)}' of {part.component.name} needs {format_bytes(needed)} even as a block of its "
        f"own, {format_bytes(needed - problem.budget)} more than the budget of {format_bytes(problem.budget)}",
        "--memory",
        f"The smallest budget that works is {smallest} bytes ({format_bytes(smallest)}).",
    )


def smallest_budget(problem: Problem) -> int:
    """Bytes that a plan of single units, loaded when needed and never kept, needs: no plan needs less.

    A block needs at least the sum of its units' weights and the largest of their working memories.
    """
    choices = tuple(Choice(tuple(range(part.count)), 0, "none") for part in problem.parts)
    generous = problem.within(10**18)
    return max(generous.schedule(choices, "shared", place)[0].needed_bytes for place in problem.places)
