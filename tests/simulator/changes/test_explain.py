"""Why a plan takes as long as it does: every reason is the difference of two whole plans."""

import pytest
from msgspec.structs import replace

from ondevice_sora.plans.schema import FirstSteps, Lpl
from ondevice_sora.simulator.changes.change import loading
from ondevice_sora.simulator.changes.explain import NEXT_BEST, NO_BUDGET, explain
from ondevice_sora.simulator.prepare import load_inputs, prepare


@pytest.fixture(scope="module")
def prepared():
    return prepare(*load_inputs("ours-192"))


@pytest.fixture(scope="module")
def explanation(prepared):
    return explain(prepared)


def reason(explanation, title):
    (found,) = [reason for reason in explanation.reasons if reason.title == title]
    return found


def test_it_is_about_the_plan_as_it_is_simulated(prepared, explanation):
    finish = prepared.finish()
    assert (explanation.total_s, explanation.peak_bytes) == (finish.total_s, finish.peak_bytes)
    assert explanation.bound_s < explanation.total_s
    assert explanation.budget_bytes == prepared.plan.memory.budget
    assert explanation.notes == []


def test_a_techniques_worth_is_the_total_without_it(prepared, explanation):
    without = prepared.changed(replace(prepared.plan, lpl=Lpl())).finish().total_s
    found = reason(explanation, "without LPL")
    assert found.saved_s == pytest.approx(prepared.finish().total_s - without)
    assert found.saved_s < 0, "it takes longer"
    assert found.better_share == 0.0, "in every draw of the costs"


def test_more_bandwidth_is_never_slower_and_all_of_loading_more_than_reading(explanation):
    reading = reason(explanation, "10 % more storage bandwidth")
    loading = reason(explanation, "10 % more bandwidth in all of loading")
    assert 0 < reading.saved_s < loading.saved_s
    assert reading.better_share == loading.better_share == 1.0
    assert reading.peak_change_bytes == 0


def test_the_components_seconds_add_up(prepared, explanation):
    assert sum(row.total_s for row in explanation.components) == pytest.approx(explanation.total_s)
    for row in explanation.components:
        parts = row.run_s + row.interference_s + row.stall_s + row.other_s
        assert parts == pytest.approx(row.total_s), row.component
        assert 0 <= row.reload_s <= row.load_s + 1e-9
    by_name = {row.component: row for row in explanation.components}
    assert by_name["text_encoder"].reload_s == 0.0, "it is walked once"
    assert by_name["text_encoder"].bounded_by.endswith(" % of its time is waiting for loads")
    assert by_name["denoiser"].reload_s > 0.0
    assert "of its loading loads blocks that it had loaded before" in by_name["denoiser"].bounded_by


def test_loads_again_are_all_but_each_packages_first_and_take_as_long_as_the_loads(prepared):
    """The seconds of a load beside a run were told of all loads, those of one alone of the ones that come again; and
    a package that another variant was loaded from before counted as new.
    """
    plan = replace(prepared.plan, tdtm=replace(prepared.plan.tdtm, steps=FirstSteps(8)))
    changed = prepared.changed(loading(prepared.changed(plan), keep="none"))
    (row,) = [row for row in explain(changed).components if row.component == "denoiser"]
    loads = [s for s in changed.play(is_limited=False).spans if s.action == "load" and s.component == "denoiser"]
    known = {span.block for span in loads}
    first = [next(span for span in loads if span.block == block) for block in known]
    assert {span.variant for span in loads} == {"plain", "tdtm"}
    assert row.load_s == pytest.approx(sum(span.seconds for span in loads))
    assert row.reload_s == pytest.approx(row.load_s - sum(span.seconds for span in first))


def test_next_best_plans_differ_in_one_thing_each(explanation):
    group = [reason for reason in explanation.reasons if reason.group.startswith("next-best")]
    assert all(abs(reason.saved_s) >= 1e-3 * explanation.total_s for reason in group), "milliseconds are no other plan"
    assert 0 < len(group) <= NEXT_BEST
    assert len({reason.title for reason in group}) == len(group)
    for found in group:
        component, _, kind = found.title.partition(": ")
        assert component in ("text_encoder", "denoiser", "decoder.temporal", "decoder.spatial")
        assert kind.startswith(("a boundary moved", "prefetch", "keep")) or "blocks, not " in kind
        assert not kind.startswith("keep") or kind.endswith(", not optimal"), "as the plan says it"


def test_what_the_draws_do_not_agree_on_is_said(explanation):
    for found in explanation.reasons:
        against = 1 - found.better_share if found.saved_s > 0 else found.better_share
        is_told = any(f"'{found.title}'" in line for line in explanation.flips)
        assert is_told == (against > 0.1 and abs(found.saved_s) > 1e-6)


def test_without_a_budget_nothing_near_the_plan_is_searched():
    bare = explain(prepare(*load_inputs("app-192")))
    assert bare.notes == [NO_BUDGET]
    assert bare.budget_bytes == 3_300_000_000
    groups = {reason.group for reason in bare.reasons}
    assert groups == {"what more would be worth", "what each technique is worth"}
    assert reason(bare, "with LPL, leap at step 15").saved_s > 0
    assert reason(bare, "with TDTM on all steps").saved_s > 0
