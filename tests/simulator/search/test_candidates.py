"""What a search goes by: the same answers as the schedule built whole, compiled or not."""

import random

import pytest
from worlds.instances import instance
from worlds.toys import random_toy

from ondevice_sora.base.compiled import compiled, has_compiler
from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.loading import HELPERS, load_plan_of
from ondevice_sora.simulator.fast import finish
from ondevice_sora.simulator.recurrence import after, finish_times
from ondevice_sora.simulator.search import candidates
from ondevice_sora.simulator.search.choices import Choice

needs_numba = pytest.mark.skipif(not has_compiler(), reason="numba is not installed")
PACKAGES = ("shared", "separate")


def random_choice(draw, part):
    free = [start for start in range(1, part.count) if draw.random() < 0.5]
    starts = (0, *free)
    names = [part.name_of(start) for start in starts]
    listed = tuple(name for name in names if draw.random() < 0.5) or "none"
    keep = draw.choice(["none", "optimal", "paper", listed, draw.randint(0, len(starts))])
    return Choice(starts, draw.choice([0, 1, 2, 3, 7, "app"]), keep)


def whole(problem, choices, packages):
    """Total, peak and needed bytes, storage and packages by way of the plan and its schedule."""
    try:
        schedule, costs = problem.schedule(choices, packages, problem.places[0])
    except UserError:
        return None
    found = finish(schedule, costs, problem.places[0].machine)
    separate = packages == "separate"
    stored = {
        (block.component, block.index, block.variant if separate else ""): held
        for block, held in zip(schedule.blocks, costs.stored_bytes, strict=True)
    }
    return found.total_s, found.peak_bytes, schedule.needed_bytes, sum(stored.values()), len(stored)


@pytest.mark.parametrize("is_compiled", [False, pytest.param(True, marks=needs_numba)])
def test_a_candidate_comes_to_what_its_schedule_comes_to(is_compiled, tmp_path, monkeypatch):
    monkeypatch.setattr(candidates, "has_compiler", lambda: is_compiled)
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


@needs_numba
def test_compiled_functions_do_what_they_do_as_they_are():
    import numpy as np

    decide, finish = compiled(load_plan_of, *HELPERS), compiled(finish_times, after)
    draw = random.Random(20250204)
    for _ in range(300):
        toy = random_toy(draw)
        try:
            schedule, costs = toy.schedule()
        except UserError:
            continue
        machine = toy.machine
        blocks = len(schedule.blocks)
        uses, size = schedule.uses, list(costs.resident_bytes)
        columns = [
            list(uses.block),
            [draw.randint(0, 4) for _ in uses.block],
            [draw.randint(0, 2) for _ in uses.block],
            list(range(blocks)),
            list(uses.pass_length),
            size,
            list(costs.working_bytes),
            [held // 2 for held in size],
            [held // 10 for held in size],
        ]
        bytes_ = (machine.memory.baseline, draw.choice([-1, 1500, 3000]), 3000)
        decided = load_plan_of(*columns, *bytes_)
        assert_same(decide(*map(np.array, columns), *bytes_), decided)
        if decided[2] >= 0:
            continue
        prices = [array[:, 0].tolist() for array in costs.seconds]
        rates = [[machine.load_rate["gpu"]] * blocks, [machine.run_rate["gpu"]] * blocks]
        thermal = (True, 0.6, 80.0) if draw.random() < 0.3 else (False, 1.0, 1.0)
        columns = [*map(list, decided[0]), *prices, *rates, size, *columns[6:9]]
        expected = finish_times(*columns, machine.memory.baseline, *thermal)
        assert_same(finish(*map(np.array, columns), machine.memory.baseline, *thermal), expected)


def assert_same(found, expected):
    if isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)
