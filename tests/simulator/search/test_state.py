"""A search that was cut short goes on from its file, to the end that it would have come to."""

import dataclasses
import json

import pytest
from msgspec.structs import replace
from worlds.instances import instance

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.plan_file import LoadedPlan
from ondevice_sora.simulator.search.budget import Budget
from ondevice_sora.simulator.search.comparison import Goal, find_plan_for
from ondevice_sora.simulator.search.search import search
from ondevice_sora.simulator.search.state import fingerprint, load_state, save_state


class Interrupter:
    """Ctrl-C at a number of plans, or in a phase."""

    def __init__(self, num_evaluated=10**9, phase=""):
        self.num_evaluated, self.phase = num_evaluated, phase

    def __call__(self, phase, best, num_evaluated):
        if best is not None and (num_evaluated >= self.num_evaluated or phase == self.phase):
            raise KeyboardInterrupt


@pytest.fixture
def make(tmp_path):
    """Fresh problems of twelve units, too many for every plan to be tried."""
    return lambda: instance(3, tmp_path, num_units=12)


def about_of(problem):
    return fingerprint(problem.plan, [place.setting for place in problem.places])


def test_a_resumed_search_ends_as_one_that_was_never_cut_short(make, tmp_path):
    whole = search(make())
    stopped = make()
    assert search(stopped, progress=Interrupter(300)).ending == "interrupted"
    about, path = about_of(stopped), tmp_path / "state.json"
    save_state(path, about, {stopped.budget: stopped.seen})
    resumed = make()
    resumed.seen = load_state(path, about)[resumed.budget]
    assert resumed.seen == stopped.seen
    found = search(resumed)
    assert (found.best, found.num_evaluated, found.ending) == (whole.best, whole.num_evaluated, "converged")


def test_a_resumed_search_without_time_still_knows_the_best(make):
    first = make()
    best = search(first).best
    again = make()
    again.seen = first.seen
    stopped = search(again, seconds=1e-9)
    assert stopped.ending == "time"
    assert stopped.best == best


def test_the_state_of_another_search_is_refused(make, tmp_path):
    problem, path = make(), tmp_path / "state.json"
    save_state(path, about_of(problem), {})
    problem.plan = replace(problem.plan, sampler=replace(problem.plan.sampler, steps=7))
    with pytest.raises(UserError, match=r"state.json: not the state of this search"):
        load_state(path, about_of(problem))
    path.write_text("{")
    with pytest.raises(UserError, match=r"state.json: not valid JSON.*\nName another file"):
        load_state(path, "")
    assert load_state(tmp_path / "none.json", "") == {}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda entry: entry.__setitem__(2, {**entry[2], "score": -1.0}), "score: expected a number >= 0.0"),
        (lambda entry: entry.__setitem__(2, {**entry[2], "packages": "separate"}), "the score is another plan's"),
        (lambda entry: entry.__setitem__(0, None), "expected a list, found nothing"),
        (lambda entry: entry.clear(), "list of at least length 3"),
    ],
)
def test_a_state_that_was_altered_is_refused_at_its_place(make, tmp_path, change, complaint):
    problem, path = make(), tmp_path / "state.json"
    search(problem, progress=Interrupter(300))
    save_state(path, "about", {problem.budget: problem.seen})
    state = json.loads(path.read_text())
    entries = state["scored"][str(problem.budget)]
    change(next(entry for entry in entries if entry[2] is not None))
    path.write_text(json.dumps(state))
    with pytest.raises(UserError, match=rf"state.json: scored\.{problem.budget}\[\d+\].*{complaint}"):
        load_state(path, "about")


def test_a_lie_about_the_best_plan_is_noticed(make):
    problem = make()
    settings = [place.setting for place in problem.places]
    search(problem, progress=Interrupter(300))
    key, scored = next((key, scored) for key, scored in problem.seen.items() if scored is not None)
    known = {problem.budget: {key: dataclasses.replace(scored, score=1.0)}}
    with pytest.raises(UserError, match="what is known from before of the best plan is not true"):
        find_plan_for(LoadedPlan(problem.plan), settings, Budget(problem.budget, "given"), known=known)


@pytest.mark.parametrize("interrupter", [Interrupter(40), Interrupter(phase="comparison")])
def test_ctrl_c_at_any_time_keeps_the_best_so_far(interrupter, tmp_path):
    problem = instance(4, tmp_path)
    settings = [place.setting for place in problem.places]
    answer, best = find_plan_for(
        LoadedPlan(problem.plan), settings, Budget(problem.budget, "given"), Goal(risk=0.95), interrupter
    )
    assert answer.ending == "interrupted"
    assert answer.rows[0].name == "found"
    assert answer.rows[0].peak_bytes <= best.memory.budget == problem.budget
