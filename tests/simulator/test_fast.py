"""The evaluator is the engine without the engine: same seconds to 1e-9, same peak to the byte."""

import random
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from worlds.rows import random_row
from worlds.toys import Toy, random_toy

from ondevice_sora.base.compiled import has_compiler
from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.heat import NO_HEAT, Heat
from ondevice_sora.plans.schema import FirstSteps, Keep, Tdtm
from ondevice_sora.simulator import fast
from ondevice_sora.simulator.engine import play
from ondevice_sora.simulator.fast import finish, sampled_totals

needs_numba = pytest.mark.skipif(not has_compiler(), reason="numba is not installed")

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


@pytest.mark.parametrize("is_compiled", [False, pytest.param(True, marks=needs_numba)])
@pytest.mark.parametrize("heat", [NO_HEAT, Heat(True, 0.6, 80.0)])
def test_samples_together_come_to_what_each_comes_to_alone(is_compiled, heat, monkeypatch):
    """Every sample has its own prices, rates and heat."""
    monkeypatch.setattr(fast, "pays", lambda seconds: is_compiled)
    toy = Toy(blocks=4, steps=12, prefetch=2, keep=1, sizes=(3, 1, 4, 1), residual=0.5, tdtm=Tdtm(FirstSteps(2)))
    schedule, costs = toy.schedule()
    factors = np.array([[0.5, 1.0, 1.7, 3.0]])
    columns = {
        name: getattr(costs, name) * factors ** (1 + number % 3)
        for number, name in enumerate(("load_warm_s", "load_cold_s", "run_s", "first_run_s", "unload_s"))
    }
    sampled = replace(costs, **columns)
    machines = [
        toy.with_(
            load_rate=0.5 + 0.1 * number, run_rate=1.0 - 0.1 * number,
            heat=heat._replace(floor=heat.floor + 0.05 * number) if heat.is_on else NO_HEAT,
        ).machine
        for number in range(4)
    ]  # fmt: skip
    alone = [finish(schedule, sampled, machine, number).total_s for number, machine in enumerate(machines)]
    assert len(set(alone)) == 4
    assert sampled_totals(schedule, sampled, machines).tolist() == pytest.approx(alone, rel=1e-12)


def random_case(draw):
    """Components in a row with windows and residents of their own, heat, variants, and what packages leave behind."""
    row = random_row(draw, most_blocks=5)
    windows: list[int | Literal["app"]] = [draw.choice([0, 0, 1, 2, 3, 6, "app"]) for _ in row.parts]
    keeps: list[Keep] = [
        draw.choice(["none", "belady", "paper", "always", draw.randint(0, len(part.sizes))]) for part in row.parts
    ]
    return (
        row.loading(*windows)
        .keeping(*keeps)
        .with_(
            budget=draw.choice([None, row.budget]),
            heat=draw.choice([NO_HEAT, Heat(True, draw.uniform(0.2, 1.0), draw.uniform(1.0, 100.0))]),
            tdtm=Tdtm(draw.choice(["none", "all", FirstSteps(1)]), packages=draw.choice(["shared", "separate"])),
            residual=draw.choice([0.0, 0.1, 1.5]),
        )
    )


def assert_cases_equal(seed, cases):
    draw = random.Random(seed)
    done = 0
    while done < cases:
        row = random_case(draw)
        try:
            row.schedule()
        except UserError:
            continue  # refused: what is to be kept leaves no room
        assert_equal(row)
        done += 1


def test_evaluator_equals_the_engine_with_components_of_different_windows():
    assert_cases_equal(1, 200)


@pytest.mark.exhaustive
def test_evaluator_equals_the_engine_on_five_thousand_rows_of_components():
    assert_cases_equal(20260101, CASES)
