"""Every plan of a small problem, written down once more and plainly, and the fastest of them by the engine."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.scheduling import build_schedule
from ondevice_sora.simulator.engine import play
from ondevice_sora.simulator.search.choices import Choice, Choices, with_choices
from ondevice_sora.simulator.search.problem import Problem

WINDOWS = (0, 1, 2)


def all_plans(problem: Problem) -> list[Choices]:
    """Every cut, window and set of residents of every component, written down once more and plainly."""
    options = []
    for part in problem.parts:
        own = []
        for cut in range(2 ** (part.count - 1)):
            starts = (0, *(i for i in range(1, part.count) if cut >> (i - 1) & 1))
            names = [part.name_of(start) for start in starts]
            sets = [kept for many in range(1, len(names) + 1) for kept in combinations(names, many)]
            keeps: list[Any] = ["none", "belady", *sets] if part.num_passes > 1 else ["none"]
            own += [Choice(starts, window, keep) for keep in keeps for window in WINDOWS]
        options.append(own)
    plans: list[tuple[Choice, ...]] = [()]
    for own in options:
        plans = [(*before, choice) for before in plans for choice in own]
    return plans


def brute_force(problem: Problem) -> float:
    """The least total of any plan within the budget, played by the engine."""
    place = problem.places[0]
    best = float("inf")
    for choices in all_plans(problem):
        plan = with_choices(problem.plan, problem.parts, choices, problem.budget, "shared")
        try:
            schedule, costs = build_schedule(plan, problem.model, {}, place.prices, place.memory)
        except UserError:
            continue
        outcome = play(schedule, costs, place.machine, is_limited=False)
        assert outcome.peak_bytes <= problem.budget
        best = min(best, outcome.total_s)
    return best
