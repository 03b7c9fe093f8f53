"""Sampling on fields whose solution is known."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from ondevice_sora.base.errors import UserError
from ondevice_sora.runtime.sampling.leap import FixedLeap
from ondevice_sora.runtime.sampling.sampler import StepRecord, flow_timesteps, latent_frames_in_transform, sample

SHAPE = (2, 4, 3, 2, 2)
EVEN = flow_timesteps(10, height=64, width=64, num_frames=17, transform=False)


class Field:
    """A denoiser whose guided drift is `velocity(latent, time)`; remembers how it was called."""

    def __init__(self, velocity=lambda latent, time: torch.ones_like(latent), extra_channels: int = 0) -> None:
        self.velocity = velocity
        self.extra_channels = extra_channels
        self.calls: list[tuple[int, float, bool]] = []

    def __call__(self, latents: Tensor, timesteps: Tensor, *, step: int, merge: bool) -> Tensor:
        assert timesteps.shape == (latents.shape[0],)
        self.calls.append((step, timesteps[0].item(), merge))
        out = self.velocity(latents, timesteps[0].item() / 1000)
        unused = torch.full((out.shape[0], self.extra_channels, *out.shape[2:]), math.nan)
        return torch.cat([out, unused], dim=1)


def test_a_constant_field_moves_by_the_whole_time_whatever_the_schedule() -> None:
    noise = torch.randn(SHAPE)
    for times in (EVEN, flow_timesteps(7, height=192, width=192, num_frames=68), (1000.0,)):
        torch.testing.assert_close(sample(Field(), noise, times, guidance_scale=7.0).latent, noise + 1)


def test_euler_steps_of_a_linear_field_are_the_product_of_their_factors() -> None:
    noise = torch.randn(SHAPE)
    result = sample(Field(lambda latent, time: -latent), noise, (1000.0, 600.0, 100.0), guidance_scale=1.0)
    torch.testing.assert_close(result.latent, noise * 0.6 * 0.5 * 0.9)


def test_guidance_weighs_the_two_halves_and_unused_channels_are_dropped() -> None:
    def conditional_two_unconditional_one(latents: Tensor, time: float) -> Tensor:
        half = torch.ones_like(latents[: latents.shape[0] // 2])
        return torch.cat([2 * half, half])

    field = Field(conditional_two_unconditional_one, extra_channels=4)
    noise = torch.randn(SHAPE)
    torch.testing.assert_close(sample(field, noise, EVEN, guidance_scale=7.0).latent, noise + 1 + 7)


def test_without_guidance_the_conditional_half_alone_is_computed() -> None:
    """The next guidance above 1.0 is 1.0 in float32, and computes both halves."""
    sizes: list[int] = []

    def denoise(latents: Tensor, timesteps: Tensor, *, step: int, merge: bool) -> Tensor:
        sizes.append(len(latents))
        told = torch.zeros(len(latents), 1, 1, 1, 1)
        told[: len(noise)] = 0.7
        return torch.sin(latents + told) - timesteps.reshape(-1, 1, 1, 1, 1) / 1000

    noise = torch.randn(SHAPE)
    one, both = (sample(denoise, noise, EVEN, guidance_scale=g).latent for g in (1.0, math.nextafter(1.0, 2.0)))
    assert sizes == [len(noise)] * len(EVEN) + [2 * len(noise)] * len(EVEN)
    torch.testing.assert_close(one, both)


def test_a_fixed_leap_ends_the_run_after_one_evaluation_more() -> None:
    field, noise = Field(lambda latent, time: -latent), torch.randn(SHAPE)
    result = sample(field, noise, (1000.0, 600.0, 100.0), guidance_scale=1.0, leap=FixedLeap(1))
    assert [call[:2] for call in field.calls] == [(0, 1000), (1, 600)]
    torch.testing.assert_close(result.latent, noise * 0.6 * 0.4)
    assert result.leap_step == 1
    assert [record.dt for record in result.steps] == [0.4, 0.6]


def test_every_step_is_reported_as_it_ends() -> None:
    seen: list[StepRecord] = []
    result = sample(
        Field(lambda latent, time: latent * time), torch.randn(SHAPE), EVEN, guidance_scale=1.0, on_step=seen.append
    )
    assert tuple(seen) == result.steps
    assert [record.step for record in seen] == list(range(10))
    assert seen[0].cosine_whole is None
    assert all(record.cosine_whole == pytest.approx(1) for record in seen[1:])
    assert result.leap_step is None


def test_steps_merge_where_the_plan_says() -> None:
    field = Field()
    result = sample(field, torch.randn(SHAPE), EVEN, guidance_scale=1.0, merge_steps=range(3))
    assert [merge for _, _, merge in field.calls] == [True] * 3 + [False] * 7
    assert [record.merged for record in result.steps] == [True] * 3 + [False] * 7


def test_merging_or_leaping_outside_the_run_is_refused() -> None:
    noise = torch.randn(SHAPE)
    with pytest.raises(UserError, match=r"merging at steps \[10\], but the run has steps 0 to 9"):
        sample(Field(), noise, EVEN, guidance_scale=1.0, merge_steps=[10])
    with pytest.raises(UserError, match="leap at step 10, but the run has steps 0 to 9"):
        sample(Field(), noise, EVEN, guidance_scale=1.0, leap=FixedLeap(10))


def test_the_transform_keeps_the_ends_and_moves_large_videos_towards_noise() -> None:
    plain = flow_timesteps(10, height=512, width=512, num_frames=1)
    assert plain == pytest.approx([1000 - 100 * step for step in range(10)])
    large = flow_timesteps(10, height=256, width=256, num_frames=68)
    assert large[0] == 1000
    # Half of 1000 under R = sqrt(256 * 256 / 512^2 * 20) = sqrt(5).
    assert large[5] == pytest.approx(1000 * math.sqrt(5) / (1 + math.sqrt(5)))
    assert all(later < earlier for earlier, later in pairwise(large))


def test_noise_is_at_1000_for_every_size_however_the_transform_rounds() -> None:
    """64 x 64 x 9 came to 1000.0000000000002, and a file of its grids could not be read again."""
    sizes = [(side, frames) for side in range(64, 520, 8) for frames in (1, 9, 17, 51, 68)]
    assert {flow_timesteps(3, height=side, width=side, num_frames=frames)[0] for side, frames in sizes} == {1000.0}


def test_discrete_times_are_rounded_before_the_transform() -> None:
    assert flow_timesteps(3, height=512, width=512, num_frames=1, discrete=True) == pytest.approx([1000, 667, 333])


@pytest.mark.parametrize(("num_frames", "counted"), [(1, 1), (5, 2), (16, 4), (17, 5), (51, 15), (67, 15), (68, 20)])
def test_frames_counted_by_the_transform(num_frames: int, counted: int) -> None:
    assert latent_frames_in_transform(num_frames) == counted


def test_a_run_without_steps_is_refused() -> None:
    with pytest.raises(UserError, match="num_steps: 0 is below 1"):
        flow_timesteps(0, height=64, width=64, num_frames=17)
