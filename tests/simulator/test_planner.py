"""The search finds the optimum where every plan can be tried with the engine, and says how far it may be elsewhere."""

import random
from itertools import combinations

import pytest

from plans.schedule import build_schedule
from plans.schema import Plan, Sampler
from profiles.documents import Document, write_yaml
from profiles.errors import UserError
from profiles.profile import load_profile
from simulator.choices import Choice, with_choices
from simulator.engine import play
from simulator.lower_bound import smallest_budget
from simulator.planner import search
from simulator.problem import problem_of
from simulator.simulation import pricer, setting_of

WINDOWS = (0, 1, 2)
INSTANCES = 300


def instance(seed, folder, most_units=5):
    """A random model of one or two components, and a random budget between the smallest and everything in memory."""
    draw = random.Random(seed)
    counts = draw.choice([(n,) for n in range(2, most_units + 1)] + [(1, 3), (2, 2), (3, 1), (2, 3), (3, 2)])
    components = []
    for number, count in enumerate(counts):
        is_last = number == len(counts) - 1
        units = [
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
        passes = "steps" if is_last else draw.choice([1, 2])
        components.append({"name": ("encoder", "denoiser")[is_last], "passes": passes, "units": units})
    path = folder / f"model{seed}.yaml"
    write_yaml(path, {"name": "random", "source": "made up", "components": components})
    plan = Plan(name="random", model=path.name, sampler=Sampler(steps=draw.randint(1, 4)))
    document = Document({}, {}, folder / "plan.yaml")
    profile, device = load_profile("iphone15pro")
    setting = setting_of(profile, device, plan)
    problem = problem_of(plan, document, [setting], 10**12)
    smallest = smallest_budget(problem)
    whole = sum(unit["parameters"] * 4 for component in components for unit in component["units"])
    problem.budget = smallest + int(draw.random() * whole)
    return problem


def all_plans(problem):
    """Every cut, window and set of residents of every component, written down once more and plainly."""
    options = []
    for part in problem.parts:
        own = []
        for cut in range(2 ** (part.count - 1)):
            starts = (0, *(i for i in range(1, part.count) if cut >> (i - 1) & 1))
            names = [part.name_of(start) for start in starts]
            sets = [kept for many in range(1, len(names) + 1) for kept in combinations(names, many)]
            keeps = ["none", "optimal", *sets] if part.num_passes > 1 else ["none"]
            own += [Choice(starts, window, keep) for keep in keeps for window in WINDOWS]
        options.append(own)
    plans = [()]
    for own in options:
        plans = [(*before, choice) for before in plans for choice in own]
    return plans


def brute_force(problem):
    """The least total of any plan within the budget, played by the engine."""
    place = problem.places[0]
    price = pricer(place.setting.profile, place.setting.device)
    best = float("inf")
    for choices in all_plans(problem):
        plan = with_choices(problem.plan, problem.parts, choices, problem.budget, "shared")
        try:
            schedule, costs = build_schedule(
                plan, problem.model, problem.reference, price, place.memory, problem.document
            )
        except UserError:
            continue
        outcome = play(schedule, costs, place.machine, is_limited=False)
        assert outcome.peak_bytes <= problem.budget
        best = min(best, outcome.total_s)
    return best


@pytest.mark.parametrize("block", range(10))
def test_search_finds_the_optimum_of_small_instances(block, tmp_path):
    for seed in range(block * INSTANCES // 10, (block + 1) * INSTANCES // 10):
        problem = instance(seed, tmp_path, most_units=4)
        found = search(problem, windows=WINDOWS)
        assert found.ending == "optimum"
        assert found.best.score == pytest.approx(brute_force(problem), rel=1e-9), seed
        assert found.bound <= found.best.score * (1 + 1e-9), seed
        assert found.best.peak_bytes <= problem.budget
