"""How sure a total is: draws of the costs, correlated as the fit found them, and of baseline and limit."""

from dataclasses import replace

import numpy as np
import pytest
from msgspec.structs import replace as with_settings
from worlds.costs import figure, profile

from ondevice_sora.plans.schema import Lpl
from ondevice_sora.profiles.costs import figures, replace_figures
from ondevice_sora.simulator.interval import LEVEL, SMALLEST, draw, slowed, spread_of
from ondevice_sora.simulator.prepare import asked, prepare

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


def test_slowing_divides_a_rate_and_multiplies_a_time():
    assert slowed(READ, 10.0, 2.0) == 5.0
    assert slowed(RUN, 10.0, 2.0) == 20.0


# --- totals -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared():
    return prepare(*asked("app-192-lpl"))


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
