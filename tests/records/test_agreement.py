"""What is asked of predictions, and how it is counted."""

from __future__ import annotations

from typing import Any

import pytest

from ondevice_sora.records.agreement import PlanRow, checks, percentile, rank_correlation


def row(predicted_s: float, *measured_s: float, **changes: Any) -> PlanRow:
    settled: dict[str, Any] = {
        "plan": "p", "model": "m", "predicted_bytes": 100, "measured_bytes": 100, "budget_bytes": None,
        "is_equal": True,
    }  # fmt: skip
    return PlanRow(predicted_s=predicted_s, measured_s=measured_s, **{**settled, **changes})


def test_an_error_is_relative_to_the_median_of_the_runs() -> None:
    assert row(1.1, 0.9, 1.0, 5.0).time_error == pytest.approx(0.1)
    assert row(1.1, 0.9, 1.0, 5.0).repeat_spread == pytest.approx(4.0)
    assert row(1.0, 1.0, measured_bytes=80).memory_error == pytest.approx(0.25)


def test_a_run_may_exceed_its_budget_by_a_twentieth() -> None:
    assert row(1.0, 1.0, measured_bytes=105, budget_bytes=100).is_within_budget
    assert not row(1.0, 1.0, measured_bytes=106, budget_bytes=100).is_within_budget
    assert row(1.0, 1.0, measured_bytes=None, budget_bytes=100).is_within_budget


def test_the_checks_say_which_bound_is_not_kept() -> None:
    good = [row(1.0, 1.01), row(2.0, 2.1), row(3.0, 3.0)]
    assert all(check.ok for check in checks(good))
    failing = {
        "time: median error": [row(1.0, 1.1), row(2.0, 2.2), row(3.0, 3.0)],
        "time: 90th percentile of errors": [row(1.0, 1.0), row(2.0, 2.0), row(3.0, 4.0)],
        "peak memory: median error": [row(1.0, 1.0, measured_bytes=90), row(2.0, 2.0, measured_bytes=90)],
        "rank correlation of total times": [row(1.0, 1.01), row(1.02, 1.0), row(1.04, 1.03)],
        "runs over their budget by more than 5 %": [row(1.0, 1.0, budget_bytes=50), row(2.0, 2.0)],
        "runs inside the 90 % interval, at least": [
            row(1.0, 1.0, 1.2, interval_s=(0.9, 1.1)),
            row(2.0, 2.0, interval_s=(1, 3)),
        ],
        "plans whose result is not bit for bit": [row(1.0, 1.0, is_equal=False), row(2.0, 2.0)],
    }
    for name, rows in failing.items():
        assert [check.name for check in checks(rows) if not check.ok] == [name]


def test_runs_are_counted_that_lie_in_what_was_predicted() -> None:
    assert row(1.0, 0.9, 1.0, 1.1, 1.11, interval_s=(0.9, 1.1)).num_inside == 3
    inside = [row(1.0, *[1.0] * 9, 5.0, interval_s=(0.9, 1.1)), row(2.0, *[2.0] * 10, interval_s=(1.9, 2.1))]
    (least, most) = (check for check in checks(inside) if "inside" in check.name)
    assert (least.value, least.ok, most.value, most.ok) == (0.95, True, 0.95, True)
    (_, most) = (check for check in checks(inside[1:]) if "inside" in check.name)
    assert not most.ok, "an interval that holds every run is wider than it says"


def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed() -> None:
    assert percentile([3.0, 1.0, 2.0, 4.0], 0.5) == 2.0
    assert percentile([float(i) for i in range(1, 11)], 0.9) == 9.0
    assert percentile([5.0], 0.9) == 5.0


def test_the_rank_correlation_is_spearmans() -> None:
    assert rank_correlation([1, 2, 3, 4], [10, 20, 25, 100]) == pytest.approx(1.0)
    assert rank_correlation([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1.0)
    assert rank_correlation([1, 2, 2, 3], [1, 2, 2, 3]) == pytest.approx(1.0)
    assert rank_correlation([1, 2, 3, 4, 5], [2, 1, 4, 3, 5]) == pytest.approx(0.8)
