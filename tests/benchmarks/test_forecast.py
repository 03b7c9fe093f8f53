"""What benchmarks/forecast.py has of its own: forecasts, and the grids planned for them."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch

from benchmarks import forecast as benchmark
from benchmarks.forecast import SAVED, Evaluated, Forecast, forecast, grids_for, main
from benchmarks.step_plans import EVEN, Videos
from ondevice_sora.runtime.small.evaluation.evaluation import chosen_scenes


def test_a_line_through_the_last_two_goes_on_in_time() -> None:
    """Times are even, so from steps 2 and 4 to 7 it goes one and a half times as far again."""
    seen = [Evaluated(2, torch.tensor([1.0, 10.0])), Evaluated(4, torch.tensor([3.0, 6.0]))]
    torch.testing.assert_close(forecast(seen, 7), torch.tensor([6.0, 0.0]))
    assert forecast(seen[1:], 7) is seen[1].added, "held"


def test_grids_are_the_best_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = 6
    monkeypatch.setattr(benchmark, "STEPS", steps)
    costs = np.random.default_rng(0).random((steps, steps, steps + 1))

    def total(path: tuple[int, ...]) -> float:
        ends = (*path[1:], steps)
        return math.fsum(costs[p, i, j] for p, i, j in zip((0, *path), path, ends, strict=False))

    found = grids_for(costs)
    for count in range(1, steps + 1):
        assert found[count] == min(((0, *rest) for rest in combinations(range(1, steps), count - 1)), key=total)


@torch.no_grad()
def test_an_evaluated_step_is_the_denoisers() -> None:
    ((_, scene),) = chosen_scenes(1)
    videos = Videos([scene], [0])
    latents, times = torch.cat([videos.noise] * 2), torch.full((2,), EVEN[0])
    found = Forecast(videos, [0], is_linear=False)(latents, times, step=0)
    torch.testing.assert_close(found, videos(latents, times), rtol=1e-4, atol=1e-5)


def test_the_saved_results_are_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["forecast", "--show"])
    main()
    told = capsys.readouterr().out
    assert SAVED.name == "forecast.json"
    assert "12 leapt                       euler           51.8      43.2\n" in told
    assert "8 videos, frames' PSNR in dB; the 30 steps are 44.57 dB" in told
