"""The smallest budget that a plan can keep, and what is said where a budget is smaller."""

from __future__ import annotations

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.units import format_bytes
from ondevice_sora.plans.loading import DROP, STAY, Room, Walk, planned_loads
from ondevice_sora.plans.schedule import UNLIMITED, sizes_of
from ondevice_sora.plans.scheduling import STARTS
from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.simulator.search.place import Place
from ondevice_sora.simulator.search.problem import Problem


def smallest_budget(problem: Problem) -> int:
    """Bytes that a plan of single units, loaded when needed and never kept, needs: no plan needs less.

    A block needs at least the sum of its units' weights and the largest of their working memories.
    """
    return max(_needed(problem, place) for place in problem.places)


def _needed(problem: Problem, place: Place) -> int:
    """The same on one device. Of passes that are alike the first and the last are enough: ever more is left behind."""
    blocks: dict[tuple[str, str, str], BlockSpec] = {}
    visits: list[tuple[str, str, str]] = []
    kept: list[int] = []
    for part in problem.parts:
        passes = problem.merging(part)
        last = len(passes) - 1
        ends = {step for kind in {*passes} for step in (passes.index(kind), last - passes[::-1].index(kind))}
        for step in sorted(ends):
            units = [part.spec(problem.model.name, unit, unit + 1, passes[step]) for unit in range(part.count)]
            visits += [block.package(True) for block in units]
            kept += [STAY if part.stays else DROP] * part.count
            blocks.update({block.package(True): block for block in units})
    numbers = {key: number for number, key in enumerate(blocks)}
    costs = place.prices(list(blocks.values()))
    packages: dict[tuple[str, str, str], int] = {}
    package = [packages.setdefault(block.package(False), number) for number, block in enumerate(blocks.values())]
    order = [numbers[key] for key in visits]
    walk = Walk(order, [0] * len(order), kept, [len(order)], STARTS[problem.plan.start])
    room = Room(place.memory.baseline, UNLIMITED, UNLIMITED)
    return planned_loads(walk, package, sizes_of(costs, place.memory), room)[1]


def check_budget(problem: Problem) -> None:
    """Raises UserError if no plan keeps the budget, with the unit that does not fit even alone, if there is one."""
    smallest = smallest_budget(problem)
    if smallest <= problem.budget:
        return
    for place in problem.places:
        _check_units(problem, place, smallest)
    more = format_bytes(smallest - problem.budget)
    what = f"no plan fits: the smallest needs {format_bytes(smallest)}, {more} more than the budget of "
    raise UserError(what + format_bytes(problem.budget), mend=_mend(smallest))


def _mend(smallest: int) -> str:
    """The smallest budget in three digits, which are enough: rounded up."""
    step = 10 ** max(0, len(str(smallest)) - 3)
    return f"The smallest budget that works is {format_bytes(-(-smallest // step) * step)}."


def _check_units(problem: Problem, place: Place, smallest: int) -> None:
    """Raises UserError if a unit is above the budget even alone, with the one that needs most."""
    found: list[tuple[int, str, str]] = []
    for part in problem.parts:
        for merging in dict.fromkeys(problem.merging(part)):
            costs = place.prices([part.spec(problem.model.name, unit, unit + 1, merging) for unit in range(part.count)])
            sizes = sizes_of(costs, place.memory)
            alone = [sum(parts) for parts in zip(sizes.resident, sizes.working, sizes.transient, strict=True)]
            largest = max(alone)
            found.append((largest, part.name_of(alone.index(largest)), part.component.name))
    largest, unit, component = max(found, key=lambda each: each[0])
    needed = place.memory.baseline + largest
    if needed > problem.budget:
        raise UserError(
            f"unit '{unit}' of {component} needs {format_bytes(needed)} even as a block of its own, "
            f"{format_bytes(needed - problem.budget)} more than the budget of {format_bytes(problem.budget)}",
            mend=_mend(smallest),
        )
