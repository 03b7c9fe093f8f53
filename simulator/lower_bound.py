"""A time that no plan within the planner's freedom can beat: any cuts, windows and residents within the budget.

Runs follow each other in passes. While a load and a run overlap for o seconds, they progress by load_rate * o and
run_rate * o; whatever a pass loads therefore costs it at least (1 - run_rate) / load_rate seconds a second of load
while there are runs to hide it behind, and a full second beyond. What must be loaded by the end of each pass:

    first pass     every block once, cold: the cheapest cut of blocks that fit
    later passes   between two visits to the unit with the largest working memory every block is used once, and at the
                   first of them no more is in memory than the budget leaves: the rest is loaded again, at the fewest
                   seconds a byte of any block that fits

Loads may be done earlier than needed, so each is hidden where that costs least. Not counted, and therefore the bound's
slack: that a window must fit beside the residents, blocks that are whole, unloading, heat, the first load's wait.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import pairwise

from profiles.costs import BlockCosts, Processor
from profiles.errors import UserError
from profiles.units import format_bytes
from simulator.choices import Choice, Part
from simulator.problem import Place, Problem

INFINITY = float("inf")


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
    room = problem.budget - place.memory.baseline
    transient = place.memory.transient
    fits = [
        held + round(held * transient) + working <= room
        for held, working in zip(costs.resident_bytes, costs.working_bytes, strict=True)
    ]
    return _Table(part, bounds, costs, fits)


def lower_bound(problem: Problem, place: Place) -> float:
    """Seconds that no choice can beat on this device. Raises UserError if some unit fits in no block."""
    passes: list[tuple[dict[Processor, float], float]] = []
    for part in problem.parts:
        stepped = part.component.passes == "steps"
        tables: dict[bool, tuple[dict[Processor, float], dict[Processor, float], float, float, float]] = {}
        for step in range(part.num_passes):
            merging = stepped and problem.plan.merges(step)
            is_new = merging not in tables
            if is_new:
                tables[merging] = _least(problem, part, place, merging)
            run, first, cold, reload, reload_at_first = tables[merging]
            if step == 0:
                passes.append((first, cold))
            elif is_new:
                passes.append((run, 0.0))
            else:
                passes.append((run, reload_at_first if step == 1 else reload))
    return _hide(passes, place)


def _least(
    problem: Problem, part: Part, place: Place, merging: bool
) -> tuple[dict[Processor, float], dict[Processor, float], float, float, float]:
    """For one pass, in seconds at least:

    runs by processor, first runs by processor, cold loads, loads again in a later pass, and in the second pass.
    """
    table = table_of(problem, part, place, merging)
    costs = table.costs
    check_units(problem, table, place)
    edges = [*sorted(part.forced), part.count]
    run: dict[Processor, float] = {}
    first: dict[Processor, float] = {}
    for start, end in pairwise(edges):
        processor = part.spec(problem.model.name, start, start + 1, False).processor
        run[processor] = run.get(processor, 0.0) + table.cheapest(costs.run_s[:, 0].tolist(), start, end)
        first[processor] = first.get(processor, 0.0) + table.cheapest(costs.first_run_s[:, 0].tolist(), start, end)
    cold = table.cheapest(costs.load_cold_s[:, 0].tolist())
    sizes = [float(held) for held in costs.resident_bytes]
    rates = [
        seconds / held
        for seconds, held, fits in zip(costs.load_warm_s[:, 0].tolist(), sizes, table.fits, strict=True)
        if fits and held > 0
    ]
    whole = table.cheapest(sizes)
    reload = reload_at_first = 0.0
    for unit in range(part.count):
        own = [row for row, (start, end) in enumerate(table.bounds) if start <= unit < end and table.fits[row]]
        working = min(costs.working_bytes[row] for row in own)
        missing = whole - (problem.budget - place.memory.baseline - working)
        after = sum(sizes[row] for row, (start, end) in enumerate(table.bounds) if end == start + 1 and start > unit)
        reload = max(reload, missing * min(rates, default=0.0))
        reload_at_first = max(reload_at_first, (missing - after) * min(rates, default=0.0))
    return run, first, cold, reload, reload_at_first


def check_units(problem: Problem, table: _Table, place: Place) -> None:
    """Raises UserError for a unit that does not fit even alone, with the smallest budget that every unit fits in."""
    needs = {}
    for (start, end), held, working in zip(
        table.bounds, table.costs.resident_bytes, table.costs.working_bytes, strict=True
    ):
        if end == start + 1:
            needs[start] = place.memory.baseline + held + round(held * place.memory.transient) + working
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
    generous = Problem(
        problem.plan, problem.document, problem.model, problem.reference, problem.parts, problem.start, problem.places,
        10**18,
    )  # fmt: skip
    return max(generous.schedule(choices, "shared", place)[0].needed_bytes for place in problem.places)


def _hide(passes: list[tuple[dict[Processor, float], float]], place: Place) -> float:
    """Seconds of all runs, and of the loads where hiding them costs least, none later than its pass."""
    machine = place.machine
    slots: list[list[float]] = []
    total = 0.0
    for run, load in passes:
        for processor, seconds in run.items():
            load_rate, run_rate = machine.load_rate[processor], machine.run_rate[processor]
            total += seconds
            slope = (1.0 - run_rate) / load_rate
            if slope < 1.0:
                heapq.heappush(slots, [slope, seconds * load_rate / run_rate])
        left = max(0.0, load)
        while left > 0.0 and slots:
            slope, room = slots[0]
            taken = min(room, left)
            total += taken * slope
            left -= taken
            if taken < room:
                slots[0][1] = room - taken
            else:
                heapq.heappop(slots)
        total += left
    return total
