"""A small model and exports of it; conftest.py has them made once, for a conversion takes seconds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ondevice_sora.commands.schedule import schedule_of
from ondevice_sora.plans.plan_file import load_plan
from ondevice_sora.plans.schedule_file import SCHEDULE, write_schedule
from ondevice_sora.runtime.networks.components import (
    DECODER,
    DENOISER,
    ENCODER_PREFIXES,
    TEXT_ENCODER,
    load_text_to_video,
    save_component,
)
from ondevice_sora.runtime.networks.spatial_vae import SpatialVAEConfig
from ondevice_sora.runtime.networks.stdit3 import STDiT3, STDiT3Config
from ondevice_sora.runtime.networks.t5 import T5Config, T5Encoder
from ondevice_sora.runtime.networks.temporal_vae import TemporalVAEConfig
from ondevice_sora.runtime.networks.video_vae import VideoVAE, VideoVAEConfig
from ondevice_sora.runtime.sampling.generation import generate
from ondevice_sora.runtime.sampling.video import VideoNetworks

IDS, MASK = torch.tensor([[3, 7, 2, 9, 1, 0, 0, 0, 0]]), torch.tensor([[1, 1, 1, 1, 1, 0, 0, 0, 0]])
PLAN = """\
name: tiny
model: small
text_tokens: 6
encoder_tokens: 9
video: {width: 64, height: 64, frames: 20}
sampler: {steps: 3, guidance: 4.0}
tdtm: {steps: MERGED, packages: shared}
components:
  text_encoder: {blocks: whole, precision: TEXT}
  denoiser: {blocks: [input, spatial_0..temporal_0, output], keep: [spatial_0], precision: DENOISER}
  decoder: {blocks: whole, compute_units: cpu_only}
"""


@dataclass(frozen=True)
class Exported:
    """An export, and the weights it was made from."""

    directory: Path
    plan: Path
    weights: Path

    def torch_frames(self, seed: int) -> NDArray[np.uint8]:
        from ondevice_sora.runtime.coreml.export.exported import Export

        request = Export.open(self.directory).video.request
        return generate(VideoNetworks.of(load_text_to_video(self.weights), request), IDS, MASK, seed=seed).frames


def save_weights(folder: Path) -> Path:
    """A model of our classes, smaller than `tiny` in the decoder: fewer levels, fewer operations to convert."""
    text = T5Config(vocab_size=27, d_model=64, d_kv=8, d_ff=64, num_layers=1, num_heads=2)
    denoiser = STDiT3Config(depth=1, hidden_size=64, num_heads=2, caption_channels=64, model_max_length=24)
    decoder = VideoVAEConfig(
        spatial=SpatialVAEConfig(block_out_channels=(4, 4), layers_per_block=1, norm_num_groups=2),
        temporal=TemporalVAEConfig(
            filters=4, num_res_blocks=1, num_groups=2, channel_multipliers=(1, 2), temporal_downsample=(True,)
        ),
        shift=(0.0,) * 4,
        scale=(1.0,) * 4,
        latent_scaling=1.0,
    )
    torch.manual_seed(0)
    for name, config, network, skip in (
        (TEXT_ENCODER, text, T5Encoder(text), ()),
        (DENOISER, denoiser, STDiT3(denoiser), ()),
        (DECODER, decoder, VideoVAE(decoder), ENCODER_PREFIXES),
    ):
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.requires_grad:
                    parameter.normal_(0.0, 0.2)
        save_component(folder / name, config, network, skip=skip)
    return folder


def export(weights: Path, folder: Path, text: str, denoiser: str, merged: str, more: str = "") -> Exported:
    """Export into the folder's `out`, with a schedule: precisions of text encoder and denoiser, the steps that merge,
    and what else the plan says.
    """
    from ondevice_sora.runtime.coreml.export.export import export_plan
    from ondevice_sora.runtime.coreml.export.workshop import Commission

    plan = folder / "plan.yaml"
    said = PLAN.replace("TEXT", text).replace("DENOISER", denoiser).replace("MERGED", merged)
    if more.startswith("sampler:"):
        said = said.replace("sampler: {steps: 3, guidance: 4.0}\n", "")
    plan.write_text(said + more)
    export_plan(Commission(load_plan(plan).plan, weights), folder / "out")
    write_schedule(folder / "out" / SCHEDULE, schedule_of(folder / "out", "iphone15pro", None))
    return exported_in(folder, weights)


def exported_in(folder: Path, weights: Path) -> Exported:
    """What `export` has left in a folder."""
    return Exported(folder / "out", folder / "plan.yaml", weights)
