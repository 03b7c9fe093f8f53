"""How probable it is that an app is over the limit, as far as limit, baseline and its working memory are known."""

from __future__ import annotations

import math

from ondevice_sora.profiles.block_bytes import working_spread
from ondevice_sora.records.trace import MemorySample
from ondevice_sora.simulator.engine import Outcome
from ondevice_sora.simulator.limit import kill_share, mean_over_normal
from ondevice_sora.simulator.prepare import Prepared

REACH, STEPS = 4.0, 80
"""Deviations of the working memory that are summed over."""


def kill_risk(prepared: Prepared, outcome: Outcome) -> float:
    """The probability that the footprint is above the limit. `outcome` is of a run that no limit ended.

    Working memory of convolutions is spread, its logarithm normally. It is looked at where the footprint is largest,
    and where working memory is.
    """
    moments = [(moment, spread_at(prepared, outcome, moment)) for moment in _moments(outcome)]
    if all(spread == 0.0 for _, spread in moments):
        return kill_share(prepared.setting, outcome.peak_bytes)

    def killed(deviation: float) -> float:
        footprints = [at.total + at.working * (math.exp(spread * deviation) - 1.0) for at, spread in moments]
        return kill_share(prepared.setting, round(max(footprints)))

    return mean_over_normal(killed, REACH, STEPS)


def spread_at(prepared: Prepared, outcome: Outcome, moment: MemorySample) -> float:
    """The spread of the working memory of what runs at a moment; nothing where nothing does."""
    running = next((s for s in outcome.spans if s.action == "run" and s.start_s <= moment.time_s < s.end_s), None)
    if running is None:
        return 0.0
    key = (running.component, running.block, running.variant)
    block = next(b for b in prepared.schedule.blocks if (b.component, b.name, b.variant) == key)
    return working_spread(block, prepared.setting.profile.costs)


def _moments(outcome: Outcome) -> list[MemorySample]:
    return [max(outcome.memory, key=lambda at: at.total), max(outcome.memory, key=lambda at: at.working)]
