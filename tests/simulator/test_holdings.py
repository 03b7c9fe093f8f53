"""What stays in memory between runs, and what makes up the largest footprint: exact, for every plan."""

import random
from contextlib import suppress

import pytest
from worlds.toys import Toy, random_toy

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.plan_file import ready_plans
from ondevice_sora.records.memory import PeakPart
from ondevice_sora.simulator.holdings import kept_of, peak_of, residents_of
from ondevice_sora.simulator.simulate import simulate


def peak(toy):
    schedule, costs = toy.schedule()
    return peak_of(schedule, costs, toy.machine, toy.play(is_limited=False).peak)


def residents(toy):
    (row,) = residents_of(*toy.schedule())
    return row


def test_a_block_is_named_for_what_it_is_there_for():
    """b0 runs while b1 is loaded ahead of it; b2 stays between steps, and is there from the first on."""
    toy = Toy(steps=2, prefetch=1, keep=("b2",), baseline=7, transient=0.5)
    assert peak(toy).parts == [
        PeakPart("baseline", None, [], 7),
        PeakPart("resident", "denoiser", ["b2"], 100),
        PeakPart("run", "denoiser", ["b0"], 100),
        PeakPart("ahead", "denoiser", ["b1"], 100),
        PeakPart("loading", "denoiser", ["b1"], 50),
        PeakPart("working", "denoiser", ["b0"], 10),
    ]


def test_what_unloaded_packages_left_behind_is_told():
    parts = peak(Toy(residual=0.1, sizes=(100, 100, 300))).parts
    assert [(part.holder, part.blocks, part.bytes) for part in parts] == [
        ("baseline", [], 0), ("run", ["b2"], 300), ("working", ["b2"], 10), ("left", [], 20),
    ]  # fmt: skip


def test_blocks_that_are_kept_are_named_with_their_bytes():
    row = residents(Toy(blocks=4, steps=3, keep=2, sizes=(10, 20, 40, 80)))
    assert (row.component, row.num_blocks, row.num_passes) == ("denoiser", 4, 3)
    assert (row.always, row.always_bytes) == (["b0", "b1"], 30)
    assert (row.sometimes, row.sometimes_bytes) == ([], 0)


def test_a_block_that_is_run_once_stays_only_if_it_is_left_there():
    assert residents(Toy()).always == []
    assert residents(Toy(keep="always")).always == ["b0", "b1", "b2"]
    assert residents(Toy(keep="always", start="loaded")).always == ["b0", "b1", "b2"]


def test_a_block_that_is_released_once_in_between_is_kept_sometimes():
    """The reference app gives up what it kept at step 15."""
    toy = Toy(blocks=5, steps=17, keep="app", sizes=(100,) * 5, limit=10**9)
    row = residents(toy)
    assert row.sometimes == ["b1", "b2", "b3"]
    assert kept_of(toy.schedule()[0]) == ["never", "sometimes", "sometimes", "sometimes", "never"]


def test_the_parts_add_up_to_the_peak_of_any_plan():
    played = 0
    for seed in range(300):
        toy = random_toy(random.Random(seed))
        with suppress(UserError):  # a budget that cannot be kept
            outcome = toy.play(is_limited=False)
            found = peak(toy)
            assert found.bytes == outcome.peak_bytes, seed
            assert all(part.bytes > 0 for part in found.parts[1:])
            blocks = [
                name for part in found.parts if part.holder in ("resident", "run", "ahead") for name in part.blocks
            ]
            assert len(blocks) == len(set(blocks)), seed
            played += 1
    assert played > 200


@pytest.mark.parametrize("name", ready_plans())
def test_the_parts_add_up_to_the_peak_of_every_ready_plan(name):
    result = simulate(name, with_advice=False).result
    assert result.peak.bytes == result.needed_bytes
    assert [row.component for row in result.residents] == list(dict.fromkeys(row.component for row in result.blocks))
