"""What the app has done before the clock starts, and what it keeps loaded: an encoder of 100 bytes and a denoiser of
two blocks of 100, walked twice."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.checks import check_plan
from ondevice_sora.plans.schedule import MemoryModel
from ondevice_sora.plans.scheduling import build_schedule
from ondevice_sora.plans.schema import ComponentPlan, Memory, Plan, Sampler
from ondevice_sora.profiles.costs import BlockCosts
from ondevice_sora.profiles.figures import ByteCount
from ondevice_sora.profiles.models.model import Component, Model, Unit, Work

MODEL = Model(
    "toy", "made up",
    (
        Component("encoder", 1, (Unit("e", 25, Work()),)),
        Component("denoiser", "steps", (Unit("a", 25, Work()), Unit("b", 25, Work()))),
    ),
)  # fmt: skip


def price(blocks):
    second = np.ones((len(blocks), 1))
    held, none, marks = (100,) * len(blocks), (0,) * len(blocks), ({},) * len(blocks)
    return BlockCosts(second, second, second, second, second, held, none, held, marks, marks)


def planned(start="first", encoder="none", denoiser="none", budget=None):
    components = {
        "encoder": ComponentPlan(prefetch=0, keep=encoder),
        "denoiser": ComponentPlan(blocks="unit", prefetch=0, keep=denoiser),
    }
    memory = Memory(None if budget is None else ByteCount(budget))
    return Plan("toy", "toy", sampler=Sampler(2), memory=memory, components=components, start=start)


def scheduled(available=10**6, **settings):
    return build_schedule(planned(**settings), MODEL, {}, price, MemoryModel(available=available))[0]


def loads(schedule):
    """The block of every load, those that specialise it in capitals."""
    names = [(schedule.blocks[visit.block].name, visit) for visit in schedule.visits if visit.loads]
    return "".join(name.upper() if visit.cold else name for name, visit in names)


@pytest.mark.parametrize(("start", "expected"), [("first", "EABab"), ("cached", "eabab"), ("loaded", "eabab")])
def test_packages_are_new_to_the_device_only_at_the_first_start(start, expected):
    assert loads(scheduled(start=start)) == expected


@pytest.mark.parametrize(("start", "expected"), [("first", "EABab"), ("cached", "eabab"), ("loaded", "abab")])
def test_what_stays_is_there_only_if_the_app_has_generated_in_this_launch(start, expected):
    schedule = scheduled(start=start, encoder="always")
    assert loads(schedule) == expected
    assert not schedule.visits[0].evicts


def test_the_first_run_after_a_load_is_marked_and_no_other():
    assert [visit.first_run for visit in scheduled(denoiser=("a",)).visits] == [True, True, True, False, True]
    assert [v.first_run for v in scheduled(start="loaded", encoder="always").visits] == [False] + [True] * 4


def test_a_component_that_stays_counts_while_the_others_run():
    """One block at a time is 100 bytes; an encoder that stays makes it 200, also before its own turn."""
    assert scheduled().needed_bytes == 100
    assert scheduled(encoder="always").needed_bytes == 200
    assert scheduled(encoder="always", denoiser="always", start="loaded").needed_bytes == 300
    assert scheduled(denoiser="always").needed_bytes == 200
    assert scheduled(denoiser="always", start="loaded").needed_bytes == 300


def test_a_budget_is_refused_for_what_stays():
    scheduled(encoder="always", budget=200)
    with pytest.raises(UserError, match=r"block 'a' of denoiser needs 200 B .*100 B kept resident.* 1 B more"):
        scheduled(encoder="always", budget=199)


def test_the_papers_policy_fills_what_the_components_that_stay_leave_free():
    assert loads(scheduled(denoiser="paper", available=300)) == "EAB"
    assert loads(scheduled(denoiser="paper", encoder="always", available=300)) == "EABb"


def test_a_loaded_start_without_a_component_that_stays_is_refused():
    check_plan(planned(start="loaded", encoder="always"))
    with pytest.raises(UserError, match="no component stays loaded from one generation to the next") as error:
        check_plan(planned(start="loaded"))
    assert error.value.field == "$.start"
    check_plan(replace(planned(start="loaded"), start="cached"))
