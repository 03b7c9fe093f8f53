"""From a plan to a better one: the search, the choice among finalists, and the plans to set it beside."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.units import format_bytes
from ondevice_sora.plans.plan_file import LoadedPlan, load_plan
from ondevice_sora.plans.schedule import Schedule
from ondevice_sora.plans.schema import ComponentPlan, Keep, Memory, Plan, plan_data
from ondevice_sora.profiles.costs import BlockCosts
from ondevice_sora.profiles.figures import ByteCount, Mark
from ondevice_sora.records.result import Verdict
from ondevice_sora.records.search import BudgetPoint, FrontPoint, PlannedBlock, PlannedRow, Planning
from ondevice_sora.simulator.core_ai import assumptions
from ondevice_sora.simulator.interval import SAMPLES, spread_of
from ondevice_sora.simulator.prepare import Prepared, Setting, model_of, prepare, ready
from ondevice_sora.simulator.risk import kill_risk
from ondevice_sora.simulator.search.budget import Budget
from ondevice_sora.simulator.search.doubt import doubt_of, held_to
from ondevice_sora.simulator.search.front import (
    Clock,
    Tried,
    Within,
    best_within,
    front,
    score_of,
    search_within,
    undominated,
)
from ondevice_sora.simulator.search.problem import Problem, Scored, problem_of
from ondevice_sora.simulator.search.search import FINALISTS, Progress, gap_of
from ondevice_sora.simulator.search.smallest import smallest_budget
from ondevice_sora.simulator.search.state import Known
from ondevice_sora.simulator.simulate import mark_shares
from ondevice_sora.simulator.unpriced import unpriced_caution

BEYOND = 20
"""So many draws lie beyond a quantile that is told."""
VISIT_S = 1e-4
"""About what playing one visit in the engine takes, in seconds."""
SHORT_S = 2.0
"""Plans that take no longer to play are set beside the one found, whatever the time."""
FOUND, START = "found", "start"
"""What rows are called: the plan found, and the one that the search started from."""

Maker = Callable[[Setting], Prepared]


class Goal(NamedTuple):
    """What is asked of a search beside its budget.

    risk          the total that counts is the one that so large a share of draws stays below; without, the expected one
    most_doubt    no plan is returned that is above a limit with a larger probability; without, any may be
    seconds       that the whole may take; without, as long as it takes
    budgets       so many smaller budgets are searched too, for the front
    beside        another budget that is searched, and whose plan is shown; it may be in any doubt
    keeps_cuts    the blocks stay as the plan has them; windows and residents are chosen
    """

    risk: float | None = None
    most_doubt: float | None = None
    seconds: float | None = None
    budgets: int = 0
    beside: int | None = None
    keeps_cuts: bool = False

    def allows(self, doubt: float) -> bool:
        """Whether a plan may be above a limit with this probability."""
        return self.most_doubt is None or doubt <= self.most_doubt


def find_plan_for(
    loaded: LoadedPlan,
    settings: Sequence[Setting],
    budget: Budget,
    goal: Goal | None = None,
    progress: Progress | None = None,
    known: Known | None = None,
) -> tuple[Planning, Plan]:
    """The search's answer and the plan found.

    `known` holds the candidates scored before and takes those scored now. Ctrl-C ends the work with what there is: the
    best plan so far and the rows done. Raises UserError if no plan fits, KeyboardInterrupt before there is any plan.
    """
    described, goal = model_of(loaded), goal or Goal()
    with loaded.locating():
        problem = problem_of(loaded.plan, described, settings, budget.num_bytes, goal.keeps_cuts)
        work = _Work(problem, goal, progress, {} if known is None else known)
    try:
        work.search_on()
        work.choose()
        work.compare()
    except KeyboardInterrupt:
        work.is_interrupted = True
    return work.answer(budget)


class _Work:
    """The searches for one problem, the plan chosen from what they found, and the rows it is compared in.

    There is a plan from the beginning on: the first search is done when this is made. Raises UserError as it does.
    """

    def __init__(self, problem: Problem, goal: Goal, progress: Progress | None, known: Known) -> None:
        self.problem, self.goal, self.progress = problem, goal, progress
        self.others, reserve = _others(problem, goal.seconds)
        clock = Clock(None if goal.seconds is None else goal.seconds - reserve)
        self.searching = search_within(problem, _more_budgets(problem, goal), clock, progress, known)
        self.searched: dict[int, Within] = {}
        """by budget"""
        self.chosen: tuple[Within, Scored] | None = None
        self.rows: list[PlannedRow] = []
        self.is_interrupted = False
        self._note(next(self.searching))
        best = self.main.best
        again = problem.score_anew(best.choices, best.packages)
        if again is None or not math.isclose(again.score, best.score, rel_tol=1e-6):
            raise UserError("what is known from before of the best plan is not true", mend="Search from the start.")

    def _note(self, within: Within) -> None:
        self.searched[within.problem.budget] = within
        self.is_interrupted = self.is_interrupted or within.found.ending == "interrupted"

    @property
    def main(self) -> Within:
        """What was found within the problem's own budget."""
        return self.searched[self.problem.budget]

    def search_on(self) -> None:
        """Search the other budgets, as far as no search is interrupted."""
        for within in self.searching:
            self._note(within)

    def choose(self) -> None:
        """The best plan of all searches that keeps the budget; with a risk asked for, the surest of its finalists."""
        best = best_within(self.searched.values(), self.main)
        self.chosen = best, best.best
        if self.is_interrupted:
            return
        if self.goal.most_doubt is not None:
            best = held_to(self.goal.most_doubt, best, self.progress)
        self.chosen = best, best.best if self.goal.risk is None else _surest(best, self.goal.risk)

    def compare(self) -> None:
        """A row on every device for the plan found, the one of the other budget, and those set beside."""
        if self.is_interrupted:
            return
        within, scored = self._best()
        makers = [(FOUND, _maker(within.problem, _plan_of(within.problem, scored)))]
        if self.goal.beside in self.searched:
            other = self.searched[self.goal.beside]
            plan = _plan_of(other.problem, other.best)
            makers.append((plan.name, _maker(self.problem, plan)))
        for name, make in [*makers, *self.others]:
            for place in self.problem.places:
                if self.progress is not None:
                    self.progress("comparison", scored, len(self.problem.seen))
                with suppress(UserError):  # refused on this device: the budget does not hold it
                    self.rows.append(_row(name, make(place.setting), self.goal.risk))

    def _best(self) -> tuple[Within, Scored]:
        """What was chosen; before that the best within the problem's own budget."""
        return self.chosen or (self.main, self.main.best)

    def answer(self, budget: Budget) -> tuple[Planning, Plan]:
        """The answer as far as the work has come, and the plan found."""
        problem, main = self.problem, self.main
        within, scored = self._best()
        best = _plan_of(within.problem, scored)
        settings = [place.setting for place in problem.places]
        rows = self.rows
        if not any(row.name == FOUND for row in rows):
            rows = [_row(FOUND, ready(best, problem.described, setting), None) for setting in settings]
        score, bound = score_of(scored, main.problem.scale), main.found.bound
        gain = self._gain_of_start(rows)
        if gain is not None:
            best = replace(problem.plan, name=best.name)
            score, bound = score * gain, main.found.lower_bound
            start = [replace(row, name=FOUND) for row in rows if row.name == START]
            rows = start + [row for row in rows if row.name != FOUND]
        tried = [Tried(each.problem, one) for each in self.searched.values() for one in each.found.fitting]
        points = map(_point, undominated(self.searched.values(), main))
        planning = Planning(
            budget_bytes=budget.num_bytes,
            budget_source=budget.source,
            score=score,
            bound=bound,
            gap=gap_of(score, bound),
            ending="interrupted" if self.is_interrupted else main.found.ending,
            num_evaluated=main.found.num_evaluated,
            search_s=main.found.seconds,
            risk=self.goal.risk,
            rows=rows,
            memory_front=[point for point in points if self.goal.allows(point.kill_share)],
            storage_front=list(map(_front_point, front(tried, "stored_bytes"))),
            package_front=list(map(_front_point, front(tried, "num_packages"))),
            notes=list(_notes(best, problem)),
        )
        return planning, best

    def _gain_of_start(self, rows: Sequence[PlannedRow]) -> float | None:
        """What the plan started from takes relative to the one found, if it is better and keeps budget and doubt.

        A search cut short may not have come as far as the plan that it began with.
        """
        start = [row for row in rows if row.name == START]
        if len(start) < len(self.problem.places) or not all(map(self._keeps, start)):
            return None
        relative = _relative(start, [row for row in rows if row.name == FOUND])
        return relative if relative < 1.0 else None

    def _keeps(self, row: PlannedRow) -> bool:
        """Whether a plan keeps the budget, and is in no more doubt than it may be, on one device."""
        within = row.verdict == "fits" and row.peak_bytes <= self.problem.budget
        return within and self.goal.allows(row.kill_share)


def _notes(best: Plan, problem: Problem) -> Iterator[str]:
    """What has to be said of the plan found, on the first device."""
    unpriced = unpriced_caution(ready(best, problem.described, problem.places[0].setting))
    if unpriced is not None:
        yield unpriced
    yield from assumptions(problem.plan)


def _relative(rows: Sequence[PlannedRow], to: Sequence[PlannedRow]) -> float:
    """What is minimised of one plan relative to another, in the mean of the devices: quantiles where there are any."""
    pairs = zip(rows, to, strict=True)
    return sum((a.quantile_s or a.total_s) / (b.quantile_s or b.total_s) for a, b in pairs) / len(rows)


def _more_budgets(problem: Problem, goal: Goal) -> list[int]:
    """Other budgets to search, the largest first: `beside`, and evenly spaced ones from the smallest that works up."""
    smallest, count = smallest_budget(problem), goal.budgets
    more = {smallest + (problem.budget - smallest) * number // count for number in range(count)}
    if goal.beside is not None:
        more.add(goal.beside)
    return sorted((budget for budget in more if budget >= smallest and budget != problem.budget), reverse=True)


def _front_point(tried: Tried) -> FrontPoint:
    """Seconds are those of device one."""
    scored = tried.scored
    return FrontPoint(
        total_s=scored.totals_s[0],
        peak_bytes=scored.peak_bytes,
        stored_bytes=scored.stored_bytes,
        num_packages=scored.num_packages,
        plan=plan_data(_plan_of(*tried)),
    )


def _point(within: Within) -> BudgetPoint:
    best = within.best
    plan = _plan_of(within.problem, best)
    return BudgetPoint(
        total_s=best.totals_s[0],
        peak_bytes=best.peak_bytes,
        stored_bytes=best.stored_bytes,
        num_packages=best.num_packages,
        budget_bytes=within.problem.budget,
        kill_share=doubt_of(within.problem, best),
        gap=gap_of(best.score, within.found.bound),
        ending=within.found.ending,
        plan=plan_data(plan),
    )


def _plan_of(problem: Problem, chosen: Scored) -> Plan:
    plan = problem.plan_of(chosen.choices, chosen.packages)
    return replace(plan, name=f"found within {format_bytes(problem.budget)}")


def _surest(within: Within, risk: float) -> Scored:
    """The finalist with the least quantile of its total (relative to each device's bound)."""
    problem, finalists = within.problem, within.found.finalists[:FINALISTS]
    quantiles = []
    for scored in finalists:
        plan = problem.plan_of(scored.choices, scored.packages)
        values = [
            _quantile(ready(plan, problem.described, place.setting), risk) / scale
            for place, scale in zip(problem.places, problem.scale, strict=True)
        ]
        quantiles.append(sum(values) / len(values))
    return finalists[int(np.argmin(quantiles))]


def _quantile(prepared: Prepared, risk: float) -> float:
    """The total at a quantile of the costs' spread, of so many draws that some lie beyond it."""
    draws = max(SAMPLES, math.ceil(BEYOND / (1.0 - risk)))
    return float(np.quantile(spread_of(prepared.outcomes(), draws).totals_s, risk))


def _maker(problem: Problem, plan: Plan) -> Maker:
    return lambda setting: ready(plan, problem.described, setting)


def _others(problem: Problem, seconds: float | None) -> tuple[list[tuple[str, Maker]], float]:
    """What the plan found is set beside, and about how many of the seconds playing them takes.

    The plan started from; the paper's policy on its blocks, which loads one block ahead and keeps the first that fit in
    what the first step leaves free (App. A.1), within the budget; the reference app's plan of that size, if there is
    one. Plans so long that playing them would take too much of the time are left out.
    """
    plan = problem.plan
    components: dict[str, ComponentPlan] = {}
    for part in problem.parts:
        name = part.component.name
        keep: Keep = "always" if part.stays else "paper" if part.component.passes == "steps" else "none"
        components[name] = replace(plan.component(name), prefetch=1, keep=keep)
    memory = Memory(budget=ByteCount(problem.budget), entitlement=plan.memory.entitlement)
    paper = replace(plan, components=components, memory=memory)
    starts = zip(problem.start, problem.parts, strict=True)
    each_s = VISIT_S * len(problem.places) * sum(len(choice.starts) * part.num_passes for choice, part in starts)
    others: list[tuple[str, Maker]] = []
    for name, other in ((START, plan), ("paper's policy", paper)):
        if seconds is None or (len(others) + 1) * each_s <= max(seconds / 4, SHORT_S):
            others.append((name, _maker(problem, other)))
    reserve = 0.0 if seconds is None else min(seconds / 4, len(others) * each_s)
    if plan.model == "opensora" and plan.video is not None and plan.video.width == plan.video.height:
        with suppress(UserError):
            app = load_plan(f"app-{plan.video.width}-all")
            if app.plan.video == plan.video:
                others.append(("reference app", partial(prepare, app)))
    return others, reserve


def _row(name: str, prepared: Prepared, risk: float | None) -> PlannedRow:
    schedule, costs, setting = prepared.schedule, prepared.costs, prepared.setting
    outcome = prepared.play(is_limited=False)
    verdict: Verdict = "killed" if outcome.peak_bytes > setting.limit_bytes else "fits"
    stored_bytes, num_packages = schedule.stored(costs)
    blocks = _blocks(schedule, costs)
    seconds: dict[Mark, float] = {
        mark: share * outcome.total_s for mark, share in mark_shares(prepared, outcome).items()
    }
    return PlannedRow(
        name=name,
        device=setting.device.name,
        verdict=verdict,
        total_s=outcome.total_s,
        component_s=prepared.finish().component_s,
        quantile_s=_quantile(prepared, risk) if risk is not None else None,
        kill_share=kill_risk(prepared, outcome),
        peak_bytes=outcome.peak_bytes,
        stored_bytes=stored_bytes,
        num_packages=num_packages,
        num_blocks={
            component: sum(1 for block in blocks if block.component == component)
            for component in dict.fromkeys(block.component for block in blocks)
        },
        blocks=blocks,
        seconds_by_mark=seconds,
    )


def _blocks(schedule: Schedule, costs: BlockCosts) -> list[PlannedBlock]:
    """The blocks in order, both variants of one taken together."""
    runs: dict[tuple[str, int], int] = {}
    loads: dict[tuple[str, int], int] = {}
    for visit in schedule.visits:
        key = (schedule.blocks[visit.block].component, schedule.blocks[visit.block].index)
        runs[key] = runs.get(key, 0) + 1
        loads[key] = loads.get(key, 0) + visit.loads
    found = {(block.component, block.index): number for number, block in enumerate(schedule.blocks)}
    return [
        PlannedBlock(key[0], schedule.blocks[number].name, costs.resident_bytes[number], runs[key], loads[key])
        for key, number in found.items()
    ]
