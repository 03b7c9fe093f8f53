"""Simulated passes agree with the paper's equations where their assumptions hold: equal blocks, no interference."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.toys import Toy

from ondevice_sora.simulator.bounds import bounds_of


def eq10_saving(blocks, load_s, run_s, alpha_s=0.0):
    """Seconds that concurrent inference saves in a pass over equal blocks: b * min(l, e) - alpha.

    Source: arXiv 2502.04363, Eq. 10.
    """
    return blocks * min(load_s, run_s) - alpha_s


def eq11_saving(blocks, kept, load_s, run_s, alpha_s=0.0):
    """The same with d blocks kept: b * min(l, e) + d * max(0, l - e) - alpha * (1 - d / b).

    Source: arXiv 2502.04363, Eq. 11.
    """
    return blocks * min(load_s, run_s) + kept * max(0.0, load_s - run_s) - alpha_s * (1 - kept / blocks)


seconds = st.floats(0.01, 100.0)


def steady_pass(toy):
    """Seconds of a pass that has a pass before and after it."""
    return toy.with_(steps=4).finish().pass_s("denoiser")[2]


@given(blocks=st.integers(2, 30), load_s=seconds, run_s=seconds)
def test_concurrent_inference_saves_eq_10(blocks, load_s, run_s):
    toy = Toy(blocks=blocks, load_s=load_s, run_s=run_s)
    saved = steady_pass(toy) - steady_pass(toy.with_(prefetch=1))
    assert saved == pytest.approx(eq10_saving(blocks, load_s, run_s), rel=1e-9, abs=1e-9)


@given(blocks=st.integers(2, 30), data=st.data(), load_s=seconds, run_s=seconds)
def test_dynamic_loading_saves_eq_11(blocks, data, load_s, run_s):
    kept = data.draw(st.integers(0, blocks - 1))
    toy = Toy(blocks=blocks, load_s=load_s, run_s=run_s)
    saved = steady_pass(toy) - steady_pass(toy.with_(prefetch=1, keep=kept))
    assert saved == pytest.approx(eq11_saving(blocks, kept, load_s, run_s), rel=1e-9, abs=1e-9)


def test_alpha_of_the_equations_comes_out_of_the_mutual_slowing(toy):
    """While a load goes on for 2 / 0.8 s, the run loses a fifth of that: alpha is 0.5 s a block."""
    slowed = toy.with_(prefetch=1, load_rate=0.8, run_rate=0.8)
    saved = steady_pass(toy) - steady_pass(slowed)
    assert saved == pytest.approx(eq10_saving(3, 2.0, 3.0, alpha_s=3 * 0.5))


def test_bounds_of_the_toy(toy):
    schedule, costs = toy.schedule()
    bounds = bounds_of(schedule, costs)
    assert (bounds.run_s, bounds.load_s, bounds.lower_s, bounds.sequential_s) == (9, 6, 11, 15)
