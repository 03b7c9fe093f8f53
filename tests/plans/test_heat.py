"""Heat within runs: how work is cut, and what loads slow it, changes nothing of what heat does to it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.rows import Part, Row

from ondevice_sora.plans.heat import Heat, after, seconds_for, work_in

HEAT = Heat(True, 0.5, 10.0)
heats = st.builds(Heat, st.just(True), st.floats(0.01, 1.0), st.floats(0.1, 1e4))
shares = st.floats(0.0, 1.0)


def test_heat_follows_activity_and_decays_at_rest():
    assert after(HEAT, 0.0, 10.0, is_busy=True) == pytest.approx(1 - math.exp(-1))
    assert after(HEAT, 1.0, 10.0, is_busy=False) == pytest.approx(math.exp(-1))


@pytest.mark.parametrize("blocks", [1, 2, 10, 100])
def test_work_takes_as_long_however_finely_it_is_cut(blocks):
    """1,000 s of work: 0.5 t + 5 (1 - exp(-t / 10)) = 1,000 at t = 1,990."""
    part = Part((1,) * blocks, (0.0,) * blocks, (1000.0 / blocks,) * blocks, passes=1)
    hot = Row((part,), heat=Heat(True, 0.5, 10.0))
    assert hot.finish().total_s == pytest.approx(1990.0, rel=1e-9)
    assert hot.play().total_s == pytest.approx(1990.0, rel=1e-9)


@given(heats, shares, st.floats(0.0, 1e5))
def test_work_done_in_the_seconds_that_work_takes_is_that_work(heat, warmth, work):
    assert work_in(heat, warmth, seconds_for(heat, warmth, work)) == pytest.approx(work, rel=1e-12, abs=1e-12)


@given(heats, shares, st.floats(0.0, 1e4), shares)
def test_work_is_the_sum_of_its_parts(heat, warmth, seconds, share):
    early = share * seconds
    then = after(heat, warmth, early, is_busy=True)
    parts = work_in(heat, warmth, early) + work_in(heat, then, seconds - early)
    assert parts == pytest.approx(work_in(heat, warmth, seconds), rel=1e-9, abs=1e-9)


@given(shares.map(lambda share: 0.3 + 0.7 * share), st.floats(1.0, 40.0), st.floats(0.0, 30.0))
def test_a_hot_run_that_a_load_slows_does_its_work_piece_by_piece(run_rate, run_s, load_s):
    """Throughput is the heat's, times the run's rate while a load goes on: summed over small steps it is the work."""
    parts = (Part((1, 1, 1), (2.0, load_s, 0.0), (5.0, run_s, 1.0), prefetch=2),)
    row = Row(parts, load_rate=0.7, run_rate=run_rate, heat=Heat(True, 0.5, 10.0))
    spans = row.play().spans
    loads = [(span.start_s, span.end_s) for span in spans if span.action == "load"]
    warmth, now = 0.0, 0.0
    for span, work in zip([span for span in spans if span.action == "run"], (5.0, run_s, 1.0), strict=True):
        warmth *= math.exp(-(span.start_s - now) / 10.0)
        done, step = 0.0, (span.end_s - span.start_s) / 4000
        for number in range(4000):
            middle = span.start_s + (number + 0.5) * step
            is_slowed = any(start < middle < end for start, end in loads)
            heat = 1 - (1 - warmth) * math.exp(-(middle - span.start_s) / 10.0)
            done += step * (1 - 0.5 * heat) * (run_rate if is_slowed else 1.0)
        assert done == pytest.approx(work, rel=2e-3)
        warmth, now = 1 - (1 - warmth) * math.exp(-(span.end_s - span.start_s) / 10.0), span.end_s
    assert row.finish().total_s == pytest.approx(row.play().total_s, rel=1e-9)
