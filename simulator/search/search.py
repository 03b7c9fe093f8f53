"""Search for the fastest plan within a memory budget: cuts, prefetch windows, residents, packages.

    seed     component by component: cuts by dynamic programming for a range of block sizes, each with windows and
             residency policies, scored within the whole plan since components meet at their ends
    polish   one boundary, window or resident set changed at a time, until nothing improves; from many cuts, then from
             random steps away from the best plan

Small problems are then enumerated whole, so that the answer is the optimum.

Deterministic: same problem, same candidates in the same order, compiled or not; only where the time runs out depends on
the machine. What is in `problem.seen` is not scored again, so a search that was cut short goes on where it was. The
best plan so far survives Ctrl-C and the deadline. simulator/search/lower_bound.py says how far it may be from the
optimum.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from math import prod
from random import Random

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.schema import Keep, Packages
from ondevice_sora.simulator.search.choices import Choice, Choices, Part, all_choices, num_choices
from ondevice_sora.simulator.search.lower_bound import lower_bound, smallest_budget, table_of
from ondevice_sora.simulator.search.moves import kicked, moves
from ondevice_sora.simulator.search.problem import Problem, Scored

WINDOWS = (0, 1, 2, 3, 4, 6, 8)
EXHAUSTIVE = 300_000
"""Problems of at most so many plans are enumerated: ten units that are walked again and again."""
GROUPS = (*range(1, 25), 26, 28, 30, 35, 40, 60)
STARTS = 20
"""Plans that are polished, each with another cut of the component walked most often."""
LISTED = 6
"""Those of them that are polished from listed residents, too."""
KICK_STEPS = 8
KICK_PLANS = 20_000
"""Polishing goes on from up to KICK_STEPS random steps away from the best plan, for so many plans looked at in all."""
FINALISTS = 8
WORTHWHILE = 1e-9
"""Relative: less than this is rounding, no improvement."""

Progress = Callable[[str, Scored | None, int], None]
"""Called with the phase, the best so far and the number of plans evaluated; it may raise KeyboardInterrupt."""


@dataclass(frozen=True)
class Found:
    """The best plan found, how it was found, and the bound that no plan beats, in the score's unit.

    ending      optimum (every plan was tried), converged (nothing nearby is better), time, interrupted
    finalists   the best few plans by score, the best one first
    fitting     every plan that fitted, or of all plans the best by peak and storage: what the Pareto front is of
    """

    best: Scored
    bound: float
    num_evaluated: int
    seconds: float
    ending: str
    finalists: tuple[Scored, ...]
    fitting: tuple[Scored, ...]

    @property
    def gap(self) -> float:
        """By how much, relative to the bound, the best plan may be above the optimum; 0 if every plan was tried."""
        return 0.0 if self.ending == "optimum" else self.best.score / self.bound - 1.0


class _TimeIsUpError(Exception):
    pass


class _Search:
    def __init__(
        self, problem: Problem, seconds: float | None, windows: tuple[int, ...], progress: Progress | None
    ) -> None:
        self.problem = problem
        self.windows = windows
        self.progress = progress
        self.began = time.monotonic()
        self.deadline = None if seconds is None else self.began + seconds
        self.best: Scored | None = None
        self.tried: list[Scored] = []
        """what fitted, in order; `problem.seen` may hold what an earlier search came to later"""
        self.enumerated: dict[tuple[int, int, int], Scored] = {}
        """of every plan, the best by peak memory, storage and packages"""
        self.num_plans = prod(num_choices(part, windows) for part in problem.parts)
        self.num_enumerated = 0
        self.num_tried = 0
        """known ones included, so that a search that goes on after another takes the same way"""
        self.phase = "start"

    def try_(self, choices: Choices, packages: Packages = "shared") -> Scored | None:
        """Score a candidate, the best so far or not; None if a budget cannot be kept."""
        self._check_time()
        self.num_tried += 1
        scored = self.problem.score(choices, packages)
        if scored is not None:
            self.tried.append(scored)
        self._compare(scored)
        return scored

    def _check_time(self) -> None:
        if self.deadline is not None and time.monotonic() > self.deadline and self.best is not None:
            raise _TimeIsUpError

    def _compare(self, scored: Scored | None) -> None:
        if scored is not None and (self.best is None or scored.score < self.best.score * (1 - WORTHWHILE)):
            self.best = scored
        if self.progress is not None:
            self.progress(self.phase, self.best, self.num_evaluated)

    @property
    def num_evaluated(self) -> int:
        return len(self.problem.seen) + self.num_enumerated

    def _enumerate(self) -> None:
        """Try every plan; too many to remember each."""
        for choices in product(*(list(all_choices(part, self.windows)) for part in self.problem.parts)):
            self._check_time()
            scored = self.problem.score_anew(choices)
            self.num_enumerated += 1
            if scored is not None:
                key = (scored.peak_bytes, scored.stored_bytes, scored.num_packages)
                if key not in self.enumerated or scored.score < self.enumerated[key].score:
                    self.enumerated[key] = scored
            self._compare(scored)

    def run(self) -> str:
        try:
            self.phase = "seed"
            self._seed()
            self.phase = "polish"
            for start in self._starts():
                self._polish(start)
            self._kick()
            if self.num_plans > EXHAUSTIVE:
                return "converged"
            self.phase = "every plan"
            self._enumerate()
            return "optimum"
        except _TimeIsUpError:
            return "time"
        except KeyboardInterrupt:
            if self.best is None:
                raise
            return "interrupted"

    def _seed(self) -> None:
        problem = self.problem
        units = tuple(Choice(tuple(range(part.count)), 0, "none") for part in problem.parts)
        self.try_(units)
        self.try_(problem.start, problem.plan.tdtm.packages)
        self.try_(problem.start)
        assert self.best is not None
        cuts = [_cuts(problem, part, choice) for part, choice in zip(problem.parts, problem.start, strict=True)]
        # The component walked most often first: it decides most.
        order = sorted(range(len(cuts)), key=lambda index: (-problem.parts[index].num_passes, index))
        for _ in range(2):
            before = self.best
            for index in order:
                part = problem.parts[index]
                keeps: tuple[Keep, ...] = ("belady", "none") if part.num_passes > 1 else ("none",)
                keeps = ("always",) if part.stays else keeps
                for starts in cuts[index]:
                    for keep in keeps:
                        for window in self.windows[1:5]:
                            self._try_at(index, Choice(starts, window, keep))
            if self.best is before:
                break

    def _starts(self) -> list[Scored]:
        """The best plans so far, each with another cut of the component that is walked most often."""
        parts = self.problem.parts
        most = max(range(len(parts)), key=lambda index: parts[index].num_passes)
        best: dict[tuple[int, ...], Scored] = {}
        for scored in sorted(self.tried, key=lambda scored: scored.score):
            best.setdefault(scored.choices[most].starts, scored)
        starts = list(best.values())[:STARTS]
        return [*starts, *filter(None, (self._listed(start, most) for start in starts[:LISTED]))]

    def _listed(self, start: Scored, index: int) -> Scored | None:
        """The same with the best listed residents: from `belady` ones no single step leads there."""
        part, choice = self.problem.parts[index], start.choices[index]
        best: Scored | None = None
        for other in moves(part, choice, self.windows, part.count):
            if isinstance(other.keep, tuple) and other.keep != choice.keep:
                scored = self.try_((*start.choices[:index], other, *start.choices[index + 1 :]))
                if scored is not None and (best is None or scored.score < best.score):
                    best = scored
        return best

    def _polish(self, start: Scored) -> Scored:
        """Walk the moves of every component, taking each that helps and going on from there, until none does."""
        here, improved = start, True
        while improved:
            improved = False
            for index, part in enumerate(self.problem.parts):
                for unit in range(part.count + 1):
                    for choice in moves(part, here.choices[index], self.windows, unit):
                        scored = self.try_((*here.choices[:index], choice, *here.choices[index + 1 :]))
                        if scored is not None and scored.score < here.score * (1 - WORTHWHILE):
                            here, improved = scored, True
        return here

    def _kick(self) -> None:
        """Polish anew from random steps away from the best plan, and stay where that ends if it is better."""
        assert self.best is not None
        random, here, last = Random(0), self.best, self.num_tried + min(KICK_PLANS, self.num_plans)
        while self.num_tried < last:
            scored = self.try_(kicked(self.problem.parts, here.choices, self.windows, KICK_STEPS, random))
            if scored is not None:
                here = min(here, self._polish(scored), key=lambda scored: scored.score)

    def _try_at(self, index: int, choice: Choice) -> None:
        assert self.best is not None
        choices = self.best.choices
        self.try_((*choices[:index], choice, *choices[index + 1 :]))


def search(
    problem: Problem,
    seconds: float | None = None,
    windows: tuple[int, ...] = WINDOWS,
    progress: Progress | None = None,
) -> Found:
    """The fastest plan found within the budget. Raises UserError if no plan fits: with the unit, and what would do."""
    bounds = tuple(lower_bound(problem, place) for place in problem.places)
    if len(problem.places) > 1:
        problem.scale = bounds
    bound = 1.0 if len(problem.places) > 1 else bounds[0]
    smallest = smallest_budget(problem)
    if smallest > problem.budget:
        raise UserError(
            f"no plan fits: the smallest needs {smallest} bytes, {smallest - problem.budget} more than the budget of "
            f"{problem.budget}",
            "--memory",
            f"Allow {smallest} bytes.",
        )
    under_way = _Search(problem, seconds, windows, progress)
    ending = under_way.run()
    assert under_way.best is not None
    fitting = [*under_way.enumerated.values(), *(scored for scored in problem.seen.values() if scored is not None)]
    # A search that goes on after another may be cut short before it comes to the other's best. Of equals, the first.
    known = min(fitting, key=lambda scored: scored.score)
    best = known if known.score < under_way.best.score * (1 - WORTHWHILE) else under_way.best
    finalists = sorted(fitting, key=lambda scored: (scored is not best, scored.score))[:FINALISTS]
    elapsed = time.monotonic() - under_way.began
    return Found(best, bound, under_way.num_evaluated, elapsed, ending, tuple(finalists), tuple(fitting))


def _cuts(problem: Problem, part: Part, start: Choice) -> list[tuple[int, ...]]:
    """The cut given, single units, and for a range of block sizes the cut that runs and loads in the fewest seconds."""
    place = problem.places[0]
    table = table_of(problem, part, place, part.component.passes == "steps" and problem.plan.merges(0))
    costs = table.costs
    sizes = costs.resident_bytes
    whole = sum(size for size, (first, last) in zip(sizes, table.bounds, strict=True) if last == first + 1)
    price = (costs.run_s[:, 0] * part.num_passes + costs.load_cold_s[:, 0]).tolist()
    found = dict.fromkeys([start.starts, tuple(range(part.count))])
    for groups in GROUPS:
        most = max(whole / groups * 1.1, 1.0)
        best: dict[int, tuple[float, tuple[int, ...]]] = {0: (0.0, ())}
        for (first, last), seconds, size, fits in zip(table.bounds, price, sizes, table.fits, strict=True):
            if first not in best or not fits or (size > most and last > first + 1):
                continue
            # Of cuts that cost the same, even blocks: the squares' sum is least for those.
            cost = best[first][0] + seconds + 1e-3 * (size / most) ** 2
            if last not in best or cost < best[last][0]:
                best[last] = (cost, (*best[first][1], first))
        if part.count in best:
            found[best[part.count][1]] = None
    return list(found)
