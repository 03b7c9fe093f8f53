"""Plans a second: the engine with its schedule built anew, against the planner's evaluator; then whole searches.

    python benchmarks/planner.py

Both score the same list of different plans, the neighbours of the shipped one, each once. The bound beside the
evaluator is a loop that only walks the visits; beside a search, the time that no plan beats.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice

from plans.schema import load_plan
from profiles.profile import load_profile
from simulator.choices import Choices
from simulator.engine import play
from simulator.planner import WINDOWS, moves, search
from simulator.problem import Problem, problem_of
from simulator.simulation import prepare, setting_of

BUDGET = 3_300_000_000
PLANS = 60


def problem(name: str) -> Problem:
    plan, document = load_plan(name)
    profile, device = load_profile("iphone15pro")
    return problem_of(plan, document, [setting_of(profile, device, plan)], BUDGET)


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


def rate(work: Callable[[Choices], object], plans: list[Choices]) -> float:
    """Plans a second, the best of three rounds: other programs share the cores."""
    rounds = []
    for _ in range(3):
        start = time.perf_counter()
        for choices in plans:
            work(choices)
        rounds.append(len(plans) / (time.perf_counter() - start))
    return max(rounds)


def main() -> None:
    fresh = problem("ours-256")
    plans = neighbours(fresh)
    place = fresh.places[0]
    ready = [fresh.schedule(choices, "shared", place) for choices in plans]
    visits = sum(len(schedule.visits) for schedule, _ in ready) / len(ready)

    def engine(choices: Choices) -> object:
        prepared = prepare(fresh.plan_of(choices, "shared"), fresh.document, place.setting)
        return play(prepared.schedule, prepared.costs, prepared.machine)

    def evaluator(choices: Choices) -> object:
        fresh.seen.clear()
        return fresh.score(choices)

    schedules = iter(schedule for _ in range(3) for schedule, _ in ready)

    def bare(_: Choices) -> object:
        return [visit.block for visit in next(schedules).visits]

    print(f"ours-256, {len(plans)} different plans of {visits:.0f} visits, each scored once, best of 3 rounds")
    base = rate(engine, plans)
    for name, work in {"engine": engine, "evaluator": evaluator, "walk only": bare}.items():
        plans_per_s = base if name == "engine" else rate(work, plans)
        print(f"  {name:10} {plans_per_s:10.0f} plans/s   {plans_per_s / base:8.1f} x the engine")
    for name in ("ours-256", "ours-192"):
        found = search(problem(name))
        print(
            f"{name} at {BUDGET / 1e9:.1f} GB: {found.best.score:.2f} s, bound {found.bound:.2f} s, gap "
            f"{found.gap * 100:.2f} %; {found.num_evaluated} plans in {found.seconds:.1f} s ({found.ending})"
        )


if __name__ == "__main__":
    main()
