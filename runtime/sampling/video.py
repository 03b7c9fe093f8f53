"""The networks that a video passes through, as components whose passes follow from the video.

Text encoder once, denoiser once a step, `decoder.temporal` once a chunk and `decoder.spatial` once a batch of frames.
What no unit holds (the caption that stands for none, the scale of the latents) stays in memory: a few megabytes at
published sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ondevice_sora.runtime.networks.components import DENOISER, TEXT_ENCODER, TextToVideo
from ondevice_sora.runtime.networks.network import Network
from ondevice_sora.runtime.networks.stdit3 import LatentSize, PixelSize
from ondevice_sora.runtime.sampling.request import VideoRequest

TEMPORAL, SPATIAL = "decoder.temporal", "decoder.spatial"


@dataclass(frozen=True)
class VideoNetworks:
    """The networks of a model for one video, and what they need beside their blocks."""

    model: TextToVideo
    request: VideoRequest
    networks: tuple[Network, ...]
    no_caption: Tensor

    @classmethod
    def of(cls, model: TextToVideo, request: VideoRequest) -> VideoNetworks:
        config = model.decoder.config
        size = LatentSize(*config.latent_size(request.num_frames, request.height, request.width))
        pixels = PixelSize(request.height, request.width)
        merged = tuple(request.merged_blocks(model.denoiser.block_names))
        attended = request.attended_tokens
        chunks = config.chunks(size.frames, request.num_frames)
        networks = (
            Network(TEXT_ENCODER, 1, tuple(model.text_encoder.units())),
            Network(
                DENOISER,
                "steps",
                tuple(model.denoiser.units(size, pixels, attended_tokens=attended)),
                tuple(model.denoiser.units(size, pixels, attended_tokens=attended, merged_blocks=merged)),
                frozenset(merged),
            ),
            Network(TEMPORAL, len(chunks), tuple(model.decoder.temporal_units(chunks[0][1]))),
            Network(SPATIAL, -(-request.num_frames // config.batch_frames), tuple(model.decoder.spatial_units())),
        )
        return cls(model, request, networks, model.denoiser.y_embedder.y_embedding.clone())

    def captions(self, caption: Tensor) -> Tensor:
        """What the denoiser is told, [branches, L, channels]: the prompt's caption [1, L, channels], then none's."""
        if self.request.branches == 1:
            return caption
        return torch.cat([caption, self.no_caption[None, : caption.shape[1]]])
