"""Plans a second: the engine with its schedule built anew, against the planner's evaluator; then whole searches.

    python benchmarks/planner.py

All score the same list of different plans, the neighbours of the shipped one, each once. Beside them: the engine with
the schedules given, the evaluator by way of the plan and uncompiled, and as a bound for Python a loop that only walks
the visits. Beside a search, the time that no plan beats.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice

from ondevice_sora.base.compiled import has_compiler
from ondevice_sora.simulator.engine import play
from ondevice_sora.simulator.fast import finish
from ondevice_sora.simulator.prepare import load_inputs, model_of, ready
from ondevice_sora.simulator.search.candidates import wait_for_compiler
from ondevice_sora.simulator.search.choices import Choices
from ondevice_sora.simulator.search.moves import moves
from ondevice_sora.simulator.search.problem import Problem, problem_of
from ondevice_sora.simulator.search.search import WINDOWS, search

BUDGET = 3_300_000_000
PLANS = 60
ROUNDS = 7


def problem(name: str) -> Problem:
    loaded, setting = load_inputs(name)
    return problem_of(loaded.plan, model_of(loaded), [setting], BUDGET)


def neighbours(fresh: Problem) -> list[Choices]:
    """Different plans that fit: the shipped one with one thing of the denoiser changed."""
    index, part = next((i, p) for i, p in enumerate(fresh.parts) if p.component.passes == "steps")
    own = fresh.start
    every = (
        (*own[:index], choice, *own[index + 1 :])
        for move in range(part.count + 1)
        for choice in moves(part, own[index], WINDOWS, move)
    )
    return list(islice((choices for choices in every if fresh.score(choices) is not None), PLANS))


def rates(works: dict[str, Callable[[Choices], object]], plans: list[Choices]) -> dict[str, float]:
    """Plans a second, each the best of its rounds; in turn, because other programs share the cores."""
    best = dict.fromkeys(works, 0.0)
    for _ in range(ROUNDS):
        for name, work in works.items():
            start = time.perf_counter()
            for choices in plans:
                work(choices)
            best[name] = max(best[name], len(plans) / (time.perf_counter() - start))
    return best


def main() -> None:
    fresh = problem("ours-256")
    plans = neighbours(fresh)
    place = fresh.places[0]
    built = [fresh.schedule(choices, "shared", place) for choices in plans]
    visits = sum(len(schedule.visits) for schedule, _ in built) / len(built)

    def engine(choices: Choices) -> object:
        prepared = ready(fresh.plan_of(choices, "shared"), fresh.described, place.setting)
        return play(prepared.schedule, prepared.costs, prepared.machine)

    def evaluator(choices: Choices) -> object:
        fresh.seen.clear()
        return fresh.score(choices)

    given = dict(zip(plans, built, strict=True))

    def engine_alone(choices: Choices) -> object:
        schedule, costs = given[choices]
        return play(schedule, costs, place.machine)

    def bare(choices: Choices) -> object:
        return [visit.block for visit in given[choices][0].visits]

    def uncompiled(choices: Choices) -> object:
        schedule, costs = fresh.schedule(choices, "shared", place)
        return finish(schedule, costs, place.machine)

    print(f"ours-256, {len(plans)} different plans of {visits:.0f} visits, each scored once, best of {ROUNDS} rounds")
    wait_for_compiler()
    if not has_compiler():
        print("numba is not installed: nothing is compiled")
    found_rates = rates(
        {"engine": engine, "engine, schedules given": engine_alone, "evaluator, from the plan": uncompiled,
         "evaluator, of a search": evaluator, "walk only": bare}, plans,
    )  # fmt: skip
    for name, plans_per_s in found_rates.items():
        print(f"  {name:26} {plans_per_s:8.0f} plans/s   {plans_per_s / found_rates['engine']:8.1f} x the engine")
    for name in ("ours-256", "ours-192"):
        found = search(problem(name))
        print(
            f"{name} at {BUDGET / 1e9:.1f} GB: {found.best.score:.2f} s, bound {found.bound:.2f} s, gap "
            f"{found.gap * 100:.2f} %; {found.num_evaluated} plans in {found.seconds:.1f} s ({found.ending})"
        )


if __name__ == "__main__":
    main()
