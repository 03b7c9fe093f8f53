"""From a plan to a better one: the budget, the search, the choice among finalists, and the plans to set it beside."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Literal

import numpy as np
from msgspec.structs import replace

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.units import format_bytes, format_percent
from ondevice_sora.plans.schedule import Schedule
from ondevice_sora.plans.schema import ComponentPlan, LoadedPlan, Memory, Plan, load_plan
from ondevice_sora.profiles.costs import BlockCosts
from ondevice_sora.profiles.figures import ByteCount, Mark
from ondevice_sora.records.result import Verdict
from ondevice_sora.records.search import FrontPoint, PlannedBlock, PlannedRow, Planning
from ondevice_sora.simulator.interval import allowed_peaks, kill_share, spread_of
from ondevice_sora.simulator.prepare import HEADROOM, Prepared, Setting, model_of, prepare, ready
from ondevice_sora.simulator.search.problem import Problem, Scored, problem_of
from ondevice_sora.simulator.search.search import FINALISTS, Found, Progress, search
from ondevice_sora.simulator.search.smallest import smallest_budget
from ondevice_sora.simulator.search.state import Known
from ondevice_sora.simulator.simulate import mark_shares


def budget_for(settings: Sequence[Setting], memory: int | None, risk: float | None) -> tuple[int, str]:
    """The bytes that a plan may use on every device, and where they come from. Raises UserError beyond a limit."""
    tightest = min(settings, key=lambda setting: setting.limit_bytes)
    if memory is not None:
        if memory > tightest.limit_bytes:
            raise UserError(
                f"{format_bytes(memory)} is above the limit of {format_bytes(tightest.limit_bytes)} on "
                f"{tightest.device.name}: iOS would end the app",
                "--memory",
                f"Allow {format_bytes(tightest.limit_bytes)} or less, or give the app the entitlement in the plan.",
            )
        return memory, "given with --memory"
    if risk is None:
        return int(tightest.limit_bytes * HEADROOM), f"{format_percent(HEADROOM)} of the limit"
    budgets = [_safe_budget(setting, risk) for setting in settings]
    return min(budgets), f"kept in {format_percent(risk)} of the draws of baseline and limit"


def _safe_budget(setting: Setting, risk: float) -> int:
    return min(setting.limit_bytes, math.floor(np.quantile(allowed_peaks(setting), 1.0 - risk, method="lower")))


def find_plan_for(
    loaded: LoadedPlan,
    settings: Sequence[Setting],
    budget: tuple[int, str],
    risk: float | None = None,
    seconds: float | None = None,
    progress: Progress | None = None,
    budgets: int = 0,
    known: Known | None = None,
) -> tuple[Planning, Plan]:
    """The search's answer and the plan found. `budgets` smaller budgets are searched too, for the Pareto front.

    `known` holds the candidates scored before and takes those scored now. Ctrl-C ends the work with what there is: the
    best plan so far and the rows done. Raises UserError if no plan fits, KeyboardInterrupt before there is any plan.
    """
    known = {} if known is None else known
    share = None if seconds is None else seconds / (1 + budgets / 2)
    described = model_of(loaded)
    with loaded.locating():
        problem = problem_of(loaded.plan, described, settings, budget[0])
        problem.seen = known.setdefault(budget[0], {})
        found = search(problem, share, progress=progress)
        again = problem.score_anew(found.best.choices, found.best.packages)
        if again is None or not math.isclose(again.score, found.best.score, rel_tol=1e-6):
            raise UserError("what is known from before of the best plan is not true", mend="Search from the start.")
    chosen, tried, rows = found.best, list(found.fitting), []
    is_interrupted = found.ending == "interrupted"
    try:
        if not is_interrupted:
            chosen = _choose(problem, found, risk)
            for smaller in _smaller_budgets(problem, found, budgets, share, progress, known):
                tried += smaller.fitting
                is_interrupted = is_interrupted or smaller.ending == "interrupted"
        best = _plan_of(problem, chosen)
        if not is_interrupted:
            for name, make in [("found", _maker(problem, best)), *_others(problem)]:
                for setting in settings:
                    if progress is not None:
                        progress("comparison", chosen, len(problem.seen))
                    try:
                        rows.append(_row(name, make(setting), risk))
                    except UserError:
                        continue  # refused on this device: the budget does not hold it
    except KeyboardInterrupt:
        is_interrupted = True
        best = _plan_of(problem, chosen)
    if not any(row.name == "found" for row in rows):
        rows = [_row("found", ready(best, described, setting), None) for setting in settings]
    answer = Planning(
        budget_bytes=budget[0],
        budget_source=budget[1],
        score=chosen.score,
        bound=found.bound,
        gap=chosen.score / found.bound - 1.0 if found.ending != "optimum" or chosen is not found.best else 0.0,
        ending="interrupted" if is_interrupted else found.ending,
        num_evaluated=found.num_evaluated,
        search_s=found.seconds,
        risk=risk,
        rows=rows,
        memory_front=front(tried, "peak_bytes"),
        storage_front=front(tried, "stored_bytes"),
        package_front=front(tried, "num_packages"),
    )
    return answer, best


def _plan_of(problem: Problem, chosen: Scored) -> Plan:
    plan = problem.plan_of(chosen.choices, chosen.packages)
    return replace(plan, name=f"found within {format_bytes(problem.budget)}")


def _choose(problem: Problem, found: Found, risk: float | None) -> Scored:
    """The best finalist: by score, or by the quantile of its total (relative to each device's bound) under --risk."""
    if risk is None:
        return found.best
    quantiles = []
    for scored in found.finalists[:FINALISTS]:
        plan = problem.plan_of(scored.choices, scored.packages)
        values = [
            _quantile(ready(plan, problem.described, place.setting), risk) / scale
            for place, scale in zip(problem.places, problem.scale, strict=True)
        ]
        quantiles.append(sum(values) / len(values))
    return found.finalists[int(np.argmin(quantiles))]


def _quantile(prepared: Prepared, risk: float) -> float:
    """The total at a quantile of the costs' spread."""
    return float(np.quantile(spread_of(prepared.outcomes()).totals_s, risk))


def _smaller_budgets(
    problem: Problem,
    found: Found,
    budgets: int,
    seconds: float | None,
    progress: Progress | None,
    known: Known,
) -> Iterator[Found]:
    """Searches for evenly spaced budgets from the smallest that works up to the one searched already."""
    smallest = smallest_budget(problem)
    for number in range(budgets):
        budget = smallest + (problem.budget - smallest) * number // budgets
        other = problem.within(budget)
        other.start = found.best.choices
        other.seen = known.setdefault(budget, {})
        part = None if seconds is None else seconds / 2 / budgets
        smaller = search(other, part, progress=progress)
        yield smaller
        if smaller.ending == "interrupted":
            return


def front(tried: Iterable[Scored], held: Literal["peak_bytes", "stored_bytes", "num_packages"]) -> list[FrontPoint]:
    """The plans that no other one beats in both score and `held`, fastest first; seconds are those of device one."""
    points: list[FrontPoint] = []
    least = float("inf")
    for scored in sorted(tried, key=lambda scored: (scored.score, getattr(scored, held))):
        if getattr(scored, held) < least:
            least = getattr(scored, held)
            points.append(FrontPoint(scored.totals_s[0], scored.peak_bytes, scored.stored_bytes, scored.num_packages))
    return points


def _maker(problem: Problem, plan: Plan) -> Callable[[Setting], Prepared]:
    return lambda setting: ready(plan, problem.described, setting)


def _others(problem: Problem) -> list[tuple[str, Callable[[Setting], Prepared]]]:
    """The plan started from; the paper's policy on its blocks; the reference app's plan of that size, if there is one.

    The paper loads one block ahead and keeps the first that fit in what the first step leaves free (App. A.1); the
    budget is its free memory.
    """
    plan = problem.plan
    components: dict[str, ComponentPlan] = {}
    for part in problem.parts:
        name = part.component.name
        keep: Literal["paper", "none"] = "paper" if part.component.passes == "steps" else "none"
        components[name] = replace(plan.component(name), prefetch=1, keep=keep)
    memory = Memory(budget=ByteCount(problem.budget), entitlement=plan.memory.entitlement)
    paper = replace(plan, components=components, memory=memory)
    others = [("start", _maker(problem, plan)), ("paper's policy", _maker(problem, paper))]
    if plan.model == "opensora" and plan.video is not None and plan.video.width == plan.video.height:
        try:
            app = load_plan(f"app-{plan.video.width}-all")
        except UserError:
            return others
        if app.plan.video == plan.video:
            others.append(("reference app", partial(prepare, app)))
    return others


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
        kill_share=kill_share(setting, outcome.peak_bytes),
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
