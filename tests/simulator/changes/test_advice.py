"""What a user is told to change: only what was tried and helps, and how to fit where a plan is killed."""

import pytest
from msgspec.structs import replace

from ondevice_sora.plans.schema import Memory
from ondevice_sora.profiles.figures import ByteCount
from ondevice_sora.simulator.changes.change import loading
from ondevice_sora.simulator.prepare import asked, prepare
from ondevice_sora.simulator.simulate import simulate


def told(name, **options):
    return simulate(name, **options).result.advice


def test_a_plan_that_waits_for_loads_is_told_what_loading_ahead_saves():
    """The saving named is the difference of the two plans' totals."""
    advice = told("app-192")
    (line,) = [line for line in advice if "in the denoiser" in line]
    prepared = prepare(*asked("app-192"))
    budget = ByteCount(0.92 * prepared.setting.limit_bytes)
    plan = replace(loading(prepared, ["denoiser"], prefetch=2, keep="optimal"), memory=Memory(budget=budget))
    saved = prepared.finish().total_s - prepared.changed(plan).finish().total_s
    assert line.startswith("Load ahead and keep what fits (prefetch: 2, keep: optimal) in the denoiser: saves ")
    minutes, seconds = int(saved // 60), round(saved % 60)
    assert f"saves {minutes} min {seconds:02d} s within 3.04 GB; the denoiser waits" in line


def test_a_component_that_nothing_helps_is_told_to_be_stored_smaller():
    """ours-256 loads ahead within its budget already; its text encoder runs once and waits for its bytes."""
    assert any(line.startswith("Store the text_encoder smaller: the text_encoder waits ") for line in told("ours-256"))


def test_leaping_is_proposed_where_no_step_is_left_out_yet():
    assert any(line.startswith("Leap early: LPL at step 15 leaves 16 network") for line in told("app-192"))
    assert not any("Leap" in line for line in told("app-192-lpl"))
    assert not any("Leap" in line for line in told("sdxl-768"))


def test_a_killed_plan_is_told_the_bytes_missing_and_the_ways_to_fit():
    first, second, third, *_ = told("app-256-cidl", memory_limit=900_000_000)
    assert first == (
        "The plan needs 1.01 GB, 112 MB more than the limit: cut block 'layer_1' of text_encoder smaller, load fewer "
        "blocks ahead, or keep fewer resident."
    )
    assert second.startswith("Set memory.budget: loading is then held back to fit")
    assert third == "With the increased-memory entitlement iPhone 15 Pro allows 6.00 GB: the plan would fit."


@pytest.mark.parametrize("name", ["ours-192", "ours-256"])
def test_a_killed_plan_with_a_budget_is_not_told_to_set_one(name):
    assert not any("memory.budget" in line for line in told(name, memory_limit=2_000_000_000))


def test_a_plan_that_fits_is_told_nothing_of_memory():
    assert not any("limit" in line for line in told("app-256-all"))
