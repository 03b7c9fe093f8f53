"""Grids and solvers on a flow whose solution is known, and LPL as one of the grids."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.step_plan import Even, Grid, Solver, grid_times
from ondevice_sora.runtime.sampling.leap import FixedLeap, Recording
from ondevice_sora.runtime.sampling.sampler import Sample, flow_timesteps, sample
from ondevice_sora.runtime.sampling.trajectories import TrajectoryJournal, planned_grids, trajectory_of

MEAN, DEVIATION = 0.7, 0.3
NOISE = torch.linspace(-2, 2, 8, dtype=torch.float64).reshape(1, 2, 1, 2, 2)
WANTED = MEAN + DEVIATION * NOISE
"""The rectified flow of a normal distribution carries noise z to this."""


def velocity(latents: Tensor, timesteps: Tensor, *, step: int, merge: bool) -> Tensor:
    time = timesteps.reshape(-1, 1, 1, 1, 1).double() / 1000
    variance = ((1 - time) * DEVIATION) ** 2 + time**2
    return MEAN + ((1 - time) * DEVIATION**2 - time) / variance * (latents - (1 - time) * MEAN)


def even_times(steps: int) -> tuple[float, ...]:
    return flow_timesteps(steps, height=64, width=64, num_frames=68, transform=False)


def walked(times: tuple[float, ...], solver: Solver = "euler") -> Sample:
    return sample(velocity, NOISE, times, guidance_scale=1.0, solver=solver)


def error(times: tuple[float, ...], solver: Solver) -> float:
    return float((walked(times, solver).latent - WANTED).abs().max())


def planned_times(evaluations: int) -> tuple[float, ...]:
    """Planned on four times as many even steps."""
    times = even_times(4 * evaluations)
    recording = Recording()
    end = sample(velocity, NOISE, times, guidance_scale=1.0, leap=recording).latent
    front = planned_grids([trajectory_of(recording.seen, end)])
    return grid_times(Grid(indices=front[evaluations - 1].indices), times)


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("ab2", 2)])
@pytest.mark.parametrize(
    "grid", ["even", Grid(shift=2.236), Grid(shift=0.8), Grid(power=1.5), Grid(power=2.0)], ids=str
)
def test_halving_the_steps_gains_by_the_solvers_order(grid: Even | Grid, solver: Solver, order: int) -> None:
    coarse, fine = (error(grid_times(grid, even_times(steps)), solver) for steps in (160, 320))
    assert coarse / fine == pytest.approx(2**order, rel=0.2)


def test_halving_the_steps_of_a_planned_grid_does_too() -> None:
    coarse, fine = (error(planned_times(evaluations), "euler") for evaluations in (16, 32))
    assert coarse / fine == pytest.approx(2, rel=0.3)


def test_adams_bashforth_is_exact_for_a_drift_that_changes_with_time_alone_and_steadily() -> None:
    """Apart from the first step, which is Euler's: from 1 to 0.9 along the drift 3 + 2 * 1."""

    def steady(latents: Tensor, timesteps: Tensor, *, step: int, merge: bool) -> Tensor:
        return torch.ones_like(latents) * (3 + 2 * timesteps.double() / 1000).reshape(-1, 1, 1, 1, 1)

    result = sample(steady, NOISE, (1000.0, 900.0, 350.0, 50.0), guidance_scale=1.0, solver="ab2")
    wanted = 0.1 * (3 + 2) + 0.9 * 3 + 0.9**2
    torch.testing.assert_close(result.latent - NOISE, torch.full_like(NOISE, wanted), rtol=0, atol=1e-6)


@pytest.mark.parametrize("leap_step", [0, 3, 15, 29])
def test_a_fixed_leap_is_a_grid_to_the_bit(leap_step: int) -> None:
    times = flow_timesteps(30, height=256, width=256, num_frames=68)
    leapt = sample(velocity, NOISE.float(), times, guidance_scale=1.0, leap=FixedLeap(leap_step))
    as_grid = grid_times(Grid(indices=tuple(range(leap_step + 1))), times)
    gridded = sample(velocity, NOISE.float(), as_grid, guidance_scale=1.0)
    assert torch.equal(leapt.latent, gridded.latent)
    assert [(step.timestep, step.dt) for step in leapt.steps] == [(step.timestep, step.dt) for step in gridded.steps]


def test_leaving_steps_out_costs_what_holding_their_drifts_adds() -> None:
    times = even_times(6)
    recording = Recording()
    end = sample(velocity, NOISE, times, guidance_scale=1.0, leap=recording).latent
    found = trajectory_of(recording.seen, end)
    drifts = [seen.drift for seen in recording.seen]
    for i in range(6):
        for j in range(7):
            added = sum((drifts[k] - drifts[i]) / 6 for k in range(i + 1, j))
            assert found.squares[i, j] == pytest.approx(float(torch.as_tensor(added).double().square().mean()))
    assert found.power == pytest.approx(float(end.square().mean()))


def test_all_evaluations_cost_nothing_and_each_one_less_costs_more() -> None:
    recording = Recording()
    end = sample(velocity, NOISE, even_times(12), guidance_scale=1.0, leap=recording).latent
    errors = [grid.estimated_error for grid in planned_grids([trajectory_of(recording.seen, end)])]
    assert errors[-1] == 0
    assert errors == sorted(errors, reverse=True)


# The journal of recorded videos

KEYS = ["a" * 24, "b" * 24]


@pytest.fixture
def journal(tmp_path):
    return TrajectoryJournal(tmp_path / "grids.json", 3)


@pytest.fixture
def trajectory():
    recording = Recording()
    end = sample(velocity, NOISE, even_times(3), guidance_scale=1.0, leap=recording).latent
    return trajectory_of(recording.seen, end)


def test_recorded_videos_come_back_as_they_were_and_others_are_left_alone(journal, trajectory) -> None:
    journal.add(KEYS[0], trajectory)
    journal.add(KEYS[1], trajectory)
    (found,) = journal.read(KEYS[1:]).values()
    assert found.power == trajectory.power
    assert np.array_equal(found.squares, trajectory.squares)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f'["{KEYS[0]}", 1.0, [1, 2]]', "2 numbers; expected 6"),
        (f'["{KEYS[0]}", 0, [1, 2, 3, 4, 5, 6]]', "expected a number > 0"),
        (f'["{KEYS[0]}", 1.0, [1, 2, 3, 4, 5, -6]]', "expected a number >= 0"),
        ("[]", "list of at least length 3"),
    ],
)
def test_a_line_that_is_no_video_is_refused(journal, trajectory, line: str, message: str) -> None:
    journal.add(KEYS[1], trajectory)
    with journal.path.open("a") as stream:
        stream.write(line + "\n")
    with pytest.raises(UserError, match=f"videos.jsonl:2.*{message}"):
        journal.read(KEYS)


def test_values_that_are_not_finite_are_not_kept(journal, trajectory) -> None:
    with pytest.raises(UserError, match="not finite"):
        journal.add(KEYS[0], trajectory._replace(power=float("nan")))
