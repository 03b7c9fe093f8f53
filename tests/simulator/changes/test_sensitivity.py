"""Which figures a total depends on: one at a time, by its spread, in the seconds that it stands for."""

import math
from dataclasses import replace

import pytest
from msgspec.structs import replace as with_settings

from ondevice_sora.profiles.costs import figures, replace_figures
from ondevice_sora.profiles.figures import ByteCount
from ondevice_sora.simulator.changes.change import loading, within
from ondevice_sora.simulator.changes.sensitivity import sensitivities
from ondevice_sora.simulator.prepare import load_inputs, prepare


@pytest.fixture(scope="module")
def prepared():
    return prepare(*load_inputs("ours-192"))


@pytest.fixture(scope="module")
def rows(prepared):
    return {row.figure: row for row in sensitivities(prepared)}


def test_each_row_is_the_total_with_one_figure_moved(prepared, rows):
    name = "processors.gpu.matmul_flops_per_s"
    figure = figures(prepared.setting.profile.costs)[name]
    totals = []
    for factor in (1 - figure.spread, 1 + figure.spread):
        moved = {name: with_settings(figure, value=figure.value / factor)}
        profile = prepared.setting.profile
        profile = with_settings(profile, costs=replace_figures(profile.costs, moved))
        totals.append(prepared.changed(setting=replace(prepared.setting, profile=profile)).finish().total_s)
    assert (rows[name].low_s, rows[name].high_s) == tuple(totals)
    assert rows[name].low_s < prepared.finish().total_s < rows[name].high_s


def test_a_wide_spread_is_of_the_logarithm_as_in_the_interval(prepared, rows):
    """A dispatch known to a factor of 2.2 either way was moved to a fifth, and to 1.8 times."""
    name = "processors.gpu.dispatch_s"
    figure = figures(prepared.setting.profile.costs)[name]
    assert figure.spread == 0.8
    runs = prepared.finish().total_s
    assert (rows[name].high_s - runs) / (runs - rows[name].low_s) == pytest.approx(math.exp(0.8), rel=0.05)


def test_every_figures_ends_lie_around_the_total(prepared, rows):
    total = prepared.finish().total_s
    for row in rows.values():
        low, high = sorted((row.low_s, row.high_s))
        assert low <= total * (1 + 1e-9), row.figure
        assert total <= high * (1 + 1e-9), row.figure


def test_the_most_telling_come_first(rows):
    widths = [abs(row.high_s - row.low_s) for row in rows.values()]
    assert widths == sorted(widths, reverse=True)
    assert 0 not in widths


def test_figures_without_spread_and_those_that_move_nothing_are_left_out(prepared, rows):
    """The plan runs on the GPU: what the other processors cost does not matter."""
    known = figures(prepared.setting.profile.costs)
    assert all(known[name].spread > 0 for name in rows)
    assert not any(name.startswith("processors.ane.") for name in rows)


def test_a_figure_with_which_the_plan_would_be_refused_is_left_out(prepared):
    """A baseline that may be twice as large crosses the smallest budget: there is no total to set beside the others."""
    none = with_settings(prepared.plan.memory, budget=None)
    alone = with_settings(loading(prepared, prefetch=0, keep="none"), memory=none)
    smallest = ByteCount(prepared.changed(alone).schedule.needed_bytes)
    profile = prepared.setting.profile
    baseline = with_settings(profile.costs.baseline_bytes, spread=1.0)
    doubtful = with_settings(profile, costs=replace_figures(profile.costs, {"baseline_bytes": baseline}))
    changed = prepared.changed(within(alone, smallest), replace(prepared.setting, profile=doubtful))
    assert "baseline_bytes" not in {row.figure for row in sensitivities(changed)}
    assert "baseline_bytes" not in {row.figure for row in sensitivities(changed.changed(alone))}, "moves no total"
