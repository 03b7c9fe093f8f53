"""When each rule leaps, on drifts made for the purpose."""

import math
from dataclasses import replace
from typing import Literal

import pytest
import torch
from torch import Tensor

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.leap import resolved
from ondevice_sora.plans.schema import Lpl
from ondevice_sora.runtime.sampling.leap import (
    CurvatureLeap,
    LeapRule,
    NoLeap,
    Observation,
    PlateauLeap,
    least_squares_slope,
    rule_of,
)
from ondevice_sora.runtime.sampling.sampler import flow_timesteps, sample

EVEN_30 = flow_timesteps(30, height=64, width=64, num_frames=17, transform=False)


def dynamic(rule: Literal["paper", "gpu_code"], num_steps: int = 30) -> LeapRule:
    found = rule_of(resolved(Lpl("dynamic", rule=rule), num_steps))
    assert found is not None
    return found


def drifts_with_cosines(cosines: list[float]) -> list[Tensor]:
    """Drifts of two values a row, each at the given cosine to the one before."""
    angle, drifts = 0.0, [0.0]
    for cosine in cosines:
        angle += math.acos(cosine)
        drifts.append(angle)
    return [torch.tensor([math.cos(a), math.sin(a)]).expand(1, 1, 1, 3, 2).contiguous() for a in drifts]


def leap_step(rule: LeapRule, cosines: list[float]) -> int | None:
    drifts = drifts_with_cosines(cosines)
    watcher = rule.start(len(drifts))
    for step, drift in enumerate(drifts):
        seen = Observation(step, 1 - step / len(drifts), torch.zeros_like(drift), drift)
        if watcher.observe(seen).leap:
            return step
    return None


def test_a_plateau_leaps_after_patience_steps_without_gain() -> None:
    rule = PlateauLeap(tolerance=0.01, patience=2, first_step=3, over="whole")
    #                      step: 1    2    3     4      5      6    7
    assert leap_step(rule, [0.1, 0.9, 0.5, 0.505, 0.508, 0.9, 0.9]) == 5
    assert leap_step(rule, [0.1, 0.9, 0.5, 0.505, 0.600, 0.6, 0.6]) == 7
    assert leap_step(rule, [0.5, 0.5, 0.5, 0.600, 0.700, 0.8, 0.9]) is None


@pytest.mark.parametrize(("rule", "first"), [(dynamic("paper"), 15), (dynamic("gpu_code"), 14)])
def test_a_steady_run_leaps_three_steps_after_the_first_looked_at(rule: LeapRule, first: int) -> None:
    assert leap_step(rule, [0.99] * 29) == first + 3


def test_the_paper_counts_its_first_step_as_a_share_of_the_run_the_gpu_code_does_not() -> None:
    assert leap_step(dynamic("paper", 10), [0.99] * 9) == 8
    assert leap_step(dynamic("paper", 11), [0.99] * 10) == 9
    assert leap_step(dynamic("gpu_code", 16), [0.99] * 15) is None


def test_the_slice_looks_at_one_frame_of_one_channel_and_the_whole_at_all() -> None:
    ever_more_alike = [drift.repeat(2, 4, 3, 1, 1) for drift in drifts_with_cosines([0.1, 0.3, 0.5, 0.7, 0.9])]
    for drift in ever_more_alike:
        drift[0, 0, 0] = 1.0

    def leaps(rule: LeapRule) -> list[bool]:
        watcher = rule.start(6)
        return [watcher.observe(Observation(s, 1.0, d, d)).leap for s, d in enumerate(ever_more_alike)]

    whole = PlateauLeap(tolerance=0.01, patience=1, first_step=0, over="whole")
    assert leaps(whole) == [False] * 6
    assert leaps(replace(whole, over="slice")).index(True) == 2


@pytest.mark.parametrize("rule", [dynamic("paper"), dynamic("gpu_code"), CurvatureLeap(1e-9)])
def test_no_state_leaks_from_one_run_to_the_next(rule: LeapRule) -> None:
    def run(num_steps: int) -> tuple[int | None, Tensor]:
        times = flow_timesteps(num_steps, height=64, width=64, num_frames=17)
        noise = torch.linspace(-1, 1, 24).reshape(1, 4, 1, 2, 3)
        result = sample(
            lambda latents, t, *, step, merge: latents * torch.sin(t[0] / 50),
            noise,
            times,
            guidance_scale=1.0,
            leap=rule,
        )
        return result.leap_step, result.latent

    fresh = run(30)
    run(16)
    again = run(30)
    assert again[0] == fresh[0]
    assert torch.equal(again[1], fresh[1])


def accelerating(acceleration: float):
    """A field whose drift grows evenly towards the data, v = 1 + a * (1 - t), so noise z ends at z + 1 + a / 2."""
    return lambda latents, t, *, step, merge: torch.full_like(latents, 1 + acceleration * (1 - t[0].item() / 1000))


def test_the_curvature_rule_knows_the_error_of_an_evenly_accelerating_drift() -> None:
    noise, times = torch.zeros(1, 4, 1, 2, 2), EVEN_30
    result = sample(accelerating(0.8), noise, times, guidance_scale=1.0, leap=CurvatureLeap(0.05))
    leap = result.steps[-1]
    remaining = leap.dt
    landing = result.latent[0, 0, 0, 0, 0].item()
    assert leap.leapt
    assert leap.estimated_error == pytest.approx(0.8 * remaining**2 / 2 / landing, rel=1e-4)
    assert leap.estimated_error <= 0.05 < result.steps[-2].estimated_error
    # What the leap missed of the exact end, 1 + a / 2, is what was estimated, but for the Euler steps before it.
    euler_missed = 0.8 / 2 * (1 - remaining) / 30
    assert 1.4 - landing - euler_missed == pytest.approx(leap.estimated_error * landing, rel=1e-3)


def test_a_bent_leap_lands_on_the_end_of_an_evenly_accelerating_drift() -> None:
    noise = torch.zeros(1, 4, 1, 2, 2)
    straight = sample(accelerating(0.8), noise, EVEN_30, guidance_scale=1.0, leap=CurvatureLeap(0.05))
    bent = sample(accelerating(0.8), noise, EVEN_30, guidance_scale=1.0, leap=CurvatureLeap(0.05, bend=True))
    euler_missed = 0.8 / 2 * (1 - bent.steps[-1].dt) / 30
    assert bent.leap_step == straight.leap_step
    assert bent.latent.mean().item() == pytest.approx(1.4 - euler_missed, abs=1e-5)


def test_accepting_more_error_never_leaps_later() -> None:
    steps = []
    for accepted in (1e-4, 1e-2, 0.03, 0.1, 0.3):
        noise = torch.zeros(1, 4, 1, 2, 2)
        result = sample(accelerating(0.8), noise, EVEN_30, guidance_scale=1.0, leap=CurvatureLeap(accepted))
        steps.append(result.leap_step if result.leap_step is not None else 30)
    assert steps == sorted(steps, reverse=True)
    assert len(set(steps)) > 2


def test_a_straight_path_is_leapt_as_soon_as_three_drifts_are_known() -> None:
    result = sample(
        accelerating(0.0), torch.zeros(1, 4, 1, 2, 2), EVEN_30, guidance_scale=1.0, leap=CurvatureLeap(1e-6)
    )
    assert result.leap_step == 2


def test_the_worst_sample_of_a_batch_decides() -> None:
    def velocity(latents: Tensor, timesteps: Tensor, *, step: int, merge: bool) -> Tensor:
        out = torch.ones_like(latents)
        out[1::2] += 3 * torch.sin(timesteps[0] / 100)
        return out

    def leaps_at(noise: Tensor) -> int | None:
        return sample(velocity, noise, EVEN_30, guidance_scale=1.0, leap=CurvatureLeap(1e-3)).leap_step

    assert leaps_at(torch.zeros(1, 4, 1, 2, 2)) == 2
    assert leaps_at(torch.zeros(2, 4, 1, 2, 2)) != 2


def test_without_a_rule_every_step_is_walked() -> None:
    assert leap_step(NoLeap(), [1.0] * 29) is None


def test_accepting_no_error_is_refused() -> None:
    for value in (0.0, -1.0, math.nan):
        with pytest.raises(UserError, match="is not above 0"):
            CurvatureLeap(value).start(30)


def test_the_slope_is_that_of_the_line_of_least_squares() -> None:
    positions = [0.0, 1.0, 4.0]
    values = [torch.tensor([1.0, 0.0]), torch.tensor([3.0, 3.0]), torch.tensor([9.0, 3.0])]
    # Second column by hand: centre 5/3, offsets -5/3, -2/3, 7/3; slope = (-2 + 7) / (78 / 9).
    torch.testing.assert_close(least_squares_slope(positions, values), torch.tensor([2.0, 5 / (78 / 9)]))
