"""Networks as profiles/ describes them: by the sizes that their work and bytes follow from, or unit by unit.

A unit's description here has its parameter count and no operations: what a run of it costs on this machine is measured,
not worked out. Weights count as float32, so that a schedule's bytes are the store's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ondevice_sora.base.files.writing import write_yaml
from ondevice_sora.profiles.models import model as models
from ondevice_sora.profiles.models.model import Component, Model, Work
from ondevice_sora.profiles.models.opensora_sizes import (
    DecoderConfig,
    DenoiserConfig,
    OpenSoraConfig,
    TextEncoderConfig,
)
from ondevice_sora.runtime.networks.components import TextToVideo
from ondevice_sora.runtime.networks.network import Network, weights
from ondevice_sora.runtime.networks.units import Unit

FLOAT32_BYTES = 4


def described_sizes(model: TextToVideo, encoder_tokens: int) -> OpenSoraConfig:
    """The sizes of a model whose prompts are padded to `encoder_tokens`.

    A VAE's decoding half has one residual block a level more than its configuration says of the encoding half.
    """
    text, denoiser, decoder = model.text_encoder.config, model.denoiser.config, model.decoder.config
    return OpenSoraConfig(
        text_encoder=TextEncoderConfig(
            layers=text.num_layers,
            hidden=text.d_model,
            heads=text.num_heads,
            head_width=text.d_kv,
            feed_forward=text.d_ff,
            vocabulary=text.vocab_size,
            relative_buckets=text.relative_attention_num_buckets,
            tokens=encoder_tokens,
        ),
        denoiser=DenoiserConfig(
            depth=denoiser.depth,
            hidden=denoiser.hidden_size,
            heads=denoiser.num_heads,
            patch=denoiser.patch_size[1],
            mlp_ratio=round(denoiser.mlp_ratio),
            embed_frames=denoiser.embed_frames,
        ),
        decoder=DecoderConfig(
            temporal_filters=decoder.temporal.filters,
            temporal_multipliers=decoder.temporal.channel_multipliers,
            temporal_upsample=decoder.temporal.temporal_downsample,
            temporal_res=decoder.temporal.num_res_blocks,
            spatial_widths=decoder.spatial.block_out_channels,
            spatial_res=decoder.spatial.layers_per_block + 1,
            group_frames=decoder.chunk_frames,
            batch_frames=decoder.batch_frames,
        ),
        latent_channels=decoder.temporal.embed_dim,
    )


def describe_networks(name: str, networks: Sequence[Network], source: str = "listed from its units") -> Model:
    """The model's description for schedules and simulations: names and parameters, no operations."""
    return Model(
        name=name,
        source=source,
        components=tuple(
            Component(
                network.name,
                network.passes,
                tuple(
                    models.Unit(unit.name, _parameters(unit), Work(), Work() if network.merges(index) else None)
                    for index, unit in enumerate(network.plain)
                ),
            )
            for network in networks
        ),
        is_rectified_flow=any(network.passes == "steps" for network in networks),
    )


def write_model(path: Path, model: Model) -> None:
    """The description as a YAML file that a plan's `model` may name."""
    write_yaml(path, msgspec.to_builtins(model), f"Listed from the units of {model.name}: parameters, no operations.")


def _parameters(unit: Unit) -> int:
    held = sum(tensor.numel() * tensor.element_size() for _, tensor in weights(unit))
    return math.ceil(held / FLOAT32_BYTES)
