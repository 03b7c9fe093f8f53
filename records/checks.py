"""Rows of the tables that `validate` prints: ours beside what others published, computed, or we made ourselves."""

from __future__ import annotations

from typing import Literal

import msgspec

Role = Literal["calibration", "held_out", "context"]


class PublishedRow(msgspec.Struct, frozen=True):
    """One published figure and the simulated one.

    Seconds, or bytes for peak_bytes. `error` is relative: +0.03 is 3 % more. `interval` is that of 90 %, None if none
    was asked for; `left_out` says which figures the fit had not seen.
    """

    case: str
    quantity: str
    place: str
    role: Role
    published: float
    simulated: float
    error: float
    interval: tuple[float, float] | None = None
    left_out: str = ""

    @property
    def is_inside(self) -> bool:
        """Whether the published figure lies in the interval."""
        return self.interval is not None and self.interval[0] <= self.published <= self.interval[1]


class GainRow(msgspec.Struct, frozen=True):
    """What a technique saves: published, and as predicted by a fit that has not seen a run with it.

    Seconds; `published` is the difference of two published figures. `error` and `interval` as in PublishedRow.
    """

    technique: str
    case: str
    quantity: str
    place: str
    published: float
    simulated: float
    error: float
    interval: tuple[float, float]


class CaseResult(msgspec.Struct, frozen=True):
    """One comparison with a reference vector: the largest absolute difference and the one allowed.

    For exact cases the difference is the number of misfits. A case that could not be compared has no difference and a
    note that says why; it counts as neither right nor wrong.
    """

    file: str
    case: str
    max_abs_difference: float | None
    tolerance: float
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing speaks against it; a difference that is not a number does."""
        return self.max_abs_difference is None or self.max_abs_difference <= self.tolerance


class ParityRow(msgspec.Struct, frozen=True):
    """One tensor that an exported block writes, beside PyTorch's: the largest difference over the largest magnitude."""

    component: str
    block: str
    kind: str
    tensor: str
    error: float
    tolerance: float

    @property
    def ok(self) -> bool:
        return self.error <= self.tolerance
