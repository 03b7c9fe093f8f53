"""One thing changed at a time, by rules that stand once: reports that ask the same question vary the plan alike."""

from dataclasses import replace

import pytest
from msgspec.structs import replace as with_settings

from ondevice_sora.plans.plan_file import LoadedPlan, load_plan
from ondevice_sora.plans.scheduling import build_schedule
from ondevice_sora.plans.schema import ComponentPlan, Memory, Plan
from ondevice_sora.profiles.figures import ByteCount
from ondevice_sora.simulator import prepare as prepare_module
from ondevice_sora.simulator.changes.change import (
    Change,
    budget_of,
    leaping,
    loading,
    merging,
    tried,
    with_entitlement,
    without_leap,
    without_merging,
)
from ondevice_sora.simulator.changes.whatif import what_ifs
from ondevice_sora.simulator.prepare import GIVEN, load_inputs, prepare
from ondevice_sora.simulator.simulate import simulate


@pytest.fixture(scope="module")
def bare():
    """The reference app with no technique."""
    return prepare(*load_inputs("app-256"))


@pytest.fixture(scope="module")
def ours():
    return prepare(*load_inputs("ours-256"))


def test_lpl_is_proposed_where_it_would_save_a_step(bare, ours):
    assert leaping(bare).evaluations() == 16
    assert leaping(ours) is None
    assert (
        leaping(bare.changed(with_settings(bare.plan, sampler=with_settings(bare.plan.sampler, steps=17)))) is not None
    )
    assert leaping(bare.changed(with_settings(bare.plan, sampler=with_settings(bare.plan.sampler, steps=16)))) is None
    assert leaping(prepare(*load_inputs("sdxl-768"))) is None


def test_techniques_are_taken_away_only_where_they_are(bare, ours):
    assert without_leap(bare.plan) is without_merging(bare.plan) is None
    assert without_leap(ours.plan).evaluations() == 30
    assert not without_merging(ours.plan).merges(0)
    assert merging(bare).merges(29)
    assert merging(ours) is None


def test_the_entitlement_scales_the_budget_as_the_limit(ours):
    plan, setting = with_entitlement(ours.plan, ours.setting, True)
    assert plan.memory.entitlement
    assert plan.memory.budget / ours.plan.memory.budget == pytest.approx(setting.limit_bytes / ours.setting.limit_bytes)
    assert with_entitlement(ours.plan, ours.setting, False) is None, "the limit stays"
    given = replace(ours.setting, limit_bytes=2_000_000_000, limit_source=GIVEN)
    assert with_entitlement(ours.plan, given, True) is None, "a limit that was given holds with it too"


def test_a_plan_without_a_budget_is_given_one_below_the_limit(bare, ours):
    assert budget_of(ours) == ours.plan.memory.budget
    assert 0.9 * bare.setting.limit_bytes < budget_of(bare) < bare.setting.limit_bytes


def test_components_that_the_plan_does_not_name_are_changed_too():
    """A plan that names none loads one block ahead by default: what-ifs said that loading none changes nothing."""
    prepared = prepare(*load_inputs(LoadedPlan(Plan("bare", "opensora", video=load_plan("app-192").plan.video))))
    changed = loading(prepared, prefetch=0)
    assert {name: settings.prefetch for name, settings in changed.components.items()} == {
        "text_encoder": 0, "denoiser": 0, "decoder.temporal": 0, "decoder.spatial": 0,
    }  # fmt: skip
    rows = {row.title: row for row in what_ifs(prepared)}
    assert rows["Without CI-DL"].total_s > prepared.finish().total_s


def test_a_familys_settings_stay_what_they_are_but_for_the_change(bare):
    kept = loading(bare, ["decoder.spatial"], keep="optimal")
    assert kept.component("decoder.spatial") == with_settings(bare.plan.component("decoder.spatial"), keep="optimal")
    assert kept.component("decoder.temporal") == bare.plan.component("decoder.temporal")


def test_a_change_whose_plan_is_refused_is_left_out(ours):
    refused = with_settings(ours.plan, memory=Memory(budget=ByteCount(10**6)))
    unknown = with_settings(ours.plan, components={"denoyser": ComponentPlan()})
    changes = [
        Change("a", refused, ours.setting),
        Change("b", unknown, ours.setting),
        Change("c", ours.plan, ours.setting),
    ]
    assert [change.title for change, _ in tried(ours, changes)] == ["c"]


def test_a_change_of_the_setting_keeps_model_and_plan(ours):
    smaller = replace(ours.setting, limit_bytes=10**9)
    ((_, other),) = tried(ours, [Change("smaller", ours.plan, smaller)])
    assert other.plan is ours.plan and other.described is ours.described
    assert other.machine.memory.available == 10**9


@pytest.mark.parametrize("name", ["ours-256", "app-256-all"])
def test_nothing_is_prepared_twice(monkeypatch, name):
    """Interval, advice and what-ifs each look at other plans, or share what is there already."""
    seen = []

    def noted(plan, model, reference, price, memory, evaluations, *others):
        seen.append((plan, price.keywords["costs"], memory, evaluations))
        return build_schedule(plan, model, reference, price, memory, evaluations, *others)

    monkeypatch.setattr(prepare_module, "build_schedule", noted)
    simulate(name, with_what_ifs=True)
    assert len(seen) > 3
    assert all(one not in seen[:index] for index, one in enumerate(seen))
