"""Laws of the video VAE that hold for any weights."""

import pytest
import torch

from ondevice_sora.runtime.networks.temporal_vae import CausalConv3d, TemporalVAEConfig, depth_to_time
from ondevice_sora.runtime.networks.video_vae import VideoVAE, VideoVAEConfig


@pytest.mark.parametrize(
    ("num_frames", "latent_frames"), [(1, 1), (4, 1), (5, 2), (16, 4), (17, 5), (18, 6), (22, 7), (51, 15), (68, 20)]
)
def test_latent_frames_of_a_video(num_frames: int, latent_frames: int) -> None:
    assert VideoVAEConfig().latent_size(num_frames, 256, 192) == (latent_frames, 32, 24)


def test_a_video_decodes_in_chunks_of_17_frames_and_a_ragged_rest() -> None:
    assert [frames for _, frames in VideoVAEConfig().chunks(20, 68)] == [17, 17, 17, 17]
    assert [frames for _, frames in VideoVAEConfig().chunks(7, 22)] == [17, 5]
    assert [frames for _, frames in VideoVAEConfig().chunks(2, 5)] == [5]
    with pytest.raises(ValueError, match="30 frames do not come from 20 latent frames"):
        VideoVAEConfig().chunks(20, 30)


def test_chunks_decode_independently(video_vae: VideoVAE) -> None:
    latent = torch.randn(1, 4, 10, 2, 3)
    whole = video_vae.decode_temporal(latent, 34)
    changed = latent.clone()
    changed[:, :, :5] = 0
    assert torch.equal(video_vae.decode_temporal(changed, 34)[:, :, 17:], whole[:, :, 17:])
    assert not torch.equal(video_vae.decode_temporal(changed, 34)[:, :, :17], whole[:, :, :17])


def test_samples_of_a_batch_decode_independently(video_vae: VideoVAE) -> None:
    latent = torch.randn(2, 4, 7, 2, 3)
    together = video_vae.decode(latent, 22)
    assert together.shape == (2, 3, 22, 16, 24)
    torch.testing.assert_close(video_vae.decode(latent[1:], 22), together[1:])


def test_a_causal_convolution_does_not_look_ahead() -> None:
    conv, x = CausalConv3d(2, 3, 3), torch.randn(1, 2, 6, 4, 4)
    changed = x.clone()
    changed[:, :, 4:] = 0
    assert torch.equal(conv(changed)[:, :, :4], conv(x)[:, :, :4])
    assert not torch.equal(conv(changed)[:, :, 4], conv(x)[:, :, 4])


def test_depth_to_time_puts_neighbouring_channels_in_successive_frames() -> None:
    x = torch.tensor([10.0, 11.0, 20.0, 21.0]).reshape(1, 4, 1, 1, 1)
    assert depth_to_time(x).flatten(2)[0].tolist() == [[10, 11], [20, 21]]


def test_encoding_gives_the_latents_of_the_size_that_decodes_to_the_video(video_vae: VideoVAE) -> None:
    vae = VideoVAE(video_vae.config, with_encoder=True)
    video = torch.rand(2, 3, 22, 16, 24) * 2 - 1
    latent = vae.encode(video)
    assert latent.shape == (2, 4, *vae.config.latent_size(22, 16, 24))
    assert torch.equal(latent, vae.encode(video))
    assert not torch.equal(latent, vae.encode(video, torch.Generator().manual_seed(0)))
    normalised = VideoVAE(video_vae.config, with_encoder=True)
    normalised.load_state_dict({**vae.state_dict(), "shift": vae.shift + 1, "scale": vae.scale * 2})
    torch.testing.assert_close(normalised.encode(video), (latent * vae.scale - 1) / (vae.scale * 2))


def test_a_config_with_other_downsampling_keeps_frame_counts() -> None:
    config = TemporalVAEConfig(filters=4, num_res_blocks=1, num_groups=2, temporal_downsample=(True, True, True))
    vae = VideoVAE(VideoVAEConfig(temporal=config))
    names = [unit.name for unit in vae.temporal_units(17)]
    assert [name for name in names if name.endswith("up")] == ["level3_up", "level2_up", "level1_up"]
    assert vae.config.latent_size(17, 8, 8) == (3, 1, 1)
