"""How sure a total is: draws of the costs, correlated as the fit found them, and of baseline and limit."""

from dataclasses import replace

import numpy as np
import pytest
from msgspec.structs import replace as with_settings
from worlds.costs import figure, profile

from ondevice_sora.plans.schema import Lpl
from ondevice_sora.profiles.costs import figures, replace_figures
from ondevice_sora.profiles.measurements import Measurement
from ondevice_sora.profiles.pricing import sampled_name
from ondevice_sora.profiles.profile import RunNoise
from ondevice_sora.simulator.interval import LEVEL, SMALLEST, draw, measured_share, slowed, spread_of
from ondevice_sora.simulator.prepare import load_inputs, prepare

MANY = 40_000
READ, RUN = "loads.read_bytes_per_s", "processors.gpu.dispatch_s"


def drawn(known, count=MANY):
    return draw(known, count, np.random.default_rng(7))


def test_a_figure_without_spread_is_always_itself():
    assert set(drawn(profile())["loads.unload_s"]) == {0.25}


def test_a_time_is_drawn_around_its_value_with_its_spread():
    column = drawn(profile({"loads.unload_s": 0.1}))["loads.unload_s"]
    assert column.mean() == pytest.approx(0.25, rel=0.005)
    assert column.std() == pytest.approx(0.025, rel=0.02)


def test_a_rate_is_drawn_through_the_seconds_it_stands_for():
    """Those are normal, so that totals, which are sums of seconds, are; the rate itself is not."""
    seconds_a_byte = 1.0 / drawn(profile({READ: 0.1}))[READ]
    assert seconds_a_byte.mean() == pytest.approx(0.1, rel=0.005)
    assert seconds_a_byte.std() == pytest.approx(0.01, rel=0.02)


def test_however_wide_the_spread_nothing_takes_less_than_a_twentieth():
    sample = drawn(profile({"loads.unload_s": 2.0, READ: 2.0}))
    assert sample["loads.unload_s"].min() == pytest.approx(SMALLEST * 0.25)
    assert sample[READ].max() == pytest.approx(10.0 / SMALLEST)


@pytest.mark.parametrize("correlation", [-0.9, 0.0, 0.6])
def test_what_the_fit_could_not_tell_apart_moves_together(correlation):
    """In the seconds both stand for: with -0.9 one load more costly is one run cheaper, and the sum hardly moves."""
    sample = drawn(profile({"loads.load_fixed_s": 0.1, RUN: 0.1}, correlation))
    found = np.corrcoef(sample["loads.load_fixed_s"], sample[RUN])[0, 1]
    assert found == pytest.approx(correlation, abs=0.02)


def test_a_fitted_rate_and_a_fitted_time_correlate_in_seconds():
    """A faster disk is drawn with a longer call: the rate rises with the time where their seconds fall together."""
    sample = drawn(profile({READ: 0.05, RUN: 0.1}, correlation=0.8))
    assert np.corrcoef(sample[READ], sample[RUN])[0, 1] == pytest.approx(0.8, abs=0.03)


def test_spread_beyond_the_fits_comes_on_top_and_is_its_own():
    """A profile scaled to another device keeps the fit's correlation and is less sure of each figure."""
    fitted = profile({"loads.load_fixed_s": 0.1, RUN: 0.1}, correlation=0.9)
    wider = {name: figure(value, 0.2) for name, value in (("loads.load_fixed_s", 1.0), (RUN, 0.5))}
    sample = drawn(with_settings(fitted, costs=replace_figures(fitted.costs, wider)))
    assert sample["loads.load_fixed_s"].std() == pytest.approx(0.2, rel=0.03)
    assert np.corrcoef(sample["loads.load_fixed_s"], sample[RUN])[0, 1] == pytest.approx(0.9 / 4, abs=0.02)


def test_what_was_measured_instead_of_fitted_has_its_own_spread():
    fitted = profile({"loads.load_fixed_s": 0.1, RUN: 0.1}, correlation=0.9)
    taken = replace_figures(fitted.costs, {RUN: figure(0.5, 0.02, "measured")})
    sample = drawn(with_settings(fitted, costs=taken))
    assert sample[RUN].std() == pytest.approx(0.01, rel=0.03)
    assert abs(np.corrcoef(sample["loads.load_fixed_s"], sample[RUN])[0, 1]) < 0.02


def test_slowing_divides_a_rate_and_multiplies_a_time():
    assert slowed(READ, 10.0, 2.0) == 5.0
    assert slowed(RUN, 10.0, 2.0) == 20.0


# --- totals -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared():
    return prepare(*load_inputs("app-192-lpl"))


def certain(prepared):
    """The same plan under costs that have no spread."""
    known = prepared.setting.profile
    none = {name: with_settings(one, spread=0.0) for name, one in figures(known.costs).items()}
    bare = with_settings(known, costs=replace_figures(known.costs, none), fit=None)
    return prepared.changed(setting=replace(prepared.setting, profile=bare))


def test_without_any_spread_every_draw_is_the_total(prepared):
    sure = certain(prepared)
    assert spread_of(sure.outcomes()).totals_s == pytest.approx(sure.finish().total_s, rel=1e-12)


def test_the_interval_is_the_central_share_of_the_draws(prepared):
    spread = spread_of(prepared.outcomes())
    low, high = spread.interval()
    inside = np.mean((spread.totals_s >= low) & (spread.totals_s <= high))
    assert inside == pytest.approx(LEVEL, abs=0.01)
    assert low < prepared.finish().total_s < high


def test_the_same_plan_has_the_same_interval(prepared):
    assert spread_of(prepared.outcomes()).interval() == spread_of(prepared.outcomes()).interval()


def test_every_leap_step_is_drawn_as_often_as_the_plan_says(prepared):
    dynamic = Lpl(mode="dynamic", stop_steps={9: 0.25, 19: 0.75})
    sure = certain(prepared.changed(with_settings(prepared.plan, lpl=dynamic)))
    (early, first), (late, second) = sure.outcomes()
    assert (early, late) == (0.25, 0.75)
    totals = spread_of(sure.outcomes()).totals_s
    assert np.mean(np.isclose(totals, first.finish().total_s)) == 0.25
    assert np.mean(np.isclose(totals, second.finish().total_s)) == 0.75


# --- measured figures and whole runs ----------------------------------------------------------------------------------


def measured_profile(noise=None, run_spread=0.0, load_spread=0.0, **known):
    """Everything of every block of app-192-lpl was measured: a run of 2 s and a load of 1 s each."""
    prepared = prepare(*load_inputs("app-192-lpl"))
    measurements = tuple(
        Measurement(
            block.model, block.component, block.units[0].name, block.units[-1].name, block.variant, block.precision,
            block.compute_units, load_warm_s=figure(1.0, load_spread, "measured"),
            load_cold_s=figure(1.0, load_spread, "measured"), run_s=figure(2.0, run_spread, "measured"),
            first_run_s=figure(2.0, run_spread, "measured"), unload_s=figure(0.0, 0.0, "measured"),
        )
        for block in prepared.schedule.blocks
    )  # fmt: skip
    sure = certain(prepared).setting
    fit = with_settings(prepared.setting.profile.fit, parameters=(), correlation=())
    known = {"measurements": measurements, "noise": noise, "fit": fit, **known}
    profile = with_settings(sure.profile, **known)
    return prepared.changed(setting=replace(sure, profile=profile))


def logs(prepared, count=4_000):
    total = prepared.finish().total_s
    return np.log(spread_of([(1.0, prepared)], count).totals_s / total)


def test_what_was_measured_without_spread_has_none_of_the_fits_noise():
    """Nothing of such a total is fitted, though the profile keeps the fit for blocks that were not measured."""
    assert measured_share(measured_profile()) == pytest.approx(1.0)
    assert np.abs(logs(measured_profile(), 50)).max() < 1e-9


def test_the_fits_noise_counts_for_the_share_that_was_not_measured():
    half = measured_profile()
    marks = [{"measured": 0.5, "fitted": 0.5}] * len(half.schedule.blocks)
    names = ("run_marks", "first_marks", "load_marks", "cold_marks")
    mixed = replace(half, costs=replace(half.costs, **dict.fromkeys(names, tuple(marks))))
    assert measured_share(mixed) == pytest.approx(0.5)
    assert logs(mixed).std() == pytest.approx(0.5 * mixed.setting.profile.fit.noise, rel=0.05)


def test_measured_spreads_are_drawn_for_each_block_and_hold_for_all_its_visits():
    """The block's mean is not known better for being visited often; errors of many blocks average out."""
    prepared = measured_profile(run_spread=0.1)
    sample = drawn(prepared.setting.profile, 1_000)
    first, second = sample[sampled_name(0, "run_s")], sample[sampled_name(1, "run_s")]
    assert (first.mean(), first.std()) == pytest.approx((2.0, 0.2), rel=0.1)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1
    assert sampled_name(0, "unload_s") not in sample
    assert 0.0 < logs(prepared).std() < 0.1 / 2


def test_the_interval_of_a_measured_profile_has_a_width():
    for settings in ({"run_spread": 0.1}, {"load_spread": 0.5}, {"noise": RunNoise(0.05, 10, "made up")}):
        low, high = spread_of(measured_profile(**settings).outcomes()).interval()
        assert low < high


def test_whole_runs_vary_by_one_factor_however_long_they_are():
    assert logs(measured_profile(noise=RunNoise(0.05, 1_000, "made up"))).std() == pytest.approx(0.05, rel=0.05)


def test_noise_that_few_runs_showed_is_drawn_wider():
    """Student's distribution: of two runs, the central 90 % reaches 6.3 deviations, of a thousand 1.65."""
    few, many = (logs(measured_profile(noise=RunNoise(0.01, count, "made up"))) for count in (2, 1_000))
    assert np.quantile(few, 0.95) == pytest.approx(0.063, rel=0.15)
    assert np.quantile(many, 0.95) == pytest.approx(0.0165, rel=0.1)
