"""Which evaluations to make, planned beforehand from recorded trajectories: the best grids of all lengths at once.

Holding the drift of node i over the steps to node j moves the latent by sum_k (v_i - v_k) h_k more than the drifts met
there. Its squares, as if such deviations were independent, add up along a grid: a shortest path whose number of edges
is the number of evaluations. (Idea: output caching as uneven steps; OSS, arXiv 2503.21774, LeMiCa, arXiv 2511.00090.)
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Costs = NDArray[np.floating[Any]]
"""[n, n + 1]: of holding node i until node j > i, a mean square; the last node is the end."""


class Found(NamedTuple):
    """A grid by its nodes, and the root of its costs' sum."""

    indices: tuple[int, ...]
    error: float


def shortest_grids(costs: Costs) -> list[Found]:
    """For 1 up to n evaluations, the grid from the first node to the end with the least sum of costs."""
    count = len(costs)
    best = np.full((count + 1, count + 1), np.inf)
    came_from = np.zeros((count + 1, count + 1), int)
    best[0, 0] = 0.0
    for made in range(1, count + 1):
        for node in range(made, count + 1):
            ways = best[made - 1, :node] + costs[:node, node]
            came_from[made, node] = int(np.argmin(ways))
            best[made, node] = ways[came_from[made, node]]
    found = []
    for made in range(1, count + 1):
        nodes, node = [], count
        for left in range(made, 0, -1):
            node = int(came_from[left, node])
            nodes.append(node)
        found.append(Found(tuple(reversed(nodes)), math.sqrt(best[made, count])))
    return found
