"""From a plan to a better one: the budget, the search, the choice among finalists, and the plans to set it beside."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import numpy as np
from msgspec.structs import replace

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.units import format_bytes, format_percent
from ondevice_sora.plans.plan_file import LoadedPlan, load_plan
from ondevice_sora.plans.schedule import Schedule
from ondevice_sora.plans.schema import ComponentPlan, Keep, Memory, Plan, plan_data
from ondevice_sora.profiles.costs import BlockCosts
from ondevice_sora.profiles.figures import ByteCount, Mark
from ondevice_sora.records.result import Verdict
from ondevice_sora.records.search import BudgetPoint, FrontPoint, PlannedBlock, PlannedRow, Planning
from ondevice_sora.simulator.core_ai import assumptions
from ondevice_sora.simulator.interval import SAMPLES, spread_of
from ondevice_sora.simulator.limit import DOUBT, budget_within, usual_budget
from ondevice_sora.simulator.prepare import Prepared, Setting, model_of, prepare, ready
from ondevice_sora.simulator.risk import kill_risk
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

NEAR = 0.02
"""Budgets that are nearer to each other, relative to the limit, are not shown beside each other."""
BEYOND = 20
"""So many draws lie beyond a quantile that is told."""
VISIT_S = 1e-4
"""About what playing one visit in the engine takes, in seconds."""
SHORT_S = 2.0
"""Plans that take no longer to play are set beside the one found, whatever the time."""

Maker = Callable[[Setting], Prepared]


def budget_for(
    settings: Sequence[Setting], memory: int | None, risk: float | None, most_doubt: float | None = None
) -> tuple[int, str]:
    """The bytes that a plan may use on every device, and where they come from. Raises UserError beyond a limit.

    No more than what is above a limit with a probability of `most_doubt`, if that is given.
    """
    budget, source = _budget_asked_for(settings, memory, risk)
    if most_doubt is None:
        return budget, source
    held = min(budget_within(setting, most_doubt) for setting in settings)
    if held >= budget:
        return budget, source
    return (
        held,
        f"of {format_bytes(budget)}, {source}, what is above the limit in {format_percent(most_doubt)} of draws",
    )


def _budget_asked_for(settings: Sequence[Setting], memory: int | None, risk: float | None) -> tuple[int, str]:
    tightest = min(settings, key=lambda setting: setting.limit_bytes)
    if memory is not None:
        if memory > tightest.limit_bytes:
            raise UserError(
                f"{format_bytes(memory)} is above the limit of {format_bytes(tightest.limit_bytes)} on "
                f"{tightest.device.name}: iOS would end the app",
                "--budget",
                f"Allow {format_bytes(tightest.limit_bytes)} or less, or add --entitlement for an app that has it.",
            )
        return memory, "given with --budget"
    if risk is None:
        budget = min(map(usual_budget, settings))
        return (
            budget,
            f"below the limit of {format_bytes(tightest.limit_bytes)} with {format_percent(1 - DOUBT)} certainty",
        )
    budget = min(budget_within(setting, 1.0 - risk) for setting in settings)
    return budget, f"below the limit with {format_percent(risk)} certainty, as asked with --risk"


def other_budget(settings: Sequence[Setting], budget: int) -> int | None:
    """What to show beside a budget: the whole limit beside a safe one, a safe one beside one that is not."""
    limit, usual = min(setting.limit_bytes for setting in settings), min(map(usual_budget, settings))
    other = usual if budget > usual * (1 + NEAR) else limit
    return other if abs(other - budget) > NEAR * limit else None


def find_plan_for(
    loaded: LoadedPlan,
    settings: Sequence[Setting],
    budget: tuple[int, str],
    risk: float | None = None,
    seconds: float | None = None,
    progress: Progress | None = None,
    budgets: int = 0,
    known: Known | None = None,
    beside: int | None = None,
    most_doubt: float | None = None,
    keeps_cuts: bool = False,
) -> tuple[Planning, Plan]:
    """The search's answer and the plan found. `budgets` smaller budgets are searched too, for the front, and `beside`.

    With `keeps_cuts` the blocks stay as the plan has them; windows and residents are chosen.

    `known` holds the candidates scored before and takes those scored now. Ctrl-C ends the work with what there is: the
    best plan so far and the rows done. No plan is returned that is above a limit with a probability of more than
    `most_doubt`, if that is given: `beside` is shown nevertheless. Raises UserError if no plan fits, KeyboardInterrupt
    before there is any plan.
    """
    described = model_of(loaded)
    with loaded.locating():
        problem = problem_of(loaded.plan, described, settings, budget[0])
        problem.keeps_cuts = keeps_cuts
        others, reserve = _others(problem, seconds)
        clock = Clock(None if seconds is None else seconds - reserve)
        searching = search_within(
            problem, _more_budgets(problem, budgets, beside), clock, progress, {} if known is None else known
        )
        main = next(searching)
        again = problem.score_anew(main.best.choices, main.best.packages)
        if again is None or not math.isclose(again.score, main.best.score, rel_tol=1e-6):
            raise UserError("what is known from before of the best plan is not true", mend="Search from the start.")
    searched = {budget[0]: main}
    rows: list[PlannedRow] = []
    chosen, scored = main, main.best
    is_interrupted = main.found.ending == "interrupted"
    try:
        for within in searching:
            searched[within.problem.budget] = within
            is_interrupted = is_interrupted or within.found.ending == "interrupted"
        main = searched[budget[0]]
        chosen = best_within(searched.values(), main)
        if most_doubt is not None and not is_interrupted:
            chosen = held_to(most_doubt, chosen, progress)
        scored = chosen.best if risk is None or is_interrupted else _surest(chosen, risk)
        if not is_interrupted:
            makers = [("found", _maker(chosen.problem, _plan_of(chosen.problem, scored))), *others]
            if beside in searched:
                plan = _plan_of(searched[beside].problem, searched[beside].best)
                makers.insert(1, (plan.name, _maker(problem, plan)))
            for name, make in makers:
                for setting in settings:
                    if progress is not None:
                        progress("comparison", scored, len(problem.seen))
                    with suppress(UserError):  # refused on this device: the budget does not hold it
                        rows.append(_row(name, make(setting), risk))
    except KeyboardInterrupt:
        is_interrupted = True
    best = _plan_of(chosen.problem, scored)
    if not any(row.name == "found" for row in rows):
        rows = [_row("found", ready(best, described, setting), None) for setting in settings]
    score, bound = score_of(scored, main.problem.scale), main.found.bound
    start = [row for row in rows if row.name == "start"]
    if len(start) == len(settings) and _holds(start, budget[0], 1.0 if most_doubt is None else most_doubt):
        found = [row for row in rows if row.name == "found"]
        if _relative(start, found) < 1.0:  # a search cut short may not have come as far as the plan it began with
            best = replace(loaded.plan, name=best.name)
            score, bound = score * _relative(start, found), main.found.lower_bound
            rows = [replace(row, name="found") for row in start] + [row for row in rows if row.name != "found"]
    tried = [Tried(within.problem, each) for within in searched.values() for each in within.found.fitting]
    answer = Planning(
        budget_bytes=budget[0],
        budget_source=budget[1],
        score=score,
        bound=bound,
        gap=gap_of(score, bound),
        ending="interrupted" if is_interrupted else main.found.ending,
        num_evaluated=main.found.num_evaluated,
        search_s=main.found.seconds,
        risk=risk,
        rows=rows,
        memory_front=[
            point
            for within in undominated(searched.values(), main)
            if (point := _point(within)).kill_share <= (1.0 if most_doubt is None else most_doubt)
        ],
        storage_front=list(map(_front_point, front(tried, "stored_bytes"))),
        package_front=list(map(_front_point, front(tried, "num_packages"))),
        notes=[*filter(None, [unpriced_caution(ready(best, described, settings[0]))]), *assumptions(loaded.plan)],
    )
    return answer, best


def _holds(rows: Sequence[PlannedRow], budget: int, most_doubt: float) -> bool:
    """Whether a plan keeps a budget and a risk on every device."""
    return all(row.verdict == "fits" and row.peak_bytes <= budget and row.kill_share <= most_doubt for row in rows)


def _relative(rows: Sequence[PlannedRow], to: Sequence[PlannedRow]) -> float:
    """What is minimised of one plan relative to another, in the mean of the devices: quantiles where there are any."""
    pairs = zip(rows, to, strict=True)
    return sum((a.quantile_s or a.total_s) / (b.quantile_s or b.total_s) for a, b in pairs) / len(rows)


def _more_budgets(problem: Problem, budgets: int, beside: int | None) -> list[int]:
    """Other budgets to search, the largest first: `beside`, and evenly spaced ones from the smallest that works up."""
    smallest = smallest_budget(problem)
    more = {smallest + (problem.budget - smallest) * number // budgets for number in range(budgets)}
    if beside is not None:
        more.add(beside)
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
    for name, other in (("start", plan), ("paper's policy", paper)):
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
