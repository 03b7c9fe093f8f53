"""Bounds are true at every moment, come at once, and get better; the smallest budget is that of single units."""

import random
from dataclasses import replace

import pytest
from msgspec.structs import replace as with_settings
from worlds.instances import instance

from ondevice_sora.plans.scheduling import build_schedule
from ondevice_sora.simulator.engine import play
from ondevice_sora.simulator.prepare import load_inputs, model_of
from ondevice_sora.simulator.search import lower_bound as lower_bound_module
from ondevice_sora.simulator.search.choices import Choice, with_choices
from ondevice_sora.simulator.search.lower_bound import is_large, lower_bound, lower_bounds, quick_bounds
from ondevice_sora.simulator.search.problem import problem_of
from ondevice_sora.simulator.search.search import search
from ondevice_sora.simulator.search.smallest import smallest_budget


@pytest.fixture
def few_are_many(monkeypatch):
    """Every problem is taken as a large one."""
    monkeypatch.setattr(lower_bound_module, "FEW_BLOCKS", 0)


@pytest.mark.parametrize("block", range(4))
def test_no_bound_on_the_way_is_above_the_optimum(block, tmp_path, few_are_many):
    for seed in range(block * 40, (block + 1) * 40):
        problem = instance(seed, tmp_path)
        bounds = list(lower_bounds(problem, problem.places[0]))
        best = search(problem, windows=(0, 1, 2, 3))
        assert best.ending == "optimum"
        assert bounds == sorted(bounds)
        assert 0 < bounds[-1] <= best.best.score, seed
        assert max(quick_bounds(problem, problem.places[0])) <= bounds[-1] * (1 + 1e-9)


def elsewhere(problem, draw):
    """The same problem on the Neural Engine, which refuses large packages, from another start, and with one kept."""
    units = draw.choice(["cpu_and_ne", "all", "cpu_and_gpu"])
    limit = draw.choice([10**15, 300_000_000, 150_000_000, 60_000_000])
    start = draw.choice(["first", "cached", "loaded"])
    stays = [start == "loaded" or draw.random() < 0.2, draw.random() < 0.3]
    problem.plan = with_settings(problem.plan, start=start)
    problem.parts = tuple(
        replace(part, compute_units=(units,) * part.count, engine_bytes=limit, stays=is_kept)
        for part, is_kept in zip(problem.parts, stays, strict=False)
    )
    problem.start = tuple(Choice((0,), 1, "none") for _ in problem.parts)
    problem.budget = smallest_budget(problem) + int(draw.random() * 6e8)
    return problem


@pytest.mark.parametrize("block", range(4))
def test_nor_is_it_on_an_engine_that_refuses_blocks_or_where_something_is_loaded_already(block, tmp_path):
    draw = random.Random(block)
    for seed in range(500 + block * 30, 500 + (block + 1) * 30):
        problem = elsewhere(instance(seed, tmp_path, most_units=4), draw)
        place = problem.places[0]
        best = search(problem, windows=(0, 1, 2, 3))
        assert best.ending == "optimum"
        assert best.lower_bound <= best.best.score, seed
        assert 0 < max(quick_bounds(problem, place)) <= best.best.score, seed
        schedule, costs = problem.schedule(best.best.choices, "shared", place)
        assert play(schedule, costs, place.machine).total_s == pytest.approx(best.best.score, rel=1e-9)


@pytest.mark.parametrize("budget", [10**9, 2 * 10**9, 3 * 10**9])
@pytest.mark.parametrize("plan", ["ours-192", "ours-256"])
def test_the_bound_at_once_is_near_the_bound_from_all_blocks(plan, budget):
    loaded, setting = load_inputs(plan)
    problem = problem_of(loaded.plan, model_of(loaded), [setting], budget)
    quick, whole = max(quick_bounds(problem, problem.places[0])), lower_bound(problem, problem.places[0])
    assert 0.9 * whole < quick <= whole * (1 + 1e-9)


def test_a_problem_that_is_too_large_for_all_blocks_is_bounded_at_once(tmp_path, monkeypatch, few_are_many):
    problem = instance(3, tmp_path, num_units=12)
    assert is_large(problem)
    monkeypatch.setattr(lower_bound_module, "MOST_BLOCKS", 10)
    monkeypatch.setattr(lower_bound_module, "price_table", None)
    assert lower_bound(problem, problem.places[0]) == max(quick_bounds(problem, problem.places[0]))


def test_the_smallest_budget_is_what_single_units_need(tmp_path):
    """Also where blocks leave bytes behind, and whatever merges when: by the schedule of the whole plan."""
    problems = [instance(seed, tmp_path) for seed in range(60)]
    for name in ("ours-192", "sdxl-768"):
        loaded, setting = load_inputs(name)
        problems.append(problem_of(loaded.plan, model_of(loaded), [setting], 10**12))
    for problem in problems:
        place = problem.places[0]
        choices = tuple(Choice(tuple(range(part.count)), 0, "none") for part in problem.parts)
        plan = with_choices(problem.plan, problem.parts, choices, 10**14, "shared")
        for residual in (0.0, 0.3):
            memory = place.memory.__class__(place.memory.baseline, 10**15, place.memory.transient, residual)
            whole, _ = build_schedule(plan, problem.model, problem.described.reference, place.prices, memory)
            object.__setattr__(place.machine, "memory", memory)
            assert smallest_budget(problem) == whole.needed_bytes
