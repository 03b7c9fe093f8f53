"""A tiny model in the published layout under a plan for the full-size one, generated block by block and whole."""

from __future__ import annotations

from pathlib import Path

import torch

from ondevice_sora.plans.plan_file import LoadedPlan, load_plan
from ondevice_sora.runtime.executor.in_blocks import BlockwiseVideo
from ondevice_sora.runtime.executor.unit_store import StoredAs, stored_type
from ondevice_sora.runtime.models import PlannedVideo
from ondevice_sora.runtime.networks.components import load_text_to_video
from ondevice_sora.runtime.networks.network import weights
from ondevice_sora.runtime.sampling.generation import Video, generate
from ondevice_sora.runtime.sampling.video import VideoNetworks

PLAN = """\
name: tiny
model: opensora
text_tokens: 20
video: {width: 64, height: 64, frames: 20}
sampler: {steps: 4, guidance: 4.0}
"""
PHONE = """\
components:
  text_encoder: {blocks: reference, precision: int8_float32, compute_units: cpu_and_gpu, prefetch: 2}
  denoiser: {blocks: {units_per_block: 3}, precision: float16, compute_units: cpu_and_ne, prefetch: 2, keep: optimal}
  decoder.temporal: {blocks: whole, precision: float32, compute_units: all, keep: 1}
  decoder.spatial: {blocks: reference, compute_units: cpu_and_gpu, prefetch: app, keep: paper}
"""
IDS = torch.tensor([[3, 7, 2, 9, 4, 1, *[0] * 18]])
MASK = (IDS != 0).to(torch.int64)


def loaded(folder: Path, text: str = "") -> LoadedPlan:
    """The plan with these settings besides."""
    path = folder / "plan.yaml"
    path.write_text(PLAN + text)
    return load_plan(path)


def planned(weights_folder: Path, folder: Path, text: str = "") -> PlannedVideo:
    return PlannedVideo.of(loaded(folder, text).plan, weights_folder)


def begun(of: PlannedVideo, store: Path, stored_as: StoredAs = "checkpoint") -> BlockwiseVideo:
    """As far as the schedule."""
    work = BlockwiseVideo(of, store, stored_as)
    work.probe()
    work.begin()
    return work


def whole(of: PlannedVideo, weights_folder: Path, stored_as: StoredAs = "checkpoint", seed: int = 0) -> Video:
    """The video of the whole model in memory, its weights rounded as a store would."""
    video = VideoNetworks.of(load_text_to_video(weights_folder), of.request)
    for unit in (unit for network in video.networks for unit in network.plain):
        for name, tensor in weights(unit):
            if name != "y_embedder.y_embedding":  # no unit reads it
                tensor.copy_(tensor.to(stored_type(tensor.dtype, tuple(tensor.shape), stored_as)))
    return generate(video, IDS, MASK, seed=seed)
