"""What a user is told: the verdict, the numbers behind it, and what to change."""

from dataclasses import replace

import msgspec
import pytest

from ondevice_sora.base.files.reading import read_extended
from ondevice_sora.plans.plan_file import LoadedPlan, load_plan
from ondevice_sora.plans.schema import FirstSteps, Tdtm
from ondevice_sora.simulator.changes.whatif import what_ifs
from ondevice_sora.simulator.prepare import load_inputs, prepare, stored_bytes
from ondevice_sora.simulator.simulate import simulate, simulation_of


@pytest.fixture(scope="module")
def reference():
    return simulate("app-256").result


def test_the_reference_partition_fits(reference):
    assert reference.verdict == "fits"
    assert reference.peak_bytes < reference.limit_bytes == 3_300_000_000


def test_components_add_up_to_the_total(reference):
    assert sum(c.total_s for c in reference.components.values()) == pytest.approx(reference.total_s)
    assert list(reference.components) == ["text_encoder", "denoiser", "decoder"]


def test_marks_add_up_to_one(reference):
    assert sum(reference.marks.values()) == pytest.approx(1.0)


def test_marks_are_those_of_first_loads_where_a_package_is_loaded_once():
    """A newly installed app specialises every package, at a fitted rate: that share was told as published."""
    prepared = prepare(*load_inputs("app-192"))
    cold, warm = (prepared.costs.marks_of_load(0, is_cold) for is_cold in (True, False))
    assert cold["fitted"] > 0.5 > warm.get("fitted", 0.0)
    rows = simulation_of(*load_inputs("app-192"), with_advice=False).result.blocks
    assert rows[0].component == "text_encoder" and rows[0].load_marks == pytest.approx(cold), "it is loaded once"


def test_a_package_of_each_variant_is_stored_only_where_both_are_run():
    """With tokens merged on all steps the other variant's packages were counted too, in what the cache must hold."""
    for steps in ("all", "none", FirstSteps(3), (2, 5)):
        loaded, setting = load_inputs("app-192-tdtm")
        plan = msgspec.structs.replace(loaded.plan, tdtm=Tdtm(steps=steps, packages="separate"))
        prepared = prepare(LoadedPlan(plan), setting)
        assert stored_bytes(plan, prepared.model) == pytest.approx(prepared.schedule.stored(prepared.costs)[0], abs=50)


def test_the_interval_holds_the_total(reference):
    low, high = reference.interval_s
    assert low < reference.total_s < high
    assert high - low < 0.2 * reference.total_s


def test_the_denoiser_as_one_block_is_killed_with_block_and_moment(tmp_path):
    path = tmp_path / "whole.yaml"
    path.write_text("extends: app-256\nname: whole\ncomponents: {denoiser: {blocks: whole}}\n")
    result = simulate(path).result
    assert result.verdict == "killed"
    assert result.total_s is None
    assert result.interval_s is None
    assert result.killed_by == "loading block 'input..output' of denoiser, step 0"
    text_encoder = result.components["text_encoder"].total_s
    assert result.killed_at_s == pytest.approx(text_encoder)
    assert any(one.title.startswith("Cut denoiser smaller") for one in result.advice)


def test_ours_is_faster_than_the_app_within_its_budget():
    app, ours = simulate("app-256-all").result, simulate("ours-256").result
    assert ours.total_s < app.total_s
    assert ours.peak_bytes <= ours.budget_bytes


def test_what_ifs_change_one_thing_each():
    rows = {row.title: row for row in what_ifs(prepare(*load_inputs("app-256")))}
    base = simulate("app-256").result.total_s
    assert rows["With LPL"].total_s < base
    assert rows["With TDTM"].total_s < base
    assert rows["With the entitlement"].limit_bytes == 6_000_000_000
    assert rows["On iPhone 16 Pro"].total_s < base < rows["On iPhone 14 Pro"].total_s


def test_generations_in_a_row_start_as_the_one_before_left_the_app(tmp_path):
    """The first specialises every package, the next launch loads it again, and later ones find what stays."""
    path = tmp_path / "stays.yaml"
    path.write_text("extends: small\nname: stays\ncomponents: {text_encoder: {keep: always}}\n")
    result = simulate(path, repeat=4).result
    first, launch, second, third = result.generations
    assert [one.start for one in result.generations] == ["first", "cached", "loaded", "loaded"]
    assert (first.total_s, first.peak_bytes) == (result.total_s, result.peak_bytes)
    assert first.total_s > launch.total_s > second.total_s == third.total_s
    for one in (launch, second):
        alone = simulate(LoadedPlan(msgspec.structs.replace(load_plan(path).plan, start=one.start))).result
        assert (one.total_s, one.interval_s, one.peak_bytes) == (alone.total_s, alone.interval_s, alone.peak_bytes)


def test_a_later_generation_may_be_killed_where_the_first_is_not(tmp_path):
    """What stays is in memory before its turn: the decoder of a second video while the denoiser runs."""
    path = tmp_path / "stays.yaml"
    path.write_text("extends: small\nname: stays\ncomponents: {decoder: {keep: always}}\n")
    peaks = [one.peak_bytes for one in simulate(path, repeat=3).result.generations]
    assert peaks[0] == peaks[1] < peaks[2]
    result = simulate(path, memory_limit=(peaks[0] + peaks[2]) // 2, repeat=3).result
    assert (result.verdict, result.is_killed) == ("fits", True)
    assert [one.verdict for one in result.generations] == ["fits", "fits", "killed"]
    assert result.generations[2].killed_by is not None


def test_heat_makes_a_run_longer():
    assert simulate("app-256", is_thermal=True).result.total_s > 1.3 * simulate("app-256").result.total_s


def test_units_that_do_not_merge_tokens_run_as_without_tdtm(tmp_path):
    def denoiser_s(units):
        plan = tmp_path / "plan.yaml"
        plan.write_text(f"name: p\nmodel: opensora\nsampler: {{steps: 3}}\ntdtm: {{steps: all, units: [{units}]}}\n")
        return simulate(str(plan)).result.components["denoiser"].total_s

    all_units, spatial, one = denoiser_s("'*'"), denoiser_s("spatial_*"), denoiser_s("spatial_0")
    assert all_units < spatial < one


def test_dynamic_lpl_widens_the_interval(tmp_path):
    path = tmp_path / "dynamic.yaml"
    path.write_text("extends: app-256\nname: dynamic\nlpl: {mode: dynamic, stop_steps: {14: 0.5, 25: 0.5}}\n")
    result = simulate(path).result
    low, high = result.interval_s
    assert result.num_evaluations == 15
    assert high - low > 300


def test_every_device_of_the_catalogue_answers():
    from ondevice_sora.profiles.devices import device_keys

    for device in device_keys():
        assert simulate("app-192-all", device).result.unlimited_s > 0


def test_read_extended_follows_a_ready_plan(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("extends: app-256\nname: mine\n")
    from ondevice_sora.plans.plan_file import READY

    assert read_extended(path, READY).data["name"] == "mine"


def test_a_neighbour_that_has_figures_of_its_own_is_not_said_to_have_scaled_ones():
    rows = {row.title: row.detail for row in what_ifs(prepare(*load_inputs("app-256", "iphone16pro")))}
    assert rows["On iPhone 15 Pro"] == "A17 Pro, fitted costs, limit 3.3 GB"
    assert rows["On iPhone 17 Pro"] == "A19 Pro, scaled costs, limit 4.8 GB"


def test_what_does_not_fit_together_is_noted(tmp_path):
    path = tmp_path / "roomy.yaml"
    path.write_text("extends: ours-256\nname: roomy\nmemory: {budget: 5 GB}\n")
    assert any("budget is above the memory limit" in note for note in simulate(path).result.notes)


def test_measured_figures_stand_instead_of_the_models(tmp_path):
    """One block's run is measured at 100 s: the total grows by what that adds sixteen times over."""
    import msgspec

    from ondevice_sora.profiles.figures import Figure
    from ondevice_sora.profiles.measurements import Measurement

    loaded, setting = load_inputs("app-256-lpl")
    before = simulation_of(loaded, setting).result
    row = next(row for row in before.blocks if row.block == "spatial_0..temporal_0")
    measured = Measurement(
        model="Open-Sora v1.2",
        component="denoiser",
        first_unit="spatial_0",
        last_unit="temporal_0",
        run_s=Figure(100.0, "measured", "made up"),
    )
    stray = msgspec.structs.replace(measured, last_unit="temporal_5")
    profile = msgspec.structs.replace(setting.profile, measurements=(measured, stray))
    after = simulation_of(loaded, replace(setting, profile=profile)).result
    assert after.total_s - before.total_s == pytest.approx(16 * (100.0 - row.run_s), rel=1e-6)
    assert after.marks["measured"] > 0.5
    assert any("blocks that this plan does not have: 1" in note for note in after.notes)
