"""A plan is read with its bases, checked, and written back equal."""

import pickle
from pathlib import Path

import msgspec
import pytest

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.documents import Document
from ondevice_sora.base.files.reading import parse_yaml
from ondevice_sora.plans.checks import check_plan
from ondevice_sora.plans.plan_file import READY, load_plan, ready_plans
from ondevice_sora.plans.schema import Plan, json_schema, plan_data


@pytest.mark.parametrize("name", sorted(ready_plans()))
def test_ready_plans_load_and_survive_a_round_trip(name):
    plan = load_plan(name).plan
    again = Document(plan_data(plan), {}, Path("again.yaml")).convert(Plan)
    assert again == plan


@pytest.mark.parametrize("name", sorted(ready_plans()))
def test_a_plan_in_another_process_is_the_same_as_data(name):
    plan = load_plan(name).plan
    again = pickle.loads(pickle.dumps(plan))
    assert again == plan
    assert plan_data(again) == plan_data(plan)


def test_a_plan_inherits_key_by_key():
    plan = load_plan("app-192-all").plan
    assert plan.video is not None
    assert (plan.video.width, plan.sampler.steps, plan.lpl.leap_step) == (192, 30, 15)
    assert plan.component("denoiser").keep == "app"
    assert plan.component("text_encoder").precision == "int8_float32"


def test_a_stage_takes_its_familys_settings_unless_it_has_its_own():
    plan = plan_of("components: {decoder: {prefetch: 3}, decoder.spatial: {prefetch: 0}}")
    assert plan.component("decoder.temporal").prefetch == 3
    assert plan.component("decoder.spatial").prefetch == 0


@pytest.mark.parametrize(
    ("steps", "merged"), [("none", []), ("all", [0, 1, 2]), ("{first: 2}", [0, 1]), ("[0, 2]", [0, 2])]
)
def test_token_merging_is_decided_per_step(steps, merged):
    plan = plan_of(f"sampler: {{steps: 3}}\ntdtm: {{steps: {steps}}}")
    assert [step for step in range(3) if plan.merges(step)] == merged


def test_dynamic_lpl_shows_its_median_outcome():
    plan = plan_of("lpl: {mode: dynamic, stop_steps: {16: 0.3, 17: 0.4, 20: 0.3}}")
    assert plan.evaluations() == 18
    assert plan.evaluation_odds() == {17: 0.3, 18: 0.4, 21: 0.3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lpl: {mode: fixed}", "needs a leap_step"),
        ("lpl: {leap_step: 3}", "has no effect with mode 'off'"),
        ("lpl: {mode: fixed, leap_step: 30}", "leap step 30 lies beyond the 30 steps"),
        ("lpl: {mode: dynamic}", "needs stop_steps, to be simulated, or a rule, to generate with"),
        ("lpl: {mode: fixed, leap_step: 3, rule: paper}", "lpl.rule: has no effect with mode 'fixed'"),
        ("lpl: {mode: dynamic, rule: curvature}", "rule 'curvature' needs an accepted_error"),
        ("lpl: {mode: dynamic, rule: paper, accepted_error: 0.1}", "has no effect with rule 'paper'"),
        ("lpl: {accepted_error: 0.1}", "has no effect with mode 'off' and no rule"),
        ("lpl: {mode: dynamic, rule: curvature, accepted_error: 0}", "accepted_error: expected a number > 0"),
        ("lpl: {mode: dynamic, stop_steps: {3: 0.5}}", "add up to 0.5, not 1"),
        ("tdtm: {steps: [1, 1]}", "a step is listed twice"),
        ("tdtm: {steps: {first: 31}}", "step 30 lies beyond"),
    ],
)
def test_what_a_schema_cannot_say_is_said(text, message):
    with pytest.raises(UserError, match=message):
        plan_of(text)


def test_the_json_schema_knows_every_key():
    schema = json_schema()
    assert set(schema["$defs"]["Plan"]["properties"]) == {*Plan.__struct_fields__, "extends"}


def test_ready_plans_are_named_after_what_they_are():
    for name, path in ready_plans().items():
        plan = load_plan(name).plan
        assert path.parent == READY
        if plan.video is not None:
            assert str(plan.video.width) in name


def plan_of(text):
    document = parse_yaml(f"name: test\nmodel: opensora\n{text}", Path("test.yaml"))
    plan = document.convert(Plan)
    check_plan(plan)
    assert msgspec.convert(plan_data(plan), Plan, str_keys=True, dec_hook=lambda kind, value: kind.parse(value)) == plan
    return plan
