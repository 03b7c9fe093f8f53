"""Doubt about the memory limit: how probable it is that the limit lies below a peak.

A phone has one limit, and an app one baseline, but neither is known exactly. If the peak is above the limit every run
is killed, and if it is not, none is: the probability is ours, of having the limit wrong, and no share of runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import NormalDist

from ondevice_sora.simulator.prepare import HEADROOM, Setting

DOUBT = 0.01
"""What a search accepts unless it is told how much memory to use."""
REACH, STEPS = 6.0, 300
"""Deviations of the baseline that are summed over."""
NORMAL = NormalDist()


def kill_share(setting: Setting, peak_bytes: int) -> float:
    """The probability that an app with this peak, told at the baseline's own value, is above the limit.

    The baseline is spread normally, the limit's logarithm too.
    """
    baseline, limit, spread = setting.profile.costs.baseline_bytes, setting.limit_bytes, setting.limit_spread
    if baseline.spread == 0 or baseline.value == 0:
        return _above(peak_bytes, limit, spread)
    if spread == 0:
        return 1.0 - NORMAL.cdf((limit - peak_bytes) / (baseline.spread * baseline.value))

    def killed(deviation: float) -> float:  # the limit's part is exact
        return _above(peak_bytes + baseline.value * max(-1.0, baseline.spread * deviation), limit, spread)

    deviations = spaced(REACH, STEPS)
    return mean_over_normal(map(killed, deviations), deviations)


def spaced(reach: float, steps: int) -> list[float]:
    """So many steps from -reach to reach."""
    return [reach * (2.0 * number / steps - 1.0) for number in range(steps + 1)]


def mean_over_normal(values: Iterable[float], deviations: Sequence[float]) -> float:
    """The mean of what a function of a standard normal deviation gives at evenly spaced ones."""
    weights = [NORMAL.pdf(deviation) for deviation in deviations]
    return sum(weight * value for weight, value in zip(weights, values, strict=True)) / sum(weights)


def _above(peak: float, limit: int, spread: float) -> float:
    """The probability that a known peak is above the limit."""
    if spread == 0 or peak <= 0:
        return float(peak > limit)
    return NORMAL.cdf(math.log(peak / limit) / spread)


def budget_within(setting: Setting, doubt: float) -> int:
    """The most bytes that are above the limit with no more than this probability, and no more than the limit."""
    low, high = 0, setting.limit_bytes
    if kill_share(setting, high) <= doubt:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if kill_share(setting, middle) <= doubt:
            low = middle
        else:
            high = middle
    return low


def usual_budget(setting: Setting) -> int:
    """What to keep to if nothing is asked for: bytes above the limit with a probability of DOUBT, or a little less."""
    return min(int(setting.limit_bytes * HEADROOM), budget_within(setting, DOUBT))
