"""How well predictions agree with measurements: errors, their distribution, and whether plans rank the same."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import msgspec
import numpy as np
import numpy.typing as npt

MEDIAN_TIME_ERROR, P90_TIME_ERROR = 0.05, 0.12
MEDIAN_MEMORY_ERROR = 0.05
RANK_CORRELATION = 0.95
COVERAGE = 0.80, 0.97
"""Of a 90 % interval: how many of the runs are to lie in it."""
BUDGET_EXCESS = 0.05


class PlanRow(msgspec.Struct, frozen=True):
    """One plan: what was predicted from the capture, and what its runs measured.

    measured_s        totals of its runs, one a process
    predicted_bytes   what the schedule can need: the runtime holds its buffers from the set-up on
    measured_bytes    most resident memory that a run added to its process, largest of the runs; None if unknown
    is_equal          every run's result was the unpartitioned model's, bit for bit
    interval_s        the central 90 % of what was predicted; None if unknown
    """

    plan: str
    model: str
    predicted_s: float
    measured_s: tuple[float, ...]
    predicted_bytes: int
    measured_bytes: int | None
    budget_bytes: int | None
    is_equal: bool
    interval_s: tuple[float, float] | None = None

    @property
    def num_inside(self) -> int:
        """How many of its runs lie in the interval."""
        low, high = self.interval_s or (self.predicted_s, self.predicted_s)
        return sum(low <= value <= high for value in self.measured_s)

    @property
    def total_s(self) -> float:
        """The median of the runs."""
        return median(self.measured_s)

    @property
    def time_error(self) -> float:
        """Relative: +0.03 says that 3 % too much was predicted."""
        return self.predicted_s / self.total_s - 1.0

    @property
    def memory_error(self) -> float | None:
        return None if self.measured_bytes is None else self.predicted_bytes / self.measured_bytes - 1.0

    @property
    def repeat_spread(self) -> float:
        """How far the plan's own runs lie from their median, relative, at the most."""
        return max(abs(value / self.total_s - 1.0) for value in self.measured_s)

    @property
    def is_within_budget(self) -> bool:
        if self.budget_bytes is None or self.measured_bytes is None:
            return True
        return self.measured_bytes <= self.budget_bytes * (1 + BUDGET_EXCESS)


class Check(msgspec.Struct, frozen=True):
    """One thing asked of the whole: a value and the bound it must keep."""

    name: str
    value: float
    bound: float
    is_least: bool = False
    """the bound is the least that will do, not the most"""

    @property
    def ok(self) -> bool:
        return self.value >= self.bound if self.is_least else self.value <= self.bound


def checks(rows: Sequence[PlanRow]) -> list[Check]:
    """Everything asked of the rows; memory only where it was measured."""
    errors = [abs(row.time_error) for row in rows]
    memory = [abs(row.memory_error) for row in rows if row.memory_error is not None]
    found = [
        Check("time: median error", median(errors), MEDIAN_TIME_ERROR),
        Check("time: 90th percentile of errors", percentile(errors, 0.9), P90_TIME_ERROR),
    ]
    if memory:
        found.append(Check("peak memory: median error", median(memory), MEDIAN_MEMORY_ERROR))
    if len(rows) > 1:
        correlation = rank_correlation([row.predicted_s for row in rows], [row.total_s for row in rows])
        found.append(Check("rank correlation of total times", correlation, RANK_CORRELATION, is_least=True))
    if all(row.interval_s is not None for row in rows):
        share = sum(row.num_inside for row in rows) / sum(len(row.measured_s) for row in rows)
        least, most = COVERAGE
        found.append(Check("runs inside the 90 % interval, at least", share, least, is_least=True))
        found.append(Check("runs inside the 90 % interval, at most", share, most))
    found.append(Check("runs over their budget by more than 5 %", sum(not row.is_within_budget for row in rows), 0))
    found.append(Check("plans whose result is not bit for bit", sum(not row.is_equal for row in rows), 0))
    return found


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    return float(np.quantile(values, share, method="inverted_cdf"))


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's: the correlation of ranks, equal values sharing theirs; 1 where either side is all equal."""
    ranks = [_ranks(first), _ranks(second)]
    if min(map(np.ptp, ranks)) == 0:
        return 1.0
    return float(np.corrcoef(ranks)[0, 1])


def _ranks(values: Sequence[float]) -> npt.NDArray[np.float64]:
    """The mean rank of each value among all of them, from 1."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]
