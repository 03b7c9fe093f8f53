"""Search for the fastest plan within a memory budget: cuts, prefetch windows, residents, packages.

    seed     component by component: cuts by dynamic programming for a range of block sizes, each with windows and
             residency policies, scored within the whole plan since components meet at their ends
    polish   one boundary, window or resident set changed at a time, until nothing improves; from many cuts, then from
             random steps away from the best plan

Small problems are then enumerated whole, so that the answer is the optimum.

Components of hundreds of units are cut along a coarse grid first, then along finer ones (moves.strides), and the bound
gets a share of the time, beside the search: a large problem has a plan and a bound from the first seconds on.

Deterministic: same problem, same candidates in the same order, compiled or not; only where the time runs out depends on
the machine. What is in `problem.seen` is not scored again, so a search that was cut short goes on where it was. The
best plan so far survives Ctrl-C and the deadline. simulator/search/lower_bound.py says how far it may be from the
optimum.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from random import Random

import numpy as np

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.units import format_bytes
from ondevice_sora.plans.schedule import MAX_VISITS
from ondevice_sora.plans.schema import Keep, Packages
from ondevice_sora.simulator.search.block_prices import table_of
from ondevice_sora.simulator.search.blocks import INFINITY, some_nodes
from ondevice_sora.simulator.search.choices import Choice, Choices, Part, all_choices, num_choices
from ondevice_sora.simulator.search.lower_bound import is_large, lower_bounds, quick_bounds
from ondevice_sora.simulator.search.moves import kicked, moves, strides
from ondevice_sora.simulator.search.problem import Problem, Scored
from ondevice_sora.simulator.search.smallest import check_budget

WINDOWS = (0, 1, 2, 3, 4, 6, 8)
EXHAUSTIVE = 300_000
"""Problems of at most so many plans are enumerated: ten units that are walked again and again."""
GROUPS = (*range(1, 25), 26, 28, 30, 35, 40, 60)
MORE_GROUPS = (90, 130, 200, 300)
"""Of components that are cut by a grid of NODES places first, cuts into so many blocks too."""
NODES = 128
BOUND_SHARE = 0.3
"""Of the time, as long as the bound gets better."""
STARTS = 20
"""Plans that are polished, each with another cut of the component walked most often."""
LISTED = 6
"""Those of them that are polished from listed residents, too."""
KICK_STEPS = 16
KICK_PLANS = 20_000
"""Polishing goes on from up to KICK_STEPS random steps away from the best plan, for so many plans looked at in all."""
CLOSE = 5e-4
"""Relative: what is no worse than this after a kick is polished as a whole."""
FINALISTS = 8
WORTHWHILE = 1e-9
"""Relative: less than this is rounding, no improvement."""

Progress = Callable[[str, Scored | None, int], None]
"""Called with the phase, the best so far and the number of plans evaluated; it may raise KeyboardInterrupt."""


@dataclass(frozen=True)
class Found:
    """The best plan found, and how it was found.

    lower_bound what no plan beats, found without trying plans, in the score's unit; 0 if there was no time for it
    ending      optimum (every plan was tried), converged (nothing nearby is better), time, interrupted
    finalists   the best few plans by score, the best one first
    fitting     every plan that fitted, or of all plans the best by peak and storage: what the Pareto front is of
    """

    best: Scored
    lower_bound: float
    num_evaluated: int
    seconds: float
    ending: str
    finalists: tuple[Scored, ...]
    fitting: tuple[Scored, ...]

    @property
    def bound(self) -> float:
        """What no plan beats: the best one, if every plan was tried."""
        return self.best.score if self.ending == "optimum" else self.lower_bound

    @property
    def gap(self) -> float | None:
        return gap_of(self.best.score, self.bound)


def gap_of(score: float, bound: float) -> float | None:
    """By how much, relative to the bound, a plan may be above the optimum; None: there was no time for a bound."""
    return score / bound - 1.0 if bound > 0 else None


class _TimeIsUpError(Exception):
    pass


class _Bound:
    """What no plan beats, in the score's unit. It is found a little at a time (`improve`), and true at any."""

    def __init__(self, problem: Problem) -> None:
        self.left = [(number, lower_bounds(problem, place)) for number, place in enumerate(problem.places)]
        self.values = [next(bounds) for _, bounds in self.left]
        self.used_s = 0.0
        if len(problem.places) > 1:
            # Seconds are relative to a bound that does not depend on how much time there is.
            if is_large(problem):
                self.values = [max(quick_bounds(problem, place)) for place in problem.places]
            else:
                self.values, self.left = [max(bounds) for _, bounds in self.left], []
            problem.scale = tuple(self.values)
        self.scale = problem.scale

    @property
    def value(self) -> float:
        return sum(value / scale for value, scale in zip(self.values, self.scale, strict=True)) / len(self.scale)

    @property
    def is_final(self) -> bool:
        return not self.left

    def improve(self) -> None:
        """One small piece of work."""
        began = time.monotonic()
        number, bounds = self.left[0]
        better = next(bounds, None)
        if better is None:
            del self.left[0]
        else:
            self.values = [*self.values[:number], max(better, self.values[number]), *self.values[number + 1 :]]
        self.used_s += time.monotonic() - began


class _Search:
    def __init__(
        self,
        problem: Problem,
        bound: _Bound | None,
        deadline: float | None,
        windows: tuple[int, ...],
        progress: Progress | None,
        most_tried: int | None = None,
    ) -> None:
        self.problem = problem
        self.bound = bound
        self.most_tried = most_tried
        self.windows = windows
        self.progress = progress
        self.began = time.monotonic()
        self.deadline = deadline
        self.best: Scored | None = None
        self.seeds: list[Scored] = []
        """what fitted before polishing, in order; `problem.seen` may hold what an earlier search came to later"""
        self.enumerated: dict[tuple[int, int, int], Scored] = {}
        """of every plan, the best by peak memory, storage and packages"""
        self.num_plans = prod(num_choices(part, windows) for part in problem.parts)
        self.num_known = len(problem.seen) - problem.num_scored
        """candidates that an earlier search has scored"""
        self.num_enumerated = 0
        self.num_tried = 0
        """known ones included, so that a search that goes on after another takes the same way"""
        self.phase = "start"

    def try_(self, choices: Choices, packages: Packages = "shared") -> Scored | None:
        """Score a candidate, the best so far or not; None if a budget cannot be kept."""
        self._check_time()
        self.num_tried += 1
        scored = self.problem.score(choices, packages)
        if scored is not None and self.phase == "seed":
            self.seeds.append(scored)
        self._compare(scored)
        return scored

    def _check_time(self) -> None:
        """Stop if the time is up and there is a plan; until then give the bound its share."""
        if self.best is None:
            return
        if self.most_tried is not None and self.num_tried >= self.most_tried:
            raise _TimeIsUpError
        while (
            self.bound is not None
            and not self.bound.is_final
            and self.bound.used_s < BOUND_SHARE * (time.monotonic() - self.began)
        ):
            self._bound(self.bound)
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise _TimeIsUpError

    def _bound(self, bound: _Bound) -> None:
        bound.improve()
        self._tell()

    def _compare(self, scored: Scored | None) -> None:
        if scored is not None and (self.best is None or scored.score < self.best.score * (1 - WORTHWHILE)):
            self.best = scored
        self._tell()

    def _tell(self) -> None:
        if self.progress is not None:
            self.progress(self.phase, self.best, self.num_evaluated)

    @property
    def num_evaluated(self) -> int:
        return self.num_known + self.problem.num_scored + self.num_enumerated

    def _enumerate(self) -> None:
        """Try every plan; too many to remember each."""
        for choices in product(*map(self._choices_of, self.problem.parts, self.problem.start)):
            self._check_time()
            scored = self.problem.score_anew(choices)
            self.num_enumerated += 1
            if scored is not None:
                key = (scored.peak_bytes, scored.stored_bytes, scored.num_packages)
                if key not in self.enumerated or scored.score < self.enumerated[key].score:
                    self.enumerated[key] = scored
            self._compare(scored)

    def _choices_of(self, part: Part, given: Choice) -> list[Choice]:
        return [choice for choice in all_choices(part, self.windows) if self.problem.may_cut(choice, given)]

    def run(self) -> str:
        try:
            ending = self._run()
            self.phase = "bound"
            while self.bound is not None and not self.bound.is_final:
                self._bound(self.bound)
                self._check_time()
            return ending
        except _TimeIsUpError:
            return ending if self.phase == "bound" else "time"
        except KeyboardInterrupt:
            if self.best is None:
                raise
            return "interrupted"

    def _run(self) -> str:
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

    def _seed(self) -> None:
        problem = self.problem
        self.try_(tuple(Choice(tuple(range(part.count)), 0, "none") for part in problem.parts))
        self.try_(problem.start, problem.plan.tdtm.packages)
        self.try_(problem.start)
        cuts = [_cuts(problem, part, choice) for part, choice in zip(problem.parts, problem.start, strict=True)]
        if self.best is None:
            self._seed_within_visits(cuts)
        assert self.best is not None
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

    def _seed_within_visits(self, cuts: list[list[tuple[int, ...]]]) -> None:
        """A first plan where single units are too many visits: the finest cuts that are not. Raises UserError."""
        finest = [sorted(own, key=len, reverse=True) for own in cuts]
        for number in range(max(map(len, finest)) if all(finest) else 0):
            self.try_(tuple(Choice(own[min(number, len(own) - 1)], 0, "none") for own in finest))
            if self.best is not None:
                return
        if self.problem.keeps_cuts:
            raise UserError(
                f"no plan with these blocks keeps the budget of {format_bytes(self.problem.budget)}",
                "--keep-cuts",
                "Allow more, or let the search cut.",
            )
        raise UserError(
            f"no plan was found that keeps the budget of {self.problem.budget} bytes in at most {MAX_VISITS:,} visits "
            "of blocks",
            "--budget",
            "Allow more, or let the plan take fewer steps.",
        )

    def _starts(self) -> list[Scored]:
        """The best plans so far, each with another cut of the component that is walked most often."""
        parts = self.problem.parts
        most = max(range(len(parts)), key=lambda index: parts[index].num_passes)
        best: dict[tuple[int, ...], Scored] = {}
        for scored in sorted(self.seeds, key=lambda scored: scored.score):
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
        here = start
        grids = [strides(part) for part in self.problem.parts]
        for level in range(max(map(len, grids))):
            here = self._polish_along(here, [own[min(level, len(own) - 1)] for own in grids])
        return here

    def _polish_along(self, here: Scored, grid: list[int]) -> Scored:
        """The same with cuts moved by so many units, and made at multiples of those only."""
        improved = True
        while improved:
            improved = False
            for index, (part, stride) in enumerate(zip(self.problem.parts, grid, strict=True)):
                for unit in sorted({*range(0, part.count, stride), *here.choices[index].starts, part.count}):
                    for choice in moves(part, here.choices[index], self.windows, unit, stride):
                        scored = self.try_((*here.choices[:index], choice, *here.choices[index + 1 :]))
                        if scored is not None and scored.score < here.score * (1 - WORTHWHILE):
                            here, improved = scored, True
        return here

    def _kick(self) -> None:
        """Polish anew from random steps away from the best plan, and stay where that ends if it is better."""
        assert self.best is not None
        random, here, last = Random(0), self.best, self.num_tried + min(KICK_PLANS, self.num_plans)
        while self.num_tried < last:
            choices, touched = kicked(self.problem.parts, here.choices, self.windows, KICK_STEPS, random)
            scored = self.try_(choices)
            if scored is not None:
                scored = self._mend(scored, touched)
                if scored.score < here.score * (1 + CLOSE):
                    here = min(here, self._polish(scored), key=lambda scored: scored.score)

    def _mend(self, here: Scored, touched: list[tuple[int, int]]) -> Scored:
        """Walk the moves about what was changed, then about what these changed, until none helps."""
        parts = self.problem.parts
        to_look_at = {place: None for index, unit in touched for place in self._about(here.choices, index, unit)}
        while to_look_at:
            index, unit = next(iter(to_look_at))
            del to_look_at[index, unit]
            for choice in moves(parts[index], here.choices[index], self.windows, unit):
                scored = self.try_((*here.choices[:index], choice, *here.choices[index + 1 :]))
                if scored is not None and scored.score < here.score * (1 - WORTHWHILE):
                    here = scored
                    to_look_at |= dict.fromkeys(self._about(here.choices, index, unit))
        return here

    def _about(self, choices: Choices, index: int, unit: int) -> list[tuple[int, int]]:
        """A place where a choice was changed, and those that this may have changed the worth of."""
        starts, count = choices[index].starts, self.problem.parts[index].count
        if unit == count:
            return [(index, count)]
        after = bisect_right(starts, unit)
        near = {unit - 1, unit, unit + 1, *starts[max(0, after - 2) : after + 2]}
        return [(index, other) for other in sorted(near) if 0 <= other < count]

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
    began = time.monotonic()
    check_budget(problem)
    bound = _Bound(problem)
    under_way = _Search(problem, bound, None if seconds is None else began + seconds, windows, progress)
    ending = under_way.run()
    assert under_way.best is not None
    fitting = [*under_way.enumerated.values(), *(scored for scored in problem.seen.values() if scored is not None)]
    # A search that goes on after another may be cut short before it comes to the other's best. Of equals, the first.
    known = min(fitting, key=lambda scored: scored.score)
    best = known if known.score < under_way.best.score * (1 - WORTHWHILE) else under_way.best
    finalists = sorted(fitting, key=lambda scored: (scored is not best, scored.score))[:FINALISTS]
    elapsed = time.monotonic() - began
    return Found(best, bound.value, under_way.num_evaluated, elapsed, ending, tuple(finalists), tuple(fitting))


def quick_search(problem: Problem, num_plans: int, windows: tuple[int, ...] = WINDOWS) -> Scored:
    """The best of the first so many plans that a search looks at: the same whatever the time. Raises UserError."""
    check_budget(problem)
    problem = replace(problem, is_brief=True, candidates={})
    under_way = _Search(problem, None, None, windows, None, num_plans)
    under_way.run()
    assert under_way.best is not None
    return under_way.best


def _cuts(problem: Problem, part: Part, start: Choice) -> list[tuple[int, ...]]:
    """The cut given, single units, and for a range of block sizes the cut that runs and loads in the fewest seconds.

    Of a component of hundreds of units none that has hundreds of blocks: those would take the time of all others.
    """
    if problem.keeps_cuts:
        return [start.starts]
    is_fine = part.count <= NODES
    table = table_of(
        part, problem.model.name, problem.places[0], problem.budget, problem.merging(part)[0], some_nodes(part, NODES)
    )
    is_single = table.ends - table.starts == 1
    whole = table.resident[is_single].sum()
    price = table.run_s * part.num_passes + table.load_cold_s
    found: dict[tuple[int, ...], None] = {}
    if is_fine:
        found = dict.fromkeys([start.starts, tuple(range(part.count))])
    elif len(start.starts) <= MORE_GROUPS[-1]:
        found = {start.starts: None}
    for groups in (*GROUPS, *(() if is_fine else MORE_GROUPS)):
        most = max(whole / groups * 1.1, 1.0)
        # Of cuts that cost the same, even blocks: the squares' sum is least for those.
        even = price + 1e-3 * (table.resident / most) ** 2
        cut = table.cheapest_cut(np.where(is_single | (table.resident <= most), even, INFINITY))
        if cut is not None:
            found[cut] = None
    return list(found)
