"""What samples say of a figure: their median, and how far it may be off."""

import numpy as np
import pytest

from ondevice_sora.profiles.figures import error_of, spread_of


@pytest.mark.parametrize("count", [2, 3, 4, 5, 7, 9, 10, 20])
def test_few_samples_are_told_as_spread_as_they_are(count: int) -> None:
    """Without a correction three samples were told two thirds as spread as they are, in the mean."""
    draws = 100.0 + 3.0 * np.random.default_rng(7).standard_normal((4000, count))
    told = np.mean([spread_of(row) for row in draws.tolist()])
    assert told == pytest.approx(0.03, rel=0.04)


def test_of_three_samples_the_median_is_seldom_farther_off_than_is_told() -> None:
    """Nine in ten draws would be within 1.645 deviations if these were known; told too small, it were six."""
    draws = (100.0 + 3.0 * np.random.default_rng(7).standard_normal((4000, 3))).tolist()
    within = [abs(float(np.median(row)) / 100.0 - 1.0) < 1.645 * error_of(row) for row in draws]
    assert np.mean(within) > 0.68
