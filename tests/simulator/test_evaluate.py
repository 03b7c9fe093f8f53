"""The evaluator is the engine without the engine: same seconds to 1e-9, same peak to the byte."""

import random

import pytest
from toys import Toy

from plans.schema import FirstSteps, Lpl, Tdtm
from profiles.errors import UserError
from simulator.engine import play
from simulator.evaluate import evaluate
from simulator.machine import Thermal

CASES = 5_000


def assert_equal(toy):
    schedule, costs = toy.schedule()
    played = play(schedule, costs, toy.machine, is_limited=False)
    finish = evaluate(schedule, costs, toy.machine)
    assert finish.total_s == pytest.approx(played.total_s, rel=1e-9, abs=1e-9), toy
    assert finish.peak_bytes == played.peak_bytes, toy


def random_toy(draw):
    """Any policy and feature; half of them on a grid of whole seconds, where loads and runs end together."""
    is_whole = draw.random() < 0.5

    def seconds(most):
        return float(draw.randint(0, most)) if is_whole else draw.choice([0.0, 1.0, 1.0]) * draw.uniform(0, most)

    def rate():
        return draw.choice([1.0, 0.5, 0.75]) if is_whole else draw.uniform(0.4, 1.0)

    blocks, steps = draw.randint(1, 8), draw.randint(1, 14)
    load_s, run_s = seconds(10), seconds(10)
    merged = tuple(sorted(draw.sample(range(steps), draw.randint(0, steps))))
    return Toy(
        blocks=blocks,
        steps=steps,
        sizes=tuple(draw.randint(1, 1000) for _ in range(blocks)),
        slowness=draw.choice([(), tuple(float(draw.randint(1, 4)) for _ in range(blocks))]),
        load_s=load_s,
        run_s=run_s,
        cold_s=load_s + seconds(10),
        first_run_s=run_s + seconds(3),
        unload_s=draw.choice([0.0, 0.25, 1.0]),
        working=draw.randint(0, 300),
        baseline=draw.randint(0, 100),
        limit=draw.randint(100, 10_000),
        budget=draw.choice([None, None, draw.randint(500, 6_000)]),
        prefetch=draw.choice([0, 1, 2, 3, 5, 9, "app"]),
        keep=draw.choice(["none", "paper", "app", "optimal", "optimal", *range(blocks + 1)]),
        tdtm=Tdtm(
            steps=draw.choice(["none", "all", FirstSteps(draw.randint(0, min(5, steps))), merged]),
            packages=draw.choice(["shared", "separate"]),
        ),
        lpl=draw.choice([Lpl(), Lpl(), Lpl(mode="fixed", leap_step=0)]),
        transient=draw.choice([0.0, 0.5]),
        residual=draw.choice([0.0, 0.1, 1.5]),
        load_rate=rate(),
        run_rate=rate(),
        thermal=draw.choice([None, None, Thermal(0.6, 80.0)]),
    )


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
    assert toy.evaluate().peak_bytes == toy.play().peak_bytes == 310
