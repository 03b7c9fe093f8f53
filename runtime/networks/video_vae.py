"""Open-Sora v1.2's video VAE: the temporal VAE inside the spatial one, run chunk by chunk and batch by batch.

A video is decoded in chunks of 5 latent frames (17 frames), each on its own, no state carried over; their frames are
then turned into pixels in batches of 4. One pass over a component's units is one chunk, or one batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

import msgspec
import torch
from torch import Tensor, nn

from ondevice_sora.runtime.networks.config import Factor, Ratio
from ondevice_sora.runtime.networks.spatial_vae import SpatialVAE, SpatialVAEConfig
from ondevice_sora.runtime.networks.temporal_vae import TemporalVAE, TemporalVAEConfig, sample_gaussian
from ondevice_sora.runtime.networks.units import Unit, run_units

Frames = Annotated[int, msgspec.Meta(ge=1, le=10_000)]


@dataclass(frozen=True)
class VideoVAEConfig:
    """Both halves, how latents are normalised, and how a video is cut; the defaults are OpenSoraVAE_V1_2.

    `latent_scaling` is the factor between the spatial VAE's latents and what the temporal VAE sees: 0.18215 although
    the spatial VAE is SDXL's, because the published code fixes it so.
    """

    spatial: SpatialVAEConfig = field(default_factory=SpatialVAEConfig)
    temporal: TemporalVAEConfig = field(default_factory=TemporalVAEConfig)
    shift: tuple[Factor, ...] = (-0.10, 0.34, 0.27, 0.98)
    scale: tuple[Ratio, ...] = (3.85, 2.32, 2.33, 3.06)
    latent_scaling: Ratio = 0.18215
    chunk_frames: Frames = 17
    batch_frames: Frames = 4

    def __post_init__(self) -> None:
        if not len(self.shift) == len(self.scale) == self.temporal.embed_dim:
            given = f"{len(self.shift)} and {len(self.scale)} values for {self.temporal.embed_dim} channels"
            raise ValueError(f"shift, scale: {given} of temporal.embed_dim")
        if self.spatial.latent_channels != self.temporal.in_out_channels:
            given = f"{self.spatial.latent_channels} and {self.temporal.in_out_channels}"
            raise ValueError(f"spatial.latent_channels and temporal.in_out_channels differ: {given}")

    @property
    def chunk_latent_frames(self) -> int:
        return -(-self.chunk_frames // self.temporal.downsample_factor)

    def latent_size(self, num_frames: int, height: int, width: int) -> tuple[int, int, int]:
        """Latent frames, rows and columns of a video."""
        whole_chunks, rest = divmod(num_frames, self.chunk_frames)
        latent_frames = whole_chunks * self.chunk_latent_frames - (-rest // self.temporal.downsample_factor)
        side = self.spatial.downsample_factor
        return latent_frames, height // side, width // side

    def chunks(self, latent_frames: int, num_frames: int) -> list[tuple[slice, int]]:
        """For each chunk, its latent frames and the number of frames it decodes to.

        Raises ValueError if `num_frames` frames do not have `latent_frames` latent frames.
        """
        if self.latent_size(num_frames, 1, 1)[0] != latent_frames:
            raise ValueError(f"{num_frames} frames do not come from {latent_frames} latent frames")
        step = self.chunk_latent_frames
        starts = range(0, latent_frames, step)
        return [
            (slice(start, start + step), min(self.chunk_frames, num_frames - index * self.chunk_frames))
            for index, start in enumerate(starts)
        ]


class _SpatialHolder(nn.Module):
    """The published checkpoint keeps the spatial VAE one level down, under `module`."""

    def __init__(self, config: SpatialVAEConfig, with_encoder: bool) -> None:
        super().__init__()
        self.module = SpatialVAE(config, with_encoder)


class VideoVAE(nn.Module):
    """Latent video to frames, and back where `with_encoder`."""

    scale: Tensor
    shift: Tensor

    def __init__(self, config: VideoVAEConfig, with_encoder: bool = False) -> None:
        super().__init__()
        self.config = config
        self.spatial_vae = _SpatialHolder(config.spatial, with_encoder)
        self.temporal_vae = TemporalVAE(config.temporal, with_encoder)
        self.register_buffer("scale", torch.tensor(config.scale)[None, :, None, None, None])
        self.register_buffer("shift", torch.tensor(config.shift)[None, :, None, None, None])

    def temporal_units(self, num_frames: int) -> list[Unit]:
        """Units of decoder.temporal for one chunk: latent_chunk -> latent_frames, both [B, C, T, H, W]."""
        return self.temporal_vae.decode_units(num_frames, self.scale, self.shift, prefix="temporal_vae.")

    def spatial_units(self) -> list[Unit]:
        """Units of decoder.spatial: latent_frames [N, C, H, W] -> images [N, 3, 8 H, 8 W]."""
        return self.spatial_vae.module.decode_units(self.config.latent_scaling, prefix="spatial_vae.module.")

    def decode(self, latent: Tensor, num_frames: int) -> Tensor:
        """Normalised latents [B, C, T', H', W'] to video [B, 3, num_frames, 8 H', 8 W'], values about -1..1."""
        return self.decode_spatial(self.decode_temporal(latent, num_frames))

    def decode_temporal(self, latent: Tensor, num_frames: int) -> Tensor:
        """Normalised latents [B, C, T', H', W'] to the spatial VAE's latents, [B, C, num_frames, H', W']."""
        decoded = [
            run_units(self.temporal_units(chunk_frames), {"latent_chunk": latent[:, :, chunk]})["latent_frames"]
            for chunk, chunk_frames in self.config.chunks(latent.shape[2], num_frames)
        ]
        return torch.cat(decoded, dim=2)

    def decode_spatial(self, latent_frames: Tensor) -> Tensor:
        """The spatial VAE's latents [B, C, T, H', W'] to video [B, 3, T, 8 H', 8 W']."""
        units = self.spatial_units()
        batches = [run_units(units, {"latent_frames": batch})["images"] for batch in self.batches(latent_frames)]
        return unfold_frames(torch.cat(batches), latent_frames.shape[0])

    def encode(self, video: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Video [B, 3, T, H, W] to normalised latents: a draw with a generator given, else the mean."""
        latent_batches = []
        for batch in self.batches(video):
            mean, log_variance = self.spatial_vae.module.encode_moments(batch)
            latent_batches.append(mean if generator is None else sample_gaussian(mean, log_variance, generator))
        frames = unfold_frames(torch.cat(latent_batches), video.shape[0]) * self.config.latent_scaling
        latents = []
        for chunk in torch.split(frames, self.config.chunk_frames, dim=2):
            mean, log_variance = self.temporal_vae.encode_moments(chunk)
            latents.append(mean if generator is None else sample_gaussian(mean, log_variance, generator))
        return (torch.cat(latents, dim=2) - self.shift) / self.scale

    def batches(self, video: Tensor) -> Iterator[Tensor]:
        """Frames of [B, C, T, H, W] as images, sample after sample, `batch_frames` at a time."""
        yield from torch.split(video.transpose(1, 2).flatten(0, 1), self.config.batch_frames)


def unfold_frames(images: Tensor, num_samples: int) -> Tensor:
    return images.reshape(num_samples, -1, *images.shape[1:]).transpose(1, 2)
