"""What a search goes by: the same answers as the schedule built whole, compiled or not."""

import random

import numpy as np
import pytest
from worlds.instances import instance
from worlds.toys import random_toy

from ondevice_sora.base.compiled import compiled, has_compiler
from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.heat import NO_HEAT, Heat
from ondevice_sora.plans.loading import HELPERS, Room, Walk, planned_loads
from ondevice_sora.plans.recurrence import Blocks, Seconds
from ondevice_sora.plans.schedule import sizes_of
from ondevice_sora.plans.schema import Packages
from ondevice_sora.simulator.fast import finish
from ondevice_sora.simulator.search import candidates
from ondevice_sora.simulator.search import problem as problem_module
from ondevice_sora.simulator.search.candidates import play_walk
from ondevice_sora.simulator.search.choices import Choice

needs_numba = pytest.mark.skipif(not has_compiler(), reason="numba is not installed")
PACKAGES: tuple[Packages, ...] = ("shared", "separate")


def random_choice(draw, part):
    free = [start for start in range(1, part.count) if draw.random() < 0.5]
    starts = (0, *free)
    names = [part.name_of(start) for start in starts]
    listed = tuple(name for name in names if draw.random() < 0.5) or "none"
    keep = draw.choice(["none", "belady", "paper", listed, draw.randint(0, len(starts))])
    return Choice(starts, draw.choice([0, 1, 2, 3, 7, "app"]), keep)


def whole(problem, choices, packages):
    """Total, peak and needed bytes, storage and packages by way of the plan and its schedule."""
    try:
        schedule, costs = problem.schedule(choices, packages, problem.places[0])
    except UserError:
        return None
    found = finish(schedule, costs, problem.places[0].machine)
    return found.total_s, found.peak_bytes, schedule.needed_bytes, *schedule.stored(costs)


@pytest.mark.parametrize("is_compiled", [False, pytest.param(True, marks=needs_numba)])
def test_a_candidate_comes_to_what_its_schedule_comes_to(is_compiled, tmp_path, monkeypatch):
    candidates.wait_for_compiler()
    if not is_compiled:
        monkeypatch.setattr(candidates, "compiled_play", lambda: None)
    draw = random.Random(3)
    played = refused = 0
    for seed in range(40):
        problem = instance(seed, tmp_path)
        for _ in range(8):
            choices = tuple(random_choice(draw, part) for part in problem.parts)
            packages = draw.choice(PACKAGES)
            found, expected = problem.play(choices, packages, problem.places[0]), whole(problem, choices, packages)
            assert found == expected, (seed, choices)
            played, refused = played + (found is not None), refused + (found is None)
    assert played > 100
    assert refused > 10


def test_candidates_are_scored_from_the_first_on_while_the_compiler_is_at_work(tmp_path, monkeypatch):
    """From lists first and from arrays when it is done, with the same answers, whatever was remembered before."""
    candidates.wait_for_compiler()
    ready = candidates.compiled_play()
    answers = []
    for is_ready in ([False] * 8, [False, True, False, True] * 2, [True] * 8):
        draw, problem = random.Random(1), instance(2, tmp_path)
        for now in is_ready:
            monkeypatch.setattr(candidates, "compiled_play", lambda now=now: ready if now else None)
            choices = tuple(random_choice(draw, part) for part in problem.parts)
            answers.append(problem.play(choices, "shared", problem.places[0]))
    assert answers[:8] == answers[8:16] == answers[16:]
    assert any(answers)


def test_what_is_remembered_is_let_go_of_when_it_is_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr(candidates, "MOST_NUMBERS", 40)
    monkeypatch.setattr(candidates, "MOST_BLOCKS", 12)
    monkeypatch.setattr(problem_module, "MOST_KNOWN_BYTES", 5_000)
    draw, problem, whole = random.Random(1), instance(4, tmp_path, num_units=6), instance(4, tmp_path, num_units=6)
    for _ in range(60):
        choices = (random_choice(draw, problem.parts[0]),)
        assert problem.score(choices) == whole.score_anew(choices)
    held = problem.candidates[id(problem.places[0])]
    assert len(held.rows) <= 12 + 12
    assert problem.num_scored > len(problem.seen)
    assert problem.known_bytes < 5_000 + 2_000


@needs_numba
def test_compiled_functions_do_what_they_do_as_they_are():
    plan, play = compiled(planned_loads, *HELPERS), compiled(play_walk, *candidates.HELPERS)
    draw = random.Random(20250204)
    for _ in range(300):
        toy = random_toy(draw)
        try:
            schedule, costs = toy.schedule()
        except UserError:
            continue
        block, num_blocks = list(schedule.columns.block), len(schedule.blocks)
        walk = Walk(
            block, [draw.randint(0, 4) for _ in block], [draw.randint(0, 3) for _ in block],
            list(schedule.columns.pass_length), draw.randint(0, 2),
        )  # fmt: skip
        sizes = sizes_of(costs, toy.memory)
        room = Room(toy.baseline, draw.choice([-1, 1500, 3000]), 3000)
        package = list(range(num_blocks))
        planned = planned_loads(walk, package, sizes, room)
        assert_same(plan(arrays(walk), np.array(package), arrays(sizes), room), planned)
        prices = [array[:, 0].tolist() for array in costs.seconds]
        seconds = Seconds(*[*prices, [toy.load_rate] * num_blocks, [toy.run_rate] * num_blocks])
        heat = Heat(True, 0.6, 80.0) if draw.random() < 0.3 else NO_HEAT
        played = play_walk(walk, package, Blocks(seconds, sizes), room, heat)
        assert_same(play(arrays(walk), np.array(package), Blocks(arrays(seconds), arrays(sizes)), room, heat), played)


def arrays(columns):
    """The same columns as a compiled function takes them."""
    return type(columns)(*(column if isinstance(column, int) else np.array(column) for column in columns))


def assert_same(found, expected):
    if isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)
