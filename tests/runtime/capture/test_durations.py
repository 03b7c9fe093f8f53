"""How long loads and runs took from when they could have begun, and what is typical of them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from worlds.toys import Toy

from ondevice_sora.plans.schedule import Schedule
from ondevice_sora.profiles.figures import spread_of
from ondevice_sora.records.trace import Trace
from ondevice_sora.runtime.capture.durations import activities, line, typical, weighted_median


def played(toy: Toy) -> tuple[Schedule, Trace]:
    schedule, _ = toy.schedule()
    outcome = toy.play(is_limited=False)
    return schedule, Trace("measured", "toy", "host", "toy", outcome.spans, outcome.memory, 10**12)


def test_gaps_belong_to_what_follows_them() -> None:
    """Loads of 2 s and runs of 3 s in turn; half a second is lost before each run."""
    schedule, trace = played(Toy(blocks=2, steps=1))
    late = [
        replace(
            span,
            start_s=span.start_s + 0.5 * (number // 3 + (number % 3 > 0)),
            end_s=span.end_s + 0.5 * (number // 3 + (number % 3 > 0)),
        )
        for number, span in enumerate(trace.spans)
    ]
    found = activities(schedule, replace(trace, spans=late))
    assert [(a.visit, a.seconds) for a in found if a.action == "run"] == [(0, 3.5), (1, 3.5)]
    assert [(a.visit, a.seconds) for a in found if a.action == "load"] == [(0, 2.0), (1, 2.0)]
    assert all(a.is_alone for a in found)


def test_a_load_beside_a_run_overlaps_it() -> None:
    found = activities(*played(Toy(blocks=3, steps=1, prefetch=1)))
    loads = {a.visit: a for a in found if a.action == "load"}
    assert [loads[visit].overlap_s for visit in range(3)] == pytest.approx([0.0, 2.0, 2.0])
    runs = {a.visit: a for a in found if a.action == "run"}
    assert [runs[visit].overlap_s for visit in range(3)] == pytest.approx([2.0, 2.0, 0.0])
    assert runs[2].is_alone and not runs[0].is_alone


@pytest.mark.parametrize("count", [1, -1])
def test_a_trace_of_another_schedule_is_refused(count: int) -> None:
    schedule, _ = played(Toy(steps=2))
    _, other = played(Toy(steps=2 + count))
    with pytest.raises(ValueError, match=r"the trace (ends|goes on)"):
        activities(schedule, other)


def test_the_typical_value_leaves_out_what_lies_far_off_but_not_what_is_skewed() -> None:
    assert typical([1.0, 1.1, 1.2, 1.3, 9.0]) == pytest.approx(1.15)
    assert typical([1.0, 1.0, 1.0, 1.2]) == pytest.approx(1.05)
    assert spread_of([1.0, 1.1, 1.2, 1.3, 9.0]) == pytest.approx(0.1 * 1.4826 * 1.206 / 1.2)
    assert spread_of([2.0]) == 0.0


def test_the_weighted_median_has_half_of_the_weight_below_it() -> None:
    assert weighted_median([3.0, 1.0, 2.0], [1.0, 1.0, 1.0]) == 2.0
    assert weighted_median([3.0, 1.0, 2.0], [5.0, 1.0, 1.0]) == 3.0


def test_the_line_has_the_least_relative_errors_and_nothing_below_zero() -> None:
    assert line([(0.0, 1.0), (10.0, 3.0), (20.0, 5.0)]) == pytest.approx((1.0, 0.2))
    assert line([(10.0, 1.0), (20.0, 2.5)]) == pytest.approx((0.0, (10.0 + 8.0) / (100.0 + 64.0)))
    assert line([(10.0, 2.0)]) == pytest.approx((0.0, 0.2))
    assert line([]) == (0.0, 0.0)
