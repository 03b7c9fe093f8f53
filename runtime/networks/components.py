"""A text-to-video model on disk: three folders, each with the configuration and weights of one component.

    text_encoder/   config.json and weights of a T5 v1.1 encoder
    denoiser/       config.json and weights of an STDiT3
    decoder/        config.json and weights of a video VAE

The published downloads fit as they come: each model's files in its folder. A folder without config.json is taken for
the published size.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.json_files import read_json
from ondevice_sora.base.files.writing import write_json, written_together
from ondevice_sora.runtime.networks import spatial_vae, stdit3, t5
from ondevice_sora.runtime.networks.config import config_from_mapping
from ondevice_sora.runtime.networks.spatial_vae import SpatialVAEConfig
from ondevice_sora.runtime.networks.stdit3 import STDiT3, STDiT3Config
from ondevice_sora.runtime.networks.t5 import T5Config, T5Encoder
from ondevice_sora.runtime.networks.temporal_vae import TemporalVAEConfig
from ondevice_sora.runtime.networks.video_vae import VideoVAE, VideoVAEConfig
from ondevice_sora.runtime.networks.weights import Checkpoint, check_fit, fill, find_checkpoint

TEXT_ENCODER, DENOISER, DECODER = "text_encoder", "denoiser", "decoder"
CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
PUBLISHED_VAE_TYPE = "VideoAutoencoderPipeline"
ENCODER_PREFIXES = (
    "spatial_vae.module.encoder.",
    "spatial_vae.module.quant_conv.",
    "temporal_vae.encoder.",
    "temporal_vae.quant_conv.",
)


@dataclass(frozen=True)
class TextToVideo:
    """The three components that a video passes through."""

    text_encoder: T5Encoder
    denoiser: STDiT3
    decoder: VideoVAE


def load_text_to_video(directory: Path) -> TextToVideo:
    """Load all three components, in float32. Raises UserError, with file and names, for what does not fit.

    Weights are copied to where the system aligns them: in a file they lie anywhere, and products round otherwise then.
    """
    described, weights = describe_text_to_video(directory)
    for name, network in vars(described).items():
        found = weights[name].tensors(network.state_dict(keep_vars=True))
        fill(network, ((key, tensor.to(torch.float32, copy=True)) for key, tensor in found))
        network.requires_grad_(False)
    return described


def describe_text_to_video(directory: Path) -> tuple[TextToVideo, dict[str, Checkpoint]]:
    """All three components without weights, on the meta device, and by component the weights that fit them.

    Raises UserError as load_text_to_video.
    """
    if not directory.is_dir():
        raise UserError("no such directory", str(directory), "Point to the folder that holds the three components.")
    described = {name: describe_component(directory / name, name) for name in (TEXT_ENCODER, DENOISER, DECODER)}
    model = TextToVideo(**{name: network for name, (network, _) in described.items()})
    check_together(model, str(directory))
    return model, {name: checkpoint for name, (_, checkpoint) in described.items()}


def describe_component(directory: Path, name: str) -> tuple[Any, Checkpoint]:
    """The network of a component's folder without weights, and the weights that fit it.

    Raises UserError, MisfitError for weights of another network.
    """
    network = component_without_weights(directory, name)
    checkpoint = find_checkpoint(directory)
    check_fit(network, checkpoint.shapes, str(checkpoint.path), MADE_BY[name][1])
    checkpoint.check_kinds(network.state_dict(keep_vars=True))
    return network, checkpoint


def component_without_weights(directory: Path, name: str) -> Any:
    """The network that a component's config.json describes, on the meta device. Raises UserError."""
    config_file = directory / CONFIG_FILE
    mapping: Mapping[str, Any] = {}
    if os.path.lexists(config_file):
        mapping = read_json(config_file, mend="Download it again.").data
    with torch.device("meta"):
        return MADE_BY[name][0](mapping, str(config_file)).eval()


def check_together(model: TextToVideo, where: str) -> None:
    """Raise UserError unless each component reads what the one before it makes."""
    written, read = model.text_encoder.config.d_model, model.denoiser.config.caption_channels
    if written != read:
        raise UserError(f"the text encoder writes {written} channels, the denoiser reads {read}", where)
    made, decoded = model.denoiser.config.in_channels, model.decoder.config.temporal.embed_dim
    if made != decoded:
        raise UserError(f"the denoiser makes {made} latent channels, the decoder reads {decoded}", where)


def save_component(
    directory: Path, config: Any, model: nn.Module, dtype: torch.dtype = torch.float32, skip: tuple[str, ...] = ()
) -> None:
    """Write config.json and the weights, each whole or not at all; tied tensors once, names under `skip` not at all."""
    directory.mkdir(parents=True, exist_ok=True)
    tensors, seen = {}, set()
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen and not name.startswith(skip):
            seen.add(id(tensor))
            tensors[name] = tensor.detach().to(dtype).contiguous()
    write_json(directory / CONFIG_FILE, asdict(config))
    with written_together([directory / WEIGHTS_FILE]) as (made,):
        save_file(tensors, made)


def video_vae_config(mapping: Mapping[str, Any], where: str) -> VideoVAEConfig:
    """Configuration of a video VAE from our config.json, or from the published one, which is the default."""
    if not mapping or mapping.get("model_type") == PUBLISHED_VAE_TYPE:
        return VideoVAEConfig()
    halves = {"spatial": (SpatialVAEConfig, spatial_vae.IGNORED_SETTINGS), "temporal": (TemporalVAEConfig, ())}
    for name, (half, ignored) in halves.items():
        if isinstance(given := mapping.get(name), dict):
            config_from_mapping(half, given, f"{where}: {name}", ignored)
    return config_from_mapping(VideoVAEConfig, mapping, where)


def _text_encoder(mapping: Mapping[str, Any], where: str) -> T5Encoder:
    return T5Encoder(config_from_mapping(T5Config, mapping, where, t5.IGNORED_SETTINGS))


def _denoiser(mapping: Mapping[str, Any], where: str) -> STDiT3:
    return STDiT3(config_from_mapping(STDiT3Config, mapping, where, stdit3.IGNORED_SETTINGS))


def _decoder(mapping: Mapping[str, Any], where: str) -> VideoVAE:
    return VideoVAE(video_vae_config(mapping, where))


MADE_BY: dict[str, tuple[Callable[[Mapping[str, Any], str], nn.Module], tuple[str, ...]]] = {
    TEXT_ENCODER: (_text_encoder, t5.UNUSED_PREFIXES),
    DENOISER: (_denoiser, ()),
    DECODER: (_decoder, ENCODER_PREFIXES),
}
"""What makes a component of its configuration, and what a checkpoint may hold that it has no use for."""
