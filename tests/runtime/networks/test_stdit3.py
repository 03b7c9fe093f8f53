"""Laws of the denoiser that hold for any weights."""

import subprocess
import sys

import pytest
import torch
from worlds.paths import ROOT

from ondevice_sora.runtime.networks.merging import merge_frames, unmerge_frames
from ondevice_sora.runtime.networks.stdit3 import LatentSize, PixelSize, STDiT3, STDiT3Config

PIXELS = PixelSize(24, 32)
FPS = torch.tensor([24.0])
TIMESTEP = torch.tensor([400.0, 900.0])


def test_padding_tokens_do_not_matter(denoiser: STDiT3) -> None:
    latent, caption = torch.randn(2, 4, 4, 4, 4), torch.randn(2, 7, 12)
    mask = torch.tensor([[1, 1, 1, 0, 0, 0, 0]])
    padded = denoiser(latent, TIMESTEP, caption, pixels=PIXELS, fps=FPS, text_mask=mask)
    cut = denoiser(latent, TIMESTEP, caption[:, :3], pixels=PIXELS, fps=FPS)
    torch.testing.assert_close(padded, cut)
    whole = denoiser(latent, TIMESTEP, caption, pixels=PIXELS, fps=FPS)
    assert (whole - cut).abs().max() > 1e-3


def test_tokens_beyond_those_attended_to_are_left_out(denoiser: STDiT3) -> None:
    latent, caption = torch.randn(2, 4, 4, 4, 4), torch.randn(2, 7, 12)
    mask = torch.tensor([[1, 1, 1, 0, 0, 0, 0]])
    padded = denoiser(latent, TIMESTEP, caption, pixels=PIXELS, fps=FPS, text_mask=mask)
    left_out = denoiser(latent, TIMESTEP, caption, pixels=PIXELS, fps=FPS, text_mask=mask, attended_tokens=4)
    torch.testing.assert_close(left_out, padded)
    state = denoiser.initial_state(latent, TIMESTEP, caption, fps=FPS, text_mask=mask)
    first = denoiser.units(LatentSize(4, 4, 4), PIXELS, attended_tokens=4)[0](state)
    assert first["caption_tokens"].shape[1] == first["caption_bias"].shape[3] == 4


def test_frames_are_told_apart_where_they_are_embedded_only() -> None:
    for embed_frames in (False, True):
        torch.manual_seed(0)
        config = STDiT3Config(1, 16, 2, caption_channels=8, model_max_length=4, embed_frames=embed_frames)
        model = STDiT3(config).eval()
        latent, caption = torch.randn(2, 4, 1, 4, 4), torch.randn(2, 4, 8)
        known = {"pixels": PIXELS, "fps": FPS}
        first, tenth = (model(latent, TIMESTEP, caption, **known, first_frame=number) for number in (0, 9))
        assert torch.equal(first, tenth) != embed_frames
        pair = model.units(LatentSize(2, 4, 4), PIXELS)[0]
        both = pair(model.initial_state(latent.repeat(1, 1, 2, 1, 1), TIMESTEP, caption, fps=FPS))["hidden"]
        assert torch.equal(both[:, 0], both[:, 1]) != embed_frames


@pytest.mark.parametrize("size", [LatentSize(1, 1, 1), LatentSize(3, 5, 4), LatentSize(5, 4, 7)])
def test_odd_sizes_come_back_as_they_were(denoiser: STDiT3, size: LatentSize) -> None:
    out = denoiser(torch.randn(2, 4, *size), TIMESTEP, torch.randn(2, 7, 12), pixels=PIXELS, fps=FPS)
    assert out.shape == (2, 8, *size)
    assert out.dtype == torch.float32


def test_odd_sizes_are_those_padded_with_zeros(denoiser: STDiT3) -> None:
    latent, caption = torch.randn(2, 4, 3, 6, 4), torch.randn(2, 7, 12)
    latent[:, :, :, 5:] = 0
    cropped = denoiser(latent[:, :, :, :5], TIMESTEP, caption, pixels=PIXELS, fps=FPS)
    assert torch.equal(cropped, denoiser(latent, TIMESTEP, caption, pixels=PIXELS, fps=FPS)[:, :, :, :5])


def test_a_frame_mask_of_true_is_no_mask(denoiser: STDiT3) -> None:
    latent, caption = torch.randn(2, 4, 3, 4, 4), torch.randn(2, 7, 12)
    mask = torch.ones(2, 3, dtype=torch.bool)
    assert torch.equal(
        denoiser(latent, TIMESTEP, caption, pixels=PIXELS, fps=FPS, frame_mask=mask),
        denoiser(latent, TIMESTEP, caption, pixels=PIXELS, fps=FPS),
    )


def test_merging_changes_nothing_where_paired_frames_are_equal_and_time_does_not_mix(denoiser: STDiT3) -> None:
    latent = torch.randn(2, 4, 2, 4, 4).repeat_interleave(2, dim=2)
    caption, spatial = torch.randn(2, 7, 12), ("spatial_0", "spatial_1")
    temporal = ("temporal_0", "temporal_1")
    for block in denoiser.temporal_blocks:
        block.attn.proj.weight.zero_()
    plain = denoiser(latent, TIMESTEP, caption, pixels=PIXELS, fps=FPS)
    merged = denoiser(latent, TIMESTEP, caption, pixels=PIXELS, fps=FPS, merged_blocks=(*spatial, *temporal))
    torch.testing.assert_close(merged, plain)


def test_merging_changes_the_result_otherwise(denoiser: STDiT3) -> None:
    latent, caption = torch.randn(2, 4, 4, 4, 4), torch.randn(2, 7, 12)
    plain = denoiser(latent, TIMESTEP, caption, pixels=PIXELS, fps=FPS)
    for name in denoiser.block_names:
        merged = denoiser(latent, TIMESTEP, caption, pixels=PIXELS, fps=FPS, merged_blocks=[name])
        assert (merged - plain).abs().max() > 1e-3, name


def test_merging_averages_pairs_and_leaves_an_odd_last_frame_alone() -> None:
    x = torch.tensor([0.0, 2.0, 10.0, 14.0, 5.0]).reshape(1, 5, 1, 1)
    assert merge_frames(x).flatten().tolist() == [1, 12, 5]
    assert unmerge_frames(merge_frames(x), 5).flatten().tolist() == [1, 1, 12, 12, 5]
    assert unmerge_frames(merge_frames(x[:, :4]), 4).flatten().tolist() == [1, 1, 12, 12]
    assert merge_frames(x[:, :1]).flatten().tolist() == [0]


@pytest.mark.parametrize("num_frames", range(1, 8))
def test_merging_works_for_every_number_of_frames(denoiser: STDiT3, num_frames: int) -> None:
    latent = torch.randn(2, 4, num_frames, 2, 2)
    merged = denoiser(
        latent, TIMESTEP, torch.randn(2, 7, 12), pixels=PIXELS, fps=FPS, merged_blocks=denoiser.block_names
    )
    assert merged.shape == (2, 8, num_frames, 2, 2)


def test_merging_an_unknown_block_is_refused(denoiser: STDiT3) -> None:
    with pytest.raises(ValueError, match="no such blocks: spatial_9"):
        denoiser.units(LatentSize(4, 4, 4), PIXELS, merged_blocks=["spatial_9"])


def test_patches_longer_than_a_frame_come_back_in_place() -> None:
    model = STDiT3(STDiT3Config(depth=1, hidden_size=8, num_heads=2, patch_size=(2, 2, 3), pred_sigma=False))
    video = torch.arange(4 * 4 * 6 * 6, dtype=torch.float32).reshape(1, 4, 4, 6, 6)
    patches = video.reshape(1, 4, 2, 2, 3, 2, 2, 3).permute(0, 2, 4, 6, 3, 5, 7, 1).reshape(1, 2, 6, -1)
    assert torch.equal(model.unpatchify(patches, LatentSize(2, 3, 2)), video)


def test_a_network_without_weights_costs_no_memory_of_its_own() -> None:
    """PyTorch imports sympy, 75 MB, for many an operation on the meta device; none of them is needed here.

    Before 2.11 it did so for any layer whatever.
    """
    code = (
        "import sys, torch; from ondevice_sora.runtime.networks.stdit3 import STDiT3, STDiT3Config\n"
        "with torch.device('meta'): torch.nn.Linear(1, 1); print('sympy' in sys.modules)\n"
        "with torch.device('meta'): STDiT3(STDiT3Config(depth=1)); print('sympy' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    layer, network = run.stdout.split()
    assert network == layer
