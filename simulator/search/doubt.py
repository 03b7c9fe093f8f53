"""Plans held to a probability of being above the limit: a smaller budget where the best plan is in too much doubt."""

from __future__ import annotations

from dataclasses import replace

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.units import format_bytes, format_probability
from ondevice_sora.simulator.prepare import ready
from ondevice_sora.simulator.risk import kill_risk
from ondevice_sora.simulator.search.front import Within
from ondevice_sora.simulator.search.problem import Problem, Scored
from ondevice_sora.simulator.search.search import Progress, search
from ondevice_sora.simulator.search.smallest import smallest_budget

ATTEMPTS = 6
SECONDS = 2.0
"""Of each search within a smaller budget, at most; it begins at the best plan of the larger one."""


def doubt_of(problem: Problem, scored: Scored) -> float:
    """The probability that the candidate is above the limit, on the device where it is largest."""
    plan = problem.plan_of(scored.choices, scored.packages)
    prepared = [ready(plan, problem.described, place.setting) for place in problem.places]
    return max(kill_risk(each, each.play(is_limited=False)) for each in prepared)


def held_to(most: float, within: Within, progress: Progress | None = None, seconds: float = SECONDS) -> Within:
    """The fastest finalist that is above the limit with no more than this probability.

    A budget bounds the footprint as it is known; working memory is spread. Where that leaves all finalists in more
    doubt, the largest of a few smaller budgets that does not, searched for so many seconds each. Raises UserError if
    not even the smallest does.
    """
    found = _first(most, within)
    if found is not None:
        return found
    problem = within.problem
    low, high = smallest_budget(problem), problem.budget
    best = _first(most, _searched(problem, low, within.best, progress, seconds))
    if best is None:
        raise UserError(
            f"every plan found, down to {format_bytes(low)}, has a risk of being killed of more than "
            f"{format_probability(most)}",
            "--max-kill-share",
            "Allow more, give the app the entitlement in the plan, or make a smaller video.",
        )
    for _ in range(ATTEMPTS):
        middle = (low + high) // 2
        found = _first(most, _searched(problem, middle, best.best, progress, seconds))
        if found is None:
            high = middle
        else:
            best, low = found, middle
    return best


def _first(most: float, within: Within) -> Within | None:
    """The same with the best finalist that is not in more doubt as its best; None if all are."""
    for scored in within.found.finalists:
        if doubt_of(within.problem, scored) <= most:
            return within._replace(found=replace(within.found, best=scored))
    return None


def _searched(problem: Problem, budget: int, start: Scored, progress: Progress | None, seconds: float) -> Within:
    smaller = problem.within(budget)
    smaller.start = start.choices
    return Within(smaller, search(smaller, seconds, progress=progress))
