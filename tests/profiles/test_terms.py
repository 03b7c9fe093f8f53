"""Sums of amounts times coefficients."""

from __future__ import annotations

import numpy as np

from ondevice_sora.profiles.terms import summed


def test_a_block_costs_the_same_to_the_last_digit_whichever_are_priced_beside_it() -> None:
    draw = np.random.default_rng(0)
    amounts, seconds = draw.lognormal(5, 5, (300, 11)), draw.lognormal(-5, 5, (11, 1))
    together = summed(amounts, seconds)
    assert np.allclose(together, amounts @ seconds, rtol=1e-12)
    for count in (1, 2, 7, 64):
        assert np.array_equal(summed(amounts[:count], seconds), together[:count])
