"""Small random planning problems."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.writing import write_yaml
from ondevice_sora.plans.plan_file import LoadedPlan
from ondevice_sora.plans.schedule import Schedule
from ondevice_sora.plans.schema import ComponentPlan, FirstSteps, Plan, Sampler, Start, Tdtm
from ondevice_sora.profiles.blocks import Loading
from ondevice_sora.profiles.costs import BlockCosts
from ondevice_sora.simulator.prepare import load_inputs, model_of
from ondevice_sora.simulator.search.candidates import Played
from ondevice_sora.simulator.search.choices import all_choices
from ondevice_sora.simulator.search.place import Place
from ondevice_sora.simulator.search.problem import Problem, problem_of
from ondevice_sora.simulator.search.smallest import smallest_budget
from worlds.brute_force import WINDOWS
from worlds.costs import with_clean_room


def played_candidates(
    problem: Problem, draw: random.Random, count: int
) -> Iterator[tuple[Played, Schedule, BlockCosts, Place]]:
    """Of so many random candidates those that keep the budget: what they come to, and their schedule on one device."""
    place = problem.places[0]
    for _ in range(count):
        choices = tuple(draw.choice(list(all_choices(part, WINDOWS))) for part in problem.parts)
        found = problem.play(choices, "shared", place)
        try:
            schedule, costs = problem.schedule(choices, "shared", place)
        except UserError:
            assert found is None
            continue
        assert found is not None
        yield found, schedule, costs, place


def instance(
    seed: int,
    folder: Path,
    most_units: int = 5,
    num_units: int | None = None,
    start: Start = "first",
    stays: str = "",
    clean_room: int | None = None,
) -> Problem:
    """A random model of one or two components, and a random budget between the smallest and everything in memory.

    `stays` is the component that stays loaded, if there is one. With `clean_room` Core AI loads them all, and so many
    bytes stay in clean pages.
    """
    draw = random.Random(seed)
    counts = draw.choice([(n,) for n in range(2, most_units + 1)] + [(1, 2), (1, 3), (2, 1), (2, 2), (3, 1)])
    if num_units is not None:
        counts = (num_units,)
    merges = draw.random() < 0.3
    components: list[dict[str, Any]] = []
    for number, count in enumerate(counts):
        is_last = number == len(counts) - 1
        units: list[dict[str, Any]] = [
            {
                "name": f"u{i}",
                "parameters": draw.randint(1, 60) * 10**6,
                "plain": {
                    "matmul_flops": draw.choice([0, 1, 5, 20, 100]) * 1e10,
                    "working_elements": draw.randint(0, 20) * 10**6,
                },
            }
            for i in range(count)
        ]
        if is_last and merges:
            for unit in units[1:]:
                unit["tdtm"] = {**unit["plain"], "matmul_flops": unit["plain"]["matmul_flops"] / 2}
        passes = "steps" if is_last else draw.choice([1, 2])
        components.append({"name": ("encoder", "denoiser")[is_last], "passes": passes, "units": units})
    path = folder / f"model{seed}.yaml"
    write_yaml(path, {"name": "random", "source": "made up", "components": components})
    steps = draw.randint(1, 4)
    tdtm = Tdtm(steps=FirstSteps(draw.randint(1, steps))) if merges and counts[-1] > 1 else Tdtm()
    loading: Loading = "core_ml" if clean_room is None else "core_ai"
    names = [component["name"] for component in components]
    settings = {name: ComponentPlan(loading=loading) for name in names if clean_room is not None}
    if stays:
        settings[stays] = ComponentPlan(keep="always", loading=loading)
    plan = Plan("random", str(path), sampler=Sampler(steps=steps), tdtm=tdtm, components=settings, start=start)
    loaded, setting = load_inputs(LoadedPlan(plan))
    if clean_room is not None:
        setting = with_clean_room(setting, clean_room)
    problem = problem_of(plan, model_of(loaded), [setting], 10**12)
    smallest = smallest_budget(problem)
    whole = sum(unit["parameters"] * 4 for component in components for unit in component["units"])
    problem.budget = smallest + int(draw.random() * whole)
    return problem
