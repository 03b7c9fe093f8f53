"""Ready plans simulated as they are: what a page of a whole generation is made from."""

from __future__ import annotations

from functools import cache

from ondevice_sora.records.trace import Trace
from ondevice_sora.simulator.simulate import simulate


@cache
def full_size(plan: str) -> Trace:
    return simulate(plan, "iphone15pro", with_what_ifs=True).trace
