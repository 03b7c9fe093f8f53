"""A model of the small model's classes in tiny, with random weights: it makes noise, but through every path."""

from pathlib import Path

import torch

from ondevice_sora.runtime.networks.components import DECODER, DENOISER, ENCODER_PREFIXES, TEXT_ENCODER, save_component
from ondevice_sora.runtime.networks.spatial_vae import SpatialVAEConfig
from ondevice_sora.runtime.networks.stdit3 import STDiT3, STDiT3Config
from ondevice_sora.runtime.networks.t5 import T5Config, T5Encoder
from ondevice_sora.runtime.networks.temporal_vae import TemporalVAEConfig
from ondevice_sora.runtime.networks.video_vae import VideoVAE, VideoVAEConfig
from ondevice_sora.runtime.small.vocabulary import MAX_TOKENS, VOCABULARY_SIZE

TEXT_CONFIG = T5Config(vocab_size=VOCABULARY_SIZE, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
DENOISER_CONFIG = STDiT3Config(depth=1, hidden_size=16, num_heads=2, caption_channels=8, model_max_length=MAX_TOKENS)
DECODER_CONFIG = VideoVAEConfig(
    spatial=SpatialVAEConfig(block_out_channels=(4, 4, 4, 4), layers_per_block=1, norm_num_groups=2),
    temporal=TemporalVAEConfig(filters=4, num_res_blocks=1, num_groups=2),
    shift=(0.0,) * 4,
    scale=(1.0,) * 4,
    latent_scaling=1.0,
)
PLAN = """\
name: tiny
model: small
video: {width: 64, height: 64, frames: 17}
sampler: {steps: 5, guidance: 4.0}
"""


def save_tiny_model(directory: Path, text_config: T5Config = TEXT_CONFIG) -> Path:
    """Write the three components to `directory`, the same every time."""
    torch.manual_seed(0)
    networks = {
        TEXT_ENCODER: (text_config, T5Encoder(text_config), ()),
        DENOISER: (DENOISER_CONFIG, STDiT3(DENOISER_CONFIG), ()),
        DECODER: (DECODER_CONFIG, VideoVAE(DECODER_CONFIG), ENCODER_PREFIXES),
    }
    for name, (config, network, skip) in networks.items():
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.normal_(0.0, 0.3)
        save_component(directory / name, config, network, skip=skip)
    return directory
