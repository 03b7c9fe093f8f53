"""Names and shapes of the full-size networks against a manifest of the published checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ondevice_sora.records.checks import CaseResult
from ondevice_sora.runtime.networks import spatial_vae, stdit3, t5
from ondevice_sora.runtime.networks.config import config_from_mapping
from ondevice_sora.runtime.networks.spatial_vae import SpatialVAEConfig
from ondevice_sora.runtime.networks.stdit3 import STDiT3, STDiT3Config
from ondevice_sora.runtime.networks.t5 import T5Config, T5Encoder
from ondevice_sora.runtime.networks.temporal_vae import TemporalVAEConfig
from ondevice_sora.runtime.networks.video_vae import VideoVAE, VideoVAEConfig
from ondevice_sora.studies.reference.files import EXACT, compare_exactly, read_json

FILES = ("checkpoints.json",)


def _denoiser(entry: Mapping[str, Any], where: str) -> nn.Module:
    return STDiT3(config_from_mapping(STDiT3Config, entry["config"], where, stdit3.IGNORED_SETTINGS))


def _text_encoder(entry: Mapping[str, Any], where: str) -> nn.Module:
    return T5Encoder(config_from_mapping(T5Config, entry["config"], where, t5.IGNORED_SETTINGS))


def _video_vae(entry: Mapping[str, Any], where: str) -> nn.Module:
    spatial = config_from_mapping(SpatialVAEConfig, entry["spatial_config"], where, spatial_vae.IGNORED_SETTINGS)
    temporal = config_from_mapping(TemporalVAEConfig, entry["temporal_config"], where)
    return VideoVAE(VideoVAEConfig(spatial=spatial, temporal=temporal), with_encoder=True)


NETWORKS: dict[str, Callable[[Mapping[str, Any], str], nn.Module]] = {
    "STDiT3-XL/2": _denoiser,
    "T5-v1.1-XXL-encoder": _text_encoder,
    "OpenSoraVAE_V1_2": _video_vae,
}


def cases(directory: Path) -> Iterator[CaseResult]:
    """Each network of the manifest, built without memory: tensors that are lacking, surplus or of another shape."""
    path = directory / FILES[0]
    for name, entry in read_json(path).items():
        if name.startswith("_"):
            continue
        if name not in NETWORKS:
            yield CaseResult(path.name, name, None, EXACT, "not compared: unknown network")
            continue
        with torch.device("meta"):
            model = NETWORKS[name](entry, str(path))
        got = {tensor_name: list(tensor.shape) for tensor_name, tensor in model.state_dict().items()}
        wanted = entry["tensors"]
        differing = sorted(key for key in got.keys() | wanted.keys() if got.get(key) != wanted.get(key))
        yield compare_exactly(path.name, f"{name}: {len(wanted)} names and shapes", differing)
        count = sum(parameter.numel() for parameter in model.parameters())
        stated = entry["parameter_count"]
        yield compare_exactly(path.name, f"{name}: parameters", [] if count == stated else [f"{count} for {stated}"])
