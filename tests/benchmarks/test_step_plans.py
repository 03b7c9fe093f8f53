"""The solvers and the planner of benchmarks/step_plans.py, where the answer is known."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch

from benchmarks.step_plans import SOLVERS, even, planned, power, runge_kutta, trajectory

MEAN, DEVIATION = 0.7, 0.3


def flow(z: torch.Tensor, t: float) -> torch.Tensor:
    """The rectified flow of a normal distribution; from z at time 1 it ends at MEAN + DEVIATION * z."""
    variance = ((1 - t) * DEVIATION) ** 2 + t**2
    off = z - (1 - t) * MEAN
    return MEAN + ((1 - t) * DEVIATION**2 - t) / variance * off


Z = torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]
WANTED = MEAN + DEVIATION * Z


def error(solver: str, steps: int) -> float:
    return float((SOLVERS[solver](flow, Z, power(steps, 1.5)) - WANTED).abs().max())


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("ab2", 2), ("dpmpp_2m", 2)])
def test_halving_the_steps_of_a_solver_gains_by_its_order(solver: str, order: int) -> None:
    assert error(solver, 160) / error(solver, 320) == pytest.approx(2**order, rel=0.25)


def test_the_exact_solutions_stand_in_is_exact() -> None:
    assert float((runge_kutta(flow, Z, even(200)) - WANTED).abs().max()) < 1e-7


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_the_planned_grid_is_the_best_of_all(count: int) -> None:
    """By the sum of the squared deviations that holding a drift adds; every choice of nodes is tried."""
    grid = even(7)
    drifts = trajectory(flow, Z, grid)

    def cost(nodes: tuple[int, ...]) -> float:
        total = 0.0
        for i, j in zip(nodes, (*nodes[1:], len(drifts)), strict=True):
            added = sum((drifts[k] - drifts[i]) * (grid[k] - grid[k + 1]) for k in range(i, j))
            total += float(torch.as_tensor(added).square().sum(1).mean()) if j > i + 1 else 0.0
        return total

    found = planned(drifts, grid)[count]
    every = [(0, *rest) for rest in combinations(range(1, 7), count - 1)]
    assert found in every
    assert cost(found) == pytest.approx(min(map(cost, every)), rel=1e-9)
