"""The search over numbers of network evaluations: what each fewer one is worth, partition and all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.schema import LoadedPlan, Lpl, Plan, check_plan, plan_data
from ondevice_sora.plans.step_file import StepFile, estimated_db
from ondevice_sora.plans.step_plan import Grid
from ondevice_sora.records.search import StepPoint
from ondevice_sora.simulator.prepare import Setting, model_of
from ondevice_sora.simulator.search.doubt import doubt_of, held_to
from ondevice_sora.simulator.search.front import Clock, Within
from ondevice_sora.simulator.search.problem import problem_of
from ondevice_sora.simulator.search.search import Progress, gap_of, search


def with_evaluations(plan: Plan, evaluations: int, file: StepFile | None) -> Plan:
    """The plan with so many evaluations and no leap: the file's grid of them, or else as many even steps.

    Raises UserError if the file has none, or if the plan merges tokens on steps that are not there then.
    """
    if file is None:
        sampler = replace(plan.sampler, steps=evaluations, grid="even")
    else:
        if evaluations > file.steps:
            raise UserError(f"{evaluations} evaluations; the grids are of 1 to {file.steps}", "--evaluations")
        grid = Grid(indices=file.front[evaluations - 1].indices, denoiser=file.denoiser)
        sampler = replace(plan.sampler, steps=file.steps, grid=grid)
    changed = replace(plan, sampler=sampler, lpl=Lpl())
    check_plan(changed)
    return changed


def _quality(file: StepFile, evaluations: int) -> float | None:
    error = file.front[evaluations - 1].estimated_error
    return estimated_db(error) if error else None


def front_of_evaluations(
    loaded: LoadedPlan,
    settings: Sequence[Setting],
    budget: int,
    counts: Sequence[int],
    file: StepFile | None,
    most_doubt: float,
    seconds: float | None = None,
    progress: Progress | None = None,
) -> Iterator[StepPoint]:
    """The best plan of each number of evaluations, in the order of `counts`, as soon as it is found.

    Each search begins at the best cuts of the one before. Nothing comes after one that was interrupted. Raises
    UserError if no plan fits, or if all are above the limit with a probability of more than `most_doubt`.
    """
    described, clock = model_of(loaded), Clock(seconds)
    before: Within | None = None
    for number, evaluations in enumerate(counts):
        with loaded.locating():
            plan = with_evaluations(loaded.plan, evaluations, file)
            problem = problem_of(plan, described, settings, budget)
            if before is not None:
                problem.start = before.best.choices
            found = search(problem, clock.share(1.0, len(counts) - number), progress=progress)
            before = Within(problem, found)
            if found.ending != "interrupted":
                before = held_to(most_doubt, before, progress)
        best = before.best
        plan = before.problem.plan_of(best.choices, best.packages)
        yield StepPoint(
            total_s=best.totals_s[0],
            peak_bytes=best.peak_bytes,
            stored_bytes=best.stored_bytes,
            num_packages=best.num_packages,
            budget_bytes=before.problem.budget,
            kill_share=doubt_of(before.problem, best),
            gap=gap_of(best.score, found.bound, found.ending == "optimum" and best is found.best),
            ending=found.ending,
            plan=plan_data(replace(plan, name=f"{evaluations} evaluations")),
            evaluations=evaluations,
            estimated_db=None if file is None else _quality(file, evaluations),
        )
        if found.ending == "interrupted":
            return
