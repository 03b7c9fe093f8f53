"""The grids found are the best of all, for every number of evaluations at once."""

from __future__ import annotations

import math
from itertools import combinations, pairwise

import numpy as np
import pytest

from ondevice_sora.plans.step_planning import shortest_grids


@pytest.mark.parametrize("seed", range(5))
def test_no_choice_of_nodes_costs_less(seed: int) -> None:
    count = 7
    costs = np.random.default_rng(seed).random((count, count + 1))
    found = shortest_grids(costs)
    assert [len(each.indices) for each in found] == list(range(1, count + 1))
    for each in found:
        every = [(0, *rest) for rest in combinations(range(1, count), len(each.indices) - 1)]
        totals = {nodes: sum(costs[i, j] for i, j in pairwise((*nodes, count))) for nodes in every}
        assert totals[each.indices] == pytest.approx(min(totals.values()))
        assert each.error == pytest.approx(math.sqrt(totals[each.indices]))
