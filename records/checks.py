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


class CorpusRow(msgspec.Struct, frozen=True):
    """One row of a corpus beside its prediction. Seconds, or bytes for memory.

    processor   where the prediction has it run
    is_fitted   the shipped figures were set by it; else it only checks them
    is_known    false for first loads on the Neural Engine, which the tool says it cannot tell
    """

    id: str
    model: str
    device: str
    processor: Literal["cpu", "gpu", "ane"]
    quantity: str
    published: float
    predicted: float
    low: float
    high: float
    is_fitted: bool
    is_known: bool = True

    @property
    def ratio(self) -> float:
        return self.predicted / self.published

    @property
    def is_inside(self) -> bool:
        """Whether the published figure lies in the prediction's 90 % interval."""
        return self.low <= self.published <= self.high


class CorpusClass(msgspec.Struct, frozen=True):
    """Rows of one quantity on one processor, or those of them that only check.

    median_error      of the absolute relative errors
    coverage          share of published figures inside the 90 % interval
    within_factor_3   share of predictions within a factor of 3
    rank_correlation  Spearman's, None for fewer than three rows or where all are alike
    """

    processor: str
    quantity: str
    which: Literal["fitted", "checked", "all"]
    num_rows: int
    median_error: float
    coverage: float
    within_factor_3: float
    rank_correlation: float | None


class SkippedRow(msgspec.Struct, frozen=True):
    """A row that was not predicted, and why."""

    id: str
    reason: str


class CorpusReport(msgspec.Struct, frozen=True):
    rows: list[CorpusRow]
    classes: list[CorpusClass]
    skipped: list[SkippedRow]
