"""The temporal and spatial VAE decoders, and both in the pipeline, against reference vectors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ondevice_sora.records.checks import CaseResult
from ondevice_sora.runtime.networks import spatial_vae
from ondevice_sora.runtime.networks.config import config_from_mapping
from ondevice_sora.runtime.networks.spatial_vae import SpatialVAEConfig
from ondevice_sora.runtime.networks.temporal_vae import TemporalVAEConfig
from ondevice_sora.runtime.networks.units import run_units
from ondevice_sora.runtime.networks.video_vae import VideoVAE, VideoVAEConfig
from ondevice_sora.studies.reference.files import (
    SPATIAL_VAE_TOLERANCE,
    TEMPORAL_VAE_TOLERANCE,
    Tensors,
    build,
    compare,
    compare_exactly,
    read_json,
)

FILES = ("vae_tiny.config.json", "vae_tiny.safetensors")
SIZES_KEY = re.compile(r"latent_size_for_num_frames_(\d+)x(\d+)")
ORDER_KEY = re.compile(r"z(\d+)_num_frames(\d+)")


def cases(directory: Path) -> Iterator[CaseResult]:
    """Temporal chunks, trimmed and whole; images; the pipeline; sizes and the order of calls."""
    config_file, tensors_file = (directory / name for name in FILES)
    content = read_json(config_file)
    config = vae_config(content, str(config_file))
    tensors = Tensors(tensors_file)
    weights = tensors.under("weights.")
    vae = build(lambda: VideoVAE(config), weights, tensors_file)
    # The modules alone neither undo the normalisation of latents nor scale them.
    ones, zeros = (1.0,) * len(config.scale), (0.0,) * len(config.shift)
    bare_config = replace(config, scale=ones, shift=zeros, latent_scaling=1.0)
    unit = {"scale": torch.ones_like(vae.scale), "shift": torch.zeros_like(vae.shift)}
    bare = build(lambda: VideoVAE(bare_config), {**weights, **unit}, tensors_file)

    yield from _temporal_cases(bare, tensors)
    yield from _spatial_cases(vae, bare, tensors)
    yield from _pipeline_cases(vae, tensors)
    yield from _layout_cases(config, content, config_file.name)


def vae_config(content: dict[str, Any], where: str) -> VideoVAEConfig:
    """The configuration as the reference vectors write it."""
    return VideoVAEConfig(
        spatial=config_from_mapping(SpatialVAEConfig, content["spatial"], where, spatial_vae.IGNORED_SETTINGS),
        temporal=config_from_mapping(TemporalVAEConfig, content["temporal"], where),
        shift=tuple(content["shift"]),
        scale=tuple(content["scale"]),
        latent_scaling=content["spatial_latent_scaling"],
        chunk_frames=content["micro_frame_size"],
        batch_frames=content["micro_batch_size"],
    )


def _temporal_cases(bare: VideoVAE, tensors: Tensors) -> Iterator[CaseResult]:
    for name, wanted in tensors.under("out.temporal.").items():
        given = tensors[f"in.temporal.{name.split('_')[0]}"]
        units = bare.temporal_units(num_frames=wanted.shape[2])
        got = run_units(units, {"latent_chunk": given})["latent_frames"]
        yield compare(tensors.path.name, f"temporal.{name}", got, wanted, TEMPORAL_VAE_TOLERANCE)


def _spatial_cases(vae: VideoVAE, bare: VideoVAE, tensors: Tensors) -> Iterator[CaseResult]:
    def module_decode() -> Tensor:
        return run_units(bare.spatial_units(), {"latent_frames": tensors["in.spatial.x"]})["images"]

    def video_decode() -> Tensor:
        return vae.decode_spatial(tensors["in.spatial.xv"])

    ways = {"module_decode_out": module_decode, "video_decode_out": video_decode}
    for name, wanted in tensors.under("out.spatial.").items():
        way, case = ways.get(name), f"spatial.{name}"
        if way is None:
            yield CaseResult(tensors.path.name, case, None, SPATIAL_VAE_TOLERANCE, "not compared: unknown case")
        else:
            yield compare(tensors.path.name, case, way(), wanted, SPATIAL_VAE_TOLERANCE)


def _pipeline_cases(vae: VideoVAE, tensors: Tensors) -> Iterator[CaseResult]:
    for name, wanted in tensors.under("out.pipeline.").items():
        given = tensors[f"in.pipeline.{name.split('_')[0]}"]
        if "temporal" in name:
            got, tolerance = vae.decode_temporal(given, wanted.shape[2]), TEMPORAL_VAE_TOLERANCE
        else:
            got, tolerance = vae.decode(given, wanted.shape[2]), SPATIAL_VAE_TOLERANCE
        yield compare(tensors.path.name, f"pipeline.{name}", got, wanted, tolerance)


def _layout_cases(config: VideoVAEConfig, content: dict[str, Any], file: str) -> Iterator[CaseResult]:
    for key, sizes in content.items():
        if match := SIZES_KEY.fullmatch(key):
            height, width = int(match[1]), int(match[2])
            misfits = []
            for frames, wanted in sizes.items():
                got = list(config.latent_size(int(frames), height, width))
                if got != wanted:
                    misfits.append(f"{frames} frames: {got} for {wanted}")
            yield compare_exactly(file, key, misfits)
    for key, calls in content.get("decoder_call_order", {}).items():
        if match := ORDER_KEY.fullmatch(key):
            made = decoder_calls(config, int(match[1]), int(match[2]), calls[0][1])
            pairs = zip_longest(made, calls)
            misfits = [
                f"call {index}: {got} for {wanted}" for index, (got, wanted) in enumerate(pairs) if got != wanted
            ]
            yield compare_exactly(file, f"decoder_call_order.{key}", misfits)


def decoder_calls(
    config: VideoVAEConfig, latent_frames: int, num_frames: int, first_input: list[int]
) -> list[list[object]]:
    """Every call of a decoder for one video, with the shapes of its input and of its output before trimming."""
    batch, channels, _, height, width = first_input
    factor, side = config.temporal.downsample_factor, config.spatial.downsample_factor
    calls: list[list[object]] = []
    for chunk, _ in config.chunks(latent_frames, num_frames):
        frames = len(range(latent_frames)[chunk])
        whole = [batch, config.temporal.in_out_channels, frames * factor, height, width]
        calls.append(["temporal", [batch, channels, frames, height, width], whole])
    for start in range(0, batch * num_frames, config.batch_frames):
        images = min(config.batch_frames, batch * num_frames - start)
        out = [images, config.spatial.out_channels, height * side, width * side]
        calls.append(["spatial", [images, channels, height, width], out])
    return calls
