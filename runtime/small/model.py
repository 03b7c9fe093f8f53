"""Sizes of the small model, how it is sampled, and values its weights start from."""

from __future__ import annotations

import math

import torch
from torch import nn

from ondevice_sora.runtime.networks.spatial_vae import SpatialVAEConfig
from ondevice_sora.runtime.networks.stdit3 import STDiT3, STDiT3Config
from ondevice_sora.runtime.networks.t5 import T5Attention, T5Config, T5Encoder, T5GatedDense
from ondevice_sora.runtime.networks.temporal_vae import TemporalVAEConfig
from ondevice_sora.runtime.networks.video_vae import VideoVAEConfig
from ondevice_sora.runtime.sampling.request import VideoRequest
from ondevice_sora.runtime.small.dataset import FRAME_SIDE, FRAMES_PER_SECOND, NUM_FRAMES
from ondevice_sora.runtime.small.vocabulary import MAX_TOKENS, VOCABULARY_SIZE

TEXT_ENCODER = T5Config(vocab_size=VOCABULARY_SIZE, d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4)

DENOISER = STDiT3Config(
    depth=4,
    hidden_size=128,
    num_heads=4,
    caption_channels=TEXT_ENCODER.d_model,
    model_max_length=MAX_TOKENS,
    embed_frames=True,
)

VIDEO_VAE = VideoVAEConfig(
    spatial=SpatialVAEConfig(block_out_channels=(8, 16, 32, 64), layers_per_block=1, norm_num_groups=4),
    temporal=TemporalVAEConfig(filters=16, num_res_blocks=1, num_groups=4),
    shift=(0.0,) * 4,
    scale=(1.0,) * 4,
    latent_scaling=1.0,
)

REQUEST = VideoRequest(
    num_frames=NUM_FRAMES,
    height=FRAME_SIDE,
    width=FRAME_SIDE,
    fps=FRAMES_PER_SECOND,
    num_steps=30,
    guidance_scale=2.5,
    transform=False,
)
"""Thirty steps, as the paper counts from. The timestep transform is off: made for large videos, it would at 64 x 64
pixels take steps away from the noisy end, where the motion is decided."""


@torch.no_grad()
def initialise_text_encoder(encoder: T5Encoder) -> None:
    """Scales of T5's own initialisation; attention scores are not divided by anything, so queries start small."""
    config = encoder.config
    encoder.shared.weight.normal_(0, 1)
    for module in encoder.modules():
        if isinstance(module, T5Attention):
            inner = config.num_heads * config.d_kv
            module.q.weight.normal_(0, (config.d_model * config.d_kv) ** -0.5)
            module.k.weight.normal_(0, config.d_model**-0.5)
            module.v.weight.normal_(0, config.d_model**-0.5)
            module.o.weight.normal_(0, inner**-0.5)
            if hasattr(module, "relative_attention_bias"):
                module.relative_attention_bias.weight.normal_(0, config.d_model**-0.5)
        elif isinstance(module, T5GatedDense):
            module.wi_0.weight.normal_(0, config.d_model**-0.5)
            module.wi_1.weight.normal_(0, config.d_model**-0.5)
            module.wo.weight.normal_(0, config.d_ff**-0.5)


@torch.no_grad()
def initialise_denoiser(denoiser: STDiT3) -> None:
    """Xavier everywhere; what a block adds to the stream, and the output, start at zero."""
    for module in denoiser.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    patch = denoiser.x_embedder.proj.weight
    nn.init.xavier_uniform_(patch.view(patch.shape[0], -1))
    for embedder in (denoiser.t_embedder, denoiser.fps_embedder):
        for layer in embedder.mlp:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.02)
    told = denoiser.frame_embedder.mlp[-1]
    assert isinstance(told, nn.Linear)
    nn.init.zeros_(told.weight)
    for block in (*denoiser.spatial_blocks, *denoiser.temporal_blocks):
        for name in ("attn.proj", "cross_attn.proj", "mlp.fc2"):
            last = block.get_submodule(name)
            assert isinstance(last, nn.Linear)
            nn.init.zeros_(last.weight)
    nn.init.zeros_(denoiser.final_layer.linear.weight)
    embedding = denoiser.y_embedder.y_embedding
    embedding.normal_(0, 1 / math.sqrt(embedding.shape[1]))
