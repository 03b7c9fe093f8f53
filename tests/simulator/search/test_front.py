"""Every point of the front is a search of its own, and a plan that can be had."""

import pytest
from worlds.instances import instance

from ondevice_sora.api import loaded_plan
from ondevice_sora.plans.plan_file import LoadedPlan
from ondevice_sora.simulator.prepare import load_inputs, prepare
from ondevice_sora.simulator.search.budget import Budget, budget_for, other_budget
from ondevice_sora.simulator.search.comparison import Goal, find_plan_for
from ondevice_sora.simulator.search.problem import problem_of
from ondevice_sora.simulator.search.search import search


@pytest.mark.parametrize("seed", range(12))
def test_no_search_for_the_peak_of_a_point_alone_beats_it(seed, tmp_path):
    problem = instance(seed, tmp_path)
    settings = [place.setting for place in problem.places]
    answer, _ = find_plan_for(LoadedPlan(problem.plan), settings, Budget(problem.budget, "given"), Goal(budgets=4))
    points = answer.memory_front
    assert points[0].total_s == pytest.approx(answer.rows[0].total_s)
    assert [point.total_s for point in points] == sorted(point.total_s for point in points)
    assert [point.peak_bytes for point in points] == sorted((point.peak_bytes for point in points), reverse=True)
    for point in points:
        assert point.peak_bytes <= point.budget_bytes
        direct = search(problem_of(problem.plan, problem.described, settings, point.peak_bytes))
        assert direct.ending == "optimum"
        assert point.total_s <= direct.best.score * (1 + 1e-9)
        played = prepare(loaded_plan(point.plan), settings[0]).play()
        assert played.total_s == pytest.approx(point.total_s, rel=1e-9)
        assert played.peak_bytes == point.peak_bytes


def test_a_plan_that_needs_less_is_taken_if_the_search_with_more_room_missed_it(tmp_path):
    """A search is no proof: what was found within a smaller budget is found within this one."""
    problem = instance(3, tmp_path, num_units=12)
    settings = [place.setting for place in problem.places]
    alone, _ = find_plan_for(LoadedPlan(problem.plan), settings, Budget(problem.budget, "given"))
    beside, _ = find_plan_for(LoadedPlan(problem.plan), settings, Budget(problem.budget, "given"), Goal(budgets=3))
    assert beside.rows[0].total_s == min(point.total_s for point in beside.memory_front)
    assert beside.rows[0].total_s <= alone.rows[0].total_s * (1 + 1e-9)


def test_beside_a_safe_budget_stands_the_whole_limit_and_beside_a_bold_one_a_safe_one():
    _, setting = load_inputs("ours-192")
    usual, source = budget_for([setting], None, None)
    assert "with 99 % certainty" in source
    assert other_budget([setting], usual) == setting.limit_bytes
    assert other_budget([setting], setting.limit_bytes) == usual
    assert other_budget([setting], 10**9) == setting.limit_bytes
