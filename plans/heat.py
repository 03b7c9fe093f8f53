"""Heat: running makes a processor hot, rest cools it, and a hot one works more slowly, within a run too.

Heat in [0, 1] follows activity with a time constant, dh/dt = (1 - h) / tau while a block runs and -h / tau otherwise;
throughput is 1 - (1 - floor) * h. Under lasting load it falls as r(t) = floor + (1 - floor) * exp(-t / tau). A run that
a load slows heats as if it were not slowed.

Plain functions, for engine and recurrence, and compiled for a search (base/compiled.py).
"""

from __future__ import annotations

import math
from typing import NamedTuple

ITERATIONS = 60
"""More than Newton's method takes to the last digit from where it begins here."""


class Heat(NamedTuple):
    """Whether running heats the device, the throughput of a hot processor relative to a cold one, and seconds."""

    is_on: bool
    floor: float
    time_constant_s: float


NO_HEAT = Heat(False, 1.0, 1.0)


def after(heat: Heat, warmth: float, seconds: float, is_busy: bool) -> float:
    """Heat after so many seconds of running or of rest."""
    if not heat.is_on:
        return 0.0
    decay = math.exp(-seconds / heat.time_constant_s)
    return 1.0 - (1.0 - warmth) * decay if is_busy else warmth * decay


def work_in(heat: Heat, warmth: float, seconds: float) -> float:
    """Seconds of work, as of a cold processor, that so many seconds of running do from a heat on."""
    if not heat.is_on:
        return seconds
    tau = heat.time_constant_s
    return heat.floor * seconds - (1.0 - heat.floor) * (1.0 - warmth) * tau * math.expm1(-seconds / tau)


def seconds_for(heat: Heat, warmth: float, work: float) -> float:
    """Seconds of running that so many seconds of work take from a heat on: the inverse of `work_in`.

    Newton's method. Work done is concave in time and at most the time, so that it begins below and stays there.
    """
    if not heat.is_on:
        return work
    seconds = work
    for _ in range(ITERATIONS):
        rate = heat.floor + (1.0 - heat.floor) * (1.0 - warmth) * math.exp(-seconds / heat.time_constant_s)
        later = seconds + (work - work_in(heat, warmth, seconds)) / rate
        if later <= seconds * (1.0 + 1e-15):
            break
        seconds = later
    return seconds


HELPERS = (after, work_in, seconds_for)
"""What a compiled function that knows of heat calls."""
