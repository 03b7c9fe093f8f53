"""A search goes by how the plan starts, and leaves a component loaded that is to stay so."""

import random
from contextlib import suppress

import pytest
from worlds.brute_force import WINDOWS
from worlds.instances import instance, played_candidates

import ondevice_sora as sora
from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.plan_file import load_plan
from ondevice_sora.plans.scheduling import build_schedule
from ondevice_sora.profiles.profile import load_profile
from ondevice_sora.simulator.engine import play
from ondevice_sora.simulator.fast import finish
from ondevice_sora.simulator.prepare import setting_of
from ondevice_sora.simulator.search.budget import Budget
from ondevice_sora.simulator.search.choices import all_choices, with_choices
from ondevice_sora.simulator.search.comparison import Goal, find_plan_for
from ondevice_sora.simulator.search.search import search

STARTS = [("cached", ""), ("first", "denoiser"), ("cached", "denoiser"), ("loaded", "denoiser"), ("loaded", "encoder")]


def instances(start, stays, folder, count):
    """Problems that have the component that stays."""
    found = []
    for seed in range(100, 200):
        with suppress(UserError):  # there is no such component
            found.append(instance(seed, folder, 4, start=start, stays=stays))
        if len(found) == count:
            break
    return found


@pytest.mark.parametrize(("start", "stays"), STARTS)
def test_a_candidate_comes_to_what_its_schedule_comes_to(start, stays, tmp_path):
    draw, played = random.Random(5), 0
    for problem in instances(start, stays, tmp_path, 8):
        for found, schedule, costs, place in played_candidates(problem, draw, 6):
            whole = finish(schedule, costs, place.machine)
            assert found[:3] == (whole.total_s, whole.peak_bytes, schedule.needed_bytes)
            played += 1
    assert played > 10


@pytest.mark.parametrize(("start", "stays"), STARTS)
def test_the_search_finds_the_optimum_and_its_bound_holds(start, stays, tmp_path):
    for problem in instances(start, stays, tmp_path, 4):
        best = float("inf")
        place = problem.places[0]
        for choices in every_choice(problem.parts):
            plan = with_choices(problem.plan, problem.parts, choices, problem.budget, "shared")
            try:
                schedule, costs = build_schedule(plan, problem.model, {}, place.prices, place.memory)
            except UserError:
                continue
            best = min(best, play(schedule, costs, place.machine, is_limited=False).total_s)
        found = search(problem, windows=WINDOWS)
        total_s = found.best.score
        assert total_s <= best * (1 + 1e-9)
        assert found.lower_bound <= total_s * (1 + 1e-9)
        chosen = problem.plan_of(found.best.choices, found.best.packages)
        assert chosen.start == start
        if stays:
            assert chosen.component(stays).keep == "always"


def every_choice(parts):
    plans = [()]
    for part in parts:
        plans = [(*before, choice) for before in plans for choice in all_choices(part, WINDOWS)]
    return plans


def test_a_search_that_is_cut_short_returns_no_plan_slower_than_the_one_it_began_with() -> None:
    """It begins with other residents than `keep: optimal` chooses, and with no time at all ends there."""
    loaded = load_plan("ours-256")
    setting = setting_of(*load_profile("iphone15pro"), loaded.plan)
    budget = 2_600_000_000
    answer, plan = find_plan_for(loaded, [setting], Budget(budget, "given"), Goal(seconds=0.0))
    totals = {row.name: row.total_s for row in answer.rows}
    assert totals["found"] == totals["start"]
    assert answer.gap is not None and answer.gap > 0
    assert sora.simulate(plan, advice=False).total_s == totals["found"]
