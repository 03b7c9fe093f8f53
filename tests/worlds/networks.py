"""Small networks with every path switched on, as fixtures for the conftests of tests that run networks."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from ondevice_sora.runtime.networks.spatial_vae import SpatialVAEConfig
from ondevice_sora.runtime.networks.stdit3 import STDiT3, STDiT3Config
from ondevice_sora.runtime.networks.t5 import T5Config, T5Encoder
from ondevice_sora.runtime.networks.temporal_vae import TemporalVAEConfig
from ondevice_sora.runtime.networks.video_vae import VideoVAE, VideoVAEConfig

DENOISER_CONFIG = STDiT3Config(depth=2, hidden_size=32, num_heads=2, caption_channels=12, model_max_length=7)
TEXT_CONFIG = T5Config(vocab_size=20, d_model=12, d_kv=4, d_ff=16, num_layers=3, num_heads=2)
VIDEO_VAE_CONFIG = VideoVAEConfig(
    spatial=SpatialVAEConfig(block_out_channels=(4, 4, 8, 8), layers_per_block=1, norm_num_groups=2),
    temporal=TemporalVAEConfig(filters=4, num_res_blocks=2, num_groups=2),
)


@pytest.fixture(autouse=True)
def deterministic_and_light() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with torch.no_grad():
        yield
    torch.set_num_threads(threads)


def randomise(module: nn.Module) -> nn.Module:
    """Give every parameter a value that matters, those initialised to zero or one too; for inference, as when loaded.

    PyTorch folds batched products otherwise where a weight requires gradients, even with them off, and then rounds
    otherwise.
    """
    for parameter in module.parameters():
        if parameter.requires_grad:
            parameter.normal_(0.0, 0.3)
    return module.eval().requires_grad_(False)


@pytest.fixture
def denoiser() -> STDiT3:
    model = STDiT3(DENOISER_CONFIG)
    randomise(model)
    return model


@pytest.fixture
def text_encoder() -> T5Encoder:
    model = T5Encoder(TEXT_CONFIG)
    randomise(model)
    return model


@pytest.fixture
def video_vae() -> VideoVAE:
    model = VideoVAE(VIDEO_VAE_CONFIG)
    randomise(model)
    return model
