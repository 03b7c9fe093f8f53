"""How probable it is that an app is over the limit, as far as limit, baseline and its working memory are known."""

from __future__ import annotations

import math

import numpy as np

from ondevice_sora.base.errors import UserError
from ondevice_sora.profiles.costs import Array
from ondevice_sora.profiles.pricing import working_moved
from ondevice_sora.simulator.engine import Outcome
from ondevice_sora.simulator.limit import kill_share, mean_over_normal, spaced
from ondevice_sora.simulator.prepare import Prepared

REACH, STEPS = 4.0, 80
"""Deviations of the working memory that are summed over."""


def kill_risk(prepared: Prepared, outcome: Outcome) -> float:
    """The probability that the footprint is above the limit. `outcome` is of a run that no limit ended.

    Working memory of convolutions is spread, the logarithm of its factor normally. With much of it another block than
    that of the peak may have the largest footprint. Under dynamic LPL a generation may also end earlier or later.
    """
    try:
        outcomes = prepared.outcomes()
    except UserError:  # one that ends later cannot be kept to the budget: nobody can use such a plan
        return 1.0
    if len(outcomes) == 1:
        return _risk(prepared, outcome)
    risks = [_risk(other, outcome if other is prepared else other.play(is_limited=False)) for _, other in outcomes]
    return float(np.average(risks, weights=[probability for probability, _ in outcomes]))


def _risk(prepared: Prepared, outcome: Outcome) -> float:
    deviations = spaced(REACH, STEPS)
    footprints = _peaks(prepared, outcome, np.array(deviations)).tolist()
    if len(set(footprints)) == 1:
        return kill_share(prepared.setting, outcome.peak_bytes)
    return mean_over_normal([kill_share(prepared.setting, round(peak)) for peak in footprints], deviations)


def _peaks(prepared: Prepared, outcome: Outcome, deviations: Array) -> Array:
    """The largest footprint [deviation] with the working factor so many spreads away from its figure."""
    running = [number for number in outcome.highest if number is not None]
    highest = np.array([[outcome.highest[number]] for number in running], dtype=np.float64)
    rest = outcome.highest.get(None, 0)
    peaks: Array = np.maximum(rest, (highest + _more(prepared, running, deviations)).max(axis=0, initial=0.0))
    return peaks


def spread_at_peak(prepared: Prepared, outcome: Outcome) -> float:
    """How far the working memory of what runs at the peak may be off, as a logarithm; 0 if nothing runs then."""
    number = outcome.peak.running
    working = outcome.peak.charged.working
    if number is None or working == 0:
        return 0.0
    return math.log1p(float(_more(prepared, [number], np.ones(1))[0, 0]) / working)


def _more(prepared: Prepared, running: list[int], deviations: Array) -> Array:
    """How much more working memory these blocks take [block, deviation]."""
    profile = prepared.setting.profile
    blocks = [prepared.schedule.blocks[number] for number in running]
    moved, known = (
        working_moved(blocks, profile.costs, profile.measurements, each) for each in (deviations, np.zeros(1))
    )
    more: Array = moved - known
    return more
