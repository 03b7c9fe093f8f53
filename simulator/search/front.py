"""Searches within several budgets: how seconds trade against memory, with a plan for every point.

Each budget is searched for itself, from the best plan of the nearest one that was searched before; then all of them see
each other's best plans, and whoever gains by one searches on from there.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ondevice_sora.simulator.search.problem import Problem, Scored
from ondevice_sora.simulator.search.search import WORTHWHILE, Found, Progress, search
from ondevice_sora.simulator.search.state import Known


class Within(NamedTuple):
    """What was found within one budget."""

    problem: Problem
    found: Found

    @property
    def best(self) -> Scored:
        return self.found.best


@dataclass
class Clock:
    """Seconds that are shared between searches: what one leaves goes to those after it. None: as long as they take."""

    seconds: float | None

    def __post_init__(self) -> None:
        self.began = time.monotonic()

    def share(self, weight: float, of: float) -> float | None:
        """What a search gets whose weight is such a part of all those to come."""
        if self.seconds is None:
            return None
        return max(0.0, self.began + self.seconds - time.monotonic()) * weight / of


def search_within(
    problem: Problem, budgets: Sequence[int], clock: Clock, progress: Progress | None, known: Known
) -> Iterator[Within]:
    """The problem's own search first, then one for each budget; last, again, those that gained by another's plan.

    Each comes as soon as it is done, also if it was interrupted; nothing comes after that. Raises UserError if no plan
    fits into the problem's own budget.
    """
    done: list[Within] = []
    for number, budget in enumerate([problem.budget, *budgets]):
        within = problem
        if done:
            within = problem.within(budget)
            within.start = min(done, key=lambda other: abs(other.problem.budget - budget)).best.choices
        within.seen = known.setdefault(budget, {})
        # The first gets half of the time, the others one share each of what is left.
        share = clock.share(1.0, len(budgets) + 1 - number) if done or not budgets else clock.share(1.0, 2.0)
        done.append(Within(within, search(within, share, progress=progress)))
        yield done[-1]
        if done[-1].found.ending == "interrupted":
            return
    yield from _exchanged(done, clock, progress)


def _exchanged(done: list[Within], clock: Clock, progress: Progress | None) -> Iterator[Within]:
    gaining = [(within, start) for within in done if (start := _better_start(within, done)) is not None]
    for number, (within, start) in enumerate(gaining):
        within.problem.start = start.choices
        found = search(within.problem, clock.share(1.0, len(gaining) - number), progress=progress)
        yield Within(within.problem, found)
        if found.ending == "interrupted":
            return


def _better_start(within: Within, done: list[Within]) -> Scored | None:
    """The best of the others' plans within this budget, if it is better than what was found."""
    tried = [within.problem.score(other.best.choices, other.best.packages) for other in done if other is not within]
    best = min((scored for scored in tried if scored is not None), key=lambda scored: scored.score, default=None)
    return best if best is not None and best.score < within.best.score * (1 - WORTHWHILE) else None


def score_of(scored: Scored, scale: Sequence[float]) -> float:
    """A plan's score as a search has it whose seconds are divided so; that of several devices depends on the budget."""
    return sum(total / each for total, each in zip(scored.totals_s, scale, strict=True)) / len(scale)


def best_within(searched: Iterable[Within], main: Within) -> Within:
    """The best that keeps the budget of `main`: its own, unless one with a smaller budget is better.

    More room never hurts the best plan, but the best plan found is not always that.
    """
    scale = main.problem.scale
    fitting = [main, *(within for within in searched if within.problem.budget < main.problem.budget)]
    best = min(fitting, key=lambda within: score_of(within.best, scale))
    return best if score_of(best.best, scale) < score_of(main.best, scale) * (1 - WORTHWHILE) else main


def undominated(searched: Iterable[Within], main: Within) -> list[Within]:
    """Those that no other one beats in both score (as `main` has it) and peak, fastest first."""
    scale = main.problem.scale
    kept: list[Within] = []
    for within in sorted(searched, key=lambda within: (score_of(within.best, scale), within.best.peak_bytes)):
        if not kept or within.best.peak_bytes < kept[-1].best.peak_bytes:
            kept.append(within)
    return kept


class Tried(NamedTuple):
    """A plan that a search tried, and whose."""

    problem: Problem
    scored: Scored


def front(tried: Iterable[Tried], held: Literal["stored_bytes", "num_packages"]) -> list[Tried]:
    """The plans that no other one beats in both score and `held`, fastest first."""
    kept: list[Tried] = []
    for each in sorted(tried, key=lambda each: (each.scored.score, getattr(each.scored, held))):
        if not kept or getattr(each.scored, held) < getattr(kept[-1].scored, held):
            kept.append(each)
    return kept
