"""Doubt about the limit: a probability that is worked out, not counted in draws, and the budget that keeps one."""

import math
import random

import pytest
from worlds.costs import costs, figure, setting

from ondevice_sora.profiles.profile import Profile
from ondevice_sora.simulator.limit import DOUBT, budget_within, kill_share, usual_budget


def place(baseline_spread=0.0, limit_spread=0.0):
    return setting(Profile("toy", costs(baseline_bytes=figure(1000.0, baseline_spread))), 10_000, limit_spread)


SPREADS = [(0.3, 0.0), (0.0, 0.1), (0.3, 0.05), (0.05, 0.002)]


def test_with_baseline_and_limit_known_it_is_killed_or_not():
    assert kill_share(place(), 10_000) == 0.0
    assert kill_share(place(), 10_001) == 1.0
    assert budget_within(place(), 0.01) == 10_000


@pytest.mark.parametrize(("baseline", "limit"), SPREADS)
def test_a_peak_at_the_limit_is_as_likely_above_it_as_below(baseline, limit):
    uncertain = place(baseline, limit)
    assert kill_share(uncertain, 10_000) == pytest.approx(0.5, abs=0.01)
    shares = [kill_share(uncertain, peak) for peak in range(7_000, 13_000, 50)]
    assert shares == sorted(shares)
    assert shares[0] < 0.002 and shares[-1] > 0.99


def test_one_deviation_of_the_baseline_below_the_limit_it_is_a_sixth():
    """300 bytes below: what a normal distribution has beyond one standard deviation."""
    assert kill_share(place(baseline_spread=0.3), 9_700) == pytest.approx(0.158655, abs=1e-6)


def test_one_deviation_below_the_limit_it_is_a_sixth():
    assert kill_share(place(limit_spread=0.1), round(10_000 * math.exp(-0.1))) == pytest.approx(0.158655, abs=1e-4)


@pytest.mark.parametrize(("baseline", "limit"), SPREADS)
def test_it_is_the_share_of_many_draws(baseline, limit):
    draw = random.Random(5)
    uncertain, count = place(baseline, limit), 40_000
    allowed = [
        10_000 * math.exp(limit * draw.gauss(0, 1)) - 1000 * max(-1.0, baseline * draw.gauss(0, 1))
        for _ in range(count)
    ]
    for peak in (8_500, 9_200, 9_800, 10_300):
        share = sum(most < peak for most in allowed) / count
        assert kill_share(uncertain, peak) == pytest.approx(share, abs=4 * (0.25 / count) ** 0.5)


@pytest.mark.parametrize("doubt", [0.2, 0.05, 0.01, 0.001, 1e-6])
@pytest.mark.parametrize(("baseline", "limit"), SPREADS)
def test_a_budget_keeps_the_doubt_to_the_byte_however_small(baseline, limit, doubt):
    """A thousandth is no quantile of a few thousand draws."""
    uncertain = place(baseline, limit)
    budget = budget_within(uncertain, doubt)
    assert kill_share(uncertain, budget) <= doubt < kill_share(uncertain, budget + 1)


def test_the_usual_budget_leaves_room_even_where_nothing_is_in_doubt():
    assert usual_budget(place()) == 9_200
    uncertain = place(0.3, 0.1)
    assert usual_budget(uncertain) == budget_within(uncertain, DOUBT) < 9_200
