"""The evaluator is the engine without the engine: same seconds to 1e-9, same peak to the byte."""

import random

import pytest
from worlds.toys import Toy, random_toy

from ondevice_sora.base.errors import UserError
from ondevice_sora.simulator.engine import play
from ondevice_sora.simulator.fast import finish

CASES = 5_000


def assert_equal(toy):
    schedule, costs = toy.schedule()
    played = play(schedule, costs, toy.machine, is_limited=False)
    found = finish(schedule, costs, toy.machine)
    assert found.total_s == pytest.approx(played.total_s, rel=1e-9, abs=1e-9), toy
    assert found.peak_bytes == played.peak_bytes, toy


def test_evaluator_equals_the_engine_on_a_seeded_sweep():
    draw = random.Random(20250204)
    done = 0
    while done < CASES:
        toy = random_toy(draw)
        try:
            toy.schedule()
        except UserError:
            continue  # refused: the budget holds no block
        assert_equal(toy)
        done += 1


def test_a_load_that_ends_with_a_run_is_charged_before_the_run_gives_back():
    """Load 1 (2..4 s) and run 0 (2..4 s) end together; load 2 starts while run 0 is still charged."""
    toy = Toy(blocks=3, load_s=2.0, run_s=2.0, prefetch=2, size=100, working=10)
    assert toy.finish().peak_bytes == toy.play().peak_bytes == 310
