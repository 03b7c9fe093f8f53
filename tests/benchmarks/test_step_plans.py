"""What benchmarks/step_plans.py has of its own: the stand-in for the exact solution, and its grids."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from benchmarks.step_plans import SAVED, grids_of, main, runge_kutta

MEAN, DEVIATION = 0.7, 0.3


def flow(z: torch.Tensor, t: float) -> torch.Tensor:
    """The rectified flow of a normal distribution; from z at time 1 it ends at MEAN + DEVIATION * z."""
    variance = ((1 - t) * DEVIATION) ** 2 + t**2
    return MEAN + ((1 - t) * DEVIATION**2 - t) / variance * (z - (1 - t) * MEAN)


def test_the_exact_solutions_stand_in_is_exact() -> None:
    noise = torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]
    assert float((runge_kutta(flow, noise, 200) - (MEAN + DEVIATION * noise)).abs().max()) < 1e-7


@pytest.mark.parametrize("count", [1, 8, 30])
def test_every_grid_has_its_number_of_evaluations(count: int) -> None:
    planned = [tuple(range(made)) for made in range(1, 31)]
    for name, times in grids_of(count, {"even": planned, "transformed": planned}).items():
        assert len(times) == count, name
        assert times[0] == 1000, name
        assert all(0 < later < earlier for earlier, later in pairwise(times)), name


def test_the_saved_results_are_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["step_plans", "--show"])
    main()
    told = capsys.readouterr().out
    assert SAVED.name == "step_plans.json"
    assert "12 planned                 euler            52.4      42.7            46.5   0.984\n" in told
