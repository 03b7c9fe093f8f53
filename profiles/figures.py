"""A figure is a number that says where it comes from; everything physical in the catalogue is one.

mark       measured   samples from the device itself, with conditions
           published  printed in a paper, a data sheet or a named author's measurement
           fitted     found so that simulated totals meet published ones; the source names the fit
           estimated  assumed, with the reason
spread     one standard deviation relative to the value: how far off it may well be
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import Annotated, Literal

import msgspec

from ondevice_sora.base.text import LINE
from ondevice_sora.base.units import parse_bytes

Mark = Literal["measured", "published", "fitted", "estimated"]
MARKS: tuple[Mark, ...] = ("measured", "published", "fitted", "estimated")
MEDIAN_ERROR = 1.2533
"""The median of many samples of a normal distribution errs by so many deviations over the root of their number."""
MAD_TO_SIGMA = 1.4826
"""The median absolute deviation of a normal distribution times this is its standard deviation."""
OF_FEW = {1: 1.0, 2: 1.196, 3: 1.495, 4: 1.363, 5: 1.206, 6: 1.200, 7: 1.140, 8: 1.129, 9: 1.107}
"""By how much more few samples differ than their median absolute deviation says, by their number; of three it is two
thirds of what it is of many (Croux and Rousseeuw, Time-efficient algorithms for two highly robust estimators of scale,
1992)."""


class Figure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    value: Annotated[float, msgspec.Meta(ge=0, le=1e18)]
    mark: Mark
    source: Annotated[str, LINE, msgspec.Meta(min_length=1, max_length=2000)]
    spread: Annotated[float, msgspec.Meta(ge=0, le=3)] = 0.0


def spread_of(values: Sequence[float]) -> float:
    """One standard deviation relative to the median, from the median absolute deviation; 0 of a single value."""
    middle, count = median(values), len(values)
    if middle <= 0:
        return 0.0
    few = OF_FEW.get(count, count / (count - 0.8))
    return median(abs(value - middle) for value in values) * MAD_TO_SIGMA * few / middle


def error_of(values: Sequence[float]) -> float:
    """One standard deviation of the median of such samples, relative to it; 0 of a single value."""
    return MEDIAN_ERROR * spread_of(values) / math.sqrt(len(values))


def repeated(values: Sequence[float], source: str) -> Figure | None:
    """`sampled`, of what a generation does many times: how far off the median may be, not how far a single time."""
    figure = sampled(values, source)
    return None if figure is None else msgspec.structs.replace(figure, spread=min(3.0, round(error_of(values), 4)))


def sampled(values: Sequence[float], source: str) -> Figure | None:
    """The median of samples as a measured figure, its spread from their median absolute deviation; None of none."""
    if not values:
        return None
    middle, spread = median(values), spread_of(values)
    noun = "sample" if len(values) == 1 else "samples, median"
    return Figure(float(f"{middle:.6g}"), "measured", f"{source}: {len(values)} {noun}", min(3.0, round(spread, 4)))


class ByteCount(int):
    """A number of bytes, written in files as a number or as '3.3 GB'."""

    @classmethod
    def parse(cls, value: object) -> ByteCount:
        if not isinstance(value, (str, int, float)):
            raise ValueError(f"{value!r} is not a size. Write '3.3 GB' or a number of bytes.")
        return cls(parse_bytes(value))
