"""What a user is told to change: only what was tried and helps, in the plan's own keys."""

import pytest
import yaml
from msgspec.structs import replace

from ondevice_sora.plans.plan_file import load_plan
from ondevice_sora.plans.schema import Memory
from ondevice_sora.profiles.figures import ByteCount
from ondevice_sora.profiles.models.configured import Shape
from ondevice_sora.simulator.changes.advice import SEARCHED, Names
from ondevice_sora.simulator.changes.keys import keys_between
from ondevice_sora.simulator.prepare import load_inputs
from ondevice_sora.simulator.simulate import simulate, simulation_of
from ondevice_sora.simulator.whole import whole_plan


def told(name, device="iphone15pro", **options):
    return simulate(name, device, **options).result.advice


def searched(name, **options):
    return simulation_of(*load_inputs(name, **options), names=Names(str(name), "iphone15pro")).result.advice


CASES = [
    ("ours-256", {}), ("app-256-all", {}), ("small", {}), ("sd1.5-512", {}),
    ("ours-256", {"memory_limit": 2_000_000_000}), ("ours-192", {"memory_limit": 2_000_000_000}),
    ("ours-256", {"device": "iphone17pro"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), CASES)
def test_the_keys_written_into_a_plan_make_what_was_told(tmp_path, name, options):
    """Pasted under `extends`, each piece of advice comes to the total, peak, saving and risk that stand beside it."""
    result = simulate(name, **options).result
    assert result.advice
    for number, one in enumerate(result.advice):
        path = tmp_path / f"{number}.yaml"
        path.write_text("\n".join([f"extends: {name}", "name: changed", *one.keys]))
        changed = simulate(path, **options, with_advice=False).result
        assert changed.unlimited_s == pytest.approx(one.total_s)
        assert changed.needed_bytes == one.peak_bytes
        assert result.unlimited_s - one.total_s == pytest.approx(one.saved_s)
        assert changed.kill_share == pytest.approx(one.kill_share, abs=1e-9)
    least = min(one.kill_share for one in result.advice)
    assert all(one.kill_share <= 0.05 for one in result.advice) or (result.verdict == "killed" and least > 0.05)


def test_a_killed_plan_is_told_a_lower_budget_that_fits():
    """It was told to cut smaller, load fewer ahead or keep fewer, where one line does it."""
    advice = told("ours-256", memory_limit=2_000_000_000)
    assert ["memory: {budget: 1.84 GB}"] in [one.keys for one in advice]
    assert all(one.peak_bytes < 2_000_000_000 for one in advice)
    assert all(0.05 < one.kill_share < 0.15 for one in advice), (
        "the decoder's working memory is in doubt: told as it is"
    )


def test_what_a_plan_that_stays_loaded_is_told_can_be_pasted(tmp_path):
    """Told to keep only what fits, it still began `loaded`, which is refused where nothing stays so."""
    path = tmp_path / "stays.yaml"
    stays = "{denoiser: {keep: always}, text_encoder: {keep: always}}"
    path.write_text(f"extends: ours-256\nname: stays\nmemory: {{budget: null}}\nstart: loaded\ncomponents: {stays}\n")
    rows = {one.title: one for one in told(str(path))}
    one = rows["Give the plan a budget, and keep only what fits in it"]
    assert one.keys[-1] == "start: cached"
    path.with_name("changed.yaml").write_text("\n".join(["extends: stays.yaml", *one.keys]))
    result = simulate(path.with_name("changed.yaml"), with_advice=False).result
    assert result.total_s == pytest.approx(one.total_s)


def test_a_plan_with_room_is_told_a_higher_budget():
    (one,) = [one for one in told("ours-256", "iphone17pro") if one.keys == ["memory: {budget: 3.00 GB}"]]
    assert one.saved_s > 5.0
    assert one.reason == "the budget of 2.60 GB leaves 2.20 GB under the limit unused"


def test_smaller_weights_are_proposed_only_where_they_save():
    """The small model's text encoder waits for what a first load takes whatever its size."""
    assert not [one for one in told("small") if "Store" in one.title]
    (one,) = [one for one in told("ours-256") if "Store" in one.title]
    assert one.keys == ["components: {text_encoder: {precision: int4_float32}}"]
    assert one.saved_s > 0.01 * simulate("ours-256", with_advice=False).result.total_s
    assert one.quality == "what it does to the picture was not measured"


def test_planned_grids_come_with_their_measured_quality():
    rows = {one.title: one for one in told("small")}
    one = rows["Evaluate 8 planned steps of 30"]
    assert one.keys == ["sampler: {grid: {planned: {evaluations: 8}}}"]
    assert one.quality == "measured: frames within 43.4 dB of those of all 30 steps"


def test_fewer_steps_are_proposed_where_no_grid_is_known_and_none_was_chosen():
    (one,) = [one for one in told("app-192") if one.title == "Walk 16 steps instead of 30"]
    assert one.keys == ["sampler: {steps: 16}"]
    assert "not measured" in one.quality
    assert not [one for name in ("app-192-lpl", "sdxl-768") for one in told(name) if "steps" in one.title]


def test_a_search_is_named_where_it_saves_more_than_any_single_change(tmp_path):
    first = searched("app-256-all")[0]
    assert first.command == ("ondevice-sora plan search app-256-all --device iphone15pro --budget 2.72GB -o best.yaml")
    assert first.keys == [] and f"first {SEARCHED} plans" in first.reason
    others = [one for one in told("app-256-all") if one.quality is None]
    assert first.saved_s > 1.1 * max(one.saved_s for one in others)
    assert not [one for one in searched("small") if one.command]


def test_a_plan_whose_whole_denoiser_is_killed_is_told_how_to_cut_it(tmp_path):
    path = tmp_path / "whole.yaml"
    path.write_text("extends: app-256\nname: whole\ncomponents: {denoiser: {blocks: whole}}\n")
    result = simulate(path).result
    assert result.verdict == "killed"
    (one,) = [one for one in result.advice if one.title == "Cut denoiser smaller, and give the plan a budget"]
    budget, blocks = one.keys
    assert budget == "memory: {budget: 2.72 GB}"
    assert yaml.safe_load(blocks)["components"]["denoiser"]["blocks"]["units_per_block"] > 1


def test_where_nothing_fits_it_is_said_what_is_too_large():
    result = simulate("app-256-all", memory_limit=900_000_000).result
    assert result.advice == []
    unit, why = result.no_advice.removesuffix(").").split(" (")
    assert unit.startswith("No way to cut or load this model fits: unit 'up3_res_0' of decoder.spatial needs 957 MB"), (
        "the unit that needs most, not the first one that is too large"
    )
    assert why == "what may be used below the limit of 900 MB, not known exactly"


def test_a_killed_plan_that_no_single_change_saves_is_told_so():
    result = simulate(whole_plan("wan2.1-1.3b", Shape(480, 320, 49)), "iphone17pro").result
    assert (result.verdict, result.advice) == ("killed", [])
    assert result.no_advice.startswith("No single change that was tried fits with a risk of at most 5.0 %.")


def test_advice_is_the_same_each_time():
    assert searched("sd1.5-512") == searched("sd1.5-512")


def test_keys_say_only_what_differs():
    plan = load_plan("ours-256").plan
    assert keys_between(plan, plan) == []
    denoiser = replace(plan.components["denoiser"], prefetch=3)
    changed = replace(
        plan, name="other", memory=Memory(budget=ByteCount(1_234_567_890), entitlement=True),
        components={**plan.components, "denoiser": denoiser},
    )  # fmt: skip
    assert keys_between(plan, changed) == [
        "memory: {budget: 1234567890, entitlement: true}", "components: {denoiser: {prefetch: 3}}",
    ]  # fmt: skip
