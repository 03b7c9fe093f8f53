"""How the components of a video are walked, in shapes alone: on the meta device, where nothing is computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ondevice_sora.plans.schema import Plan
from ondevice_sora.runtime.networks.components import DENOISER, TEXT_ENCODER
from ondevice_sora.runtime.networks.units import State, Unit
from ondevice_sora.runtime.sampling.video import SPATIAL, TEMPORAL, VideoNetworks

Kind = Literal["plain", "tdtm", "tail"]
"""`tail` is for what is left at the end of a video: a shorter chunk of latent frames, or a smaller batch of frames."""


@dataclass(frozen=True)
class Walk:
    """One way to walk a component: its units, and what the first reads."""

    units: tuple[Unit, ...]
    state: State

    def states(self) -> list[State]:
        """The state before each unit, and after the last. The units have no weights."""
        states = [self.state]
        for unit in self.units:
            states.append(unit(states[-1]))
        return states


def walks_of(video: VideoNetworks, plan: Plan, encoder_tokens: int) -> dict[str, dict[Kind, Walk]]:
    """Every way in which each component is walked; `tdtm` if a step of the plan merges tokens."""
    by_name = {network.name: network for network in video.networks}
    model, request, tokens = video.model, video.request, encoder_tokens
    config = model.decoder.config
    channels = model.denoiser.config.in_channels
    size = config.latent_size(request.num_frames, request.height, request.width)

    ids = torch.ones(1, tokens, dtype=torch.int64, device="meta")
    encoder = Walk(by_name[TEXT_ENCODER].plain, model.text_encoder.initial_state(ids, ids))

    state = model.denoiser.initial_state(
        _values(request.batch, channels, *size),
        _values(request.batch),
        _values(request.batch, tokens, model.denoiser.config.caption_channels),
        fps=_values(1),
    )
    denoiser: dict[Kind, Walk] = {"plain": Walk(by_name[DENOISER].plain, state)}
    if plan.merging_steps:
        denoiser["tdtm"] = Walk(by_name[DENOISER].units("tdtm"), state)

    chunks = config.chunks(size[0], request.num_frames)

    def chunk_walk(index: int) -> Walk:
        place, num_frames = chunks[index]
        latents = _values(1, channels, len(range(size[0])[place]), *size[1:])
        return Walk(tuple(model.decoder.temporal_units(num_frames)), {"latent_chunk": latents})

    temporal: dict[Kind, Walk] = {"plain": chunk_walk(0)}
    if chunks[-1][1] != chunks[0][1]:
        temporal["tail"] = chunk_walk(-1)

    def batch_walk(count: int) -> Walk:
        frames = _values(count, config.spatial.latent_channels, *size[1:])
        return Walk(by_name[SPATIAL].plain, {"latent_frames": frames})

    batch = min(config.batch_frames, request.num_frames)
    spatial: dict[Kind, Walk] = {"plain": batch_walk(batch)}
    if request.num_frames % batch:
        spatial["tail"] = batch_walk(request.num_frames % batch)
    return {TEXT_ENCODER: {"plain": encoder}, DENOISER: denoiser, TEMPORAL: temporal, SPATIAL: spatial}


def _values(*shape: int) -> Tensor:
    return torch.empty(shape, device="meta")
