"""The three networks of the small model as training stages: what each learns from, and by which loss.

Every batch is drawn from (seed, step) alone, so a resumed run sees what an uninterrupted one would have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ondevice_sora.runtime.networks.stdit3 import PixelSize, STDiT3
from ondevice_sora.runtime.networks.t5 import T5Encoder
from ondevice_sora.runtime.networks.temporal_vae import TemporalVAE, sample_gaussian
from ondevice_sora.runtime.networks.units import run_units
from ondevice_sora.runtime.networks.video_vae import VideoVAE
from ondevice_sora.runtime.sampling.generation import from_frames
from ondevice_sora.runtime.small.dataset import (
    FRAME_SIDE,
    FRAMES_PER_SECOND,
    NUM_FRAMES,
    Placement,
    describe,
    training_clip,
    training_scene,
)
from ondevice_sora.runtime.small.vocabulary import tokenize

DATA_SEED = 0
CAPTION_DROP_CHANCE = 0.1
OBJECT_WEIGHT = 8.0


class Stage(Protocol):
    """Something to train: `module` holds the parameters, `loss` the value to lower at a step and figures to log."""

    name: str

    @property
    def module(self) -> nn.Module: ...

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]: ...


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Mean divergence of the encoder's Gaussians from the standard one, nats a value."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()


def pixel_error(decoded: Tensor, images: Tensor) -> Tensor:
    """Absolute plus squared error of images [N, 3, H, W], more of it where an object is.

    Objects cover about a twentieth of a frame, and never its corner, which shows the background.
    """
    is_object = (images - images[:, :, :1, :1]).abs().amax(dim=1, keepdim=True) > 0.1
    weights = torch.where(is_object, OBJECT_WEIGHT, 1.0)
    difference = decoded - images
    return (weights * (difference.abs() + difference.square())).mean() / weights.mean()


def rng_of(stage: str, step: int) -> np.random.Generator:
    """Random numbers of one step of one stage; also seeds torch, from which noise is drawn."""
    rng = np.random.default_rng([DATA_SEED, *stage.encode(), step])
    torch.manual_seed(int(rng.integers(2**62)))
    return rng


def single_frames(rng: np.random.Generator, count: int) -> Tensor:
    """Frames of as many clips, [count, 3, 64, 64]."""
    clips = rng.integers(2**31, size=count)
    frames = [training_clip(DATA_SEED, int(clip), 1, int(rng.integers(NUM_FRAMES))).frames for clip in clips]
    return from_frames(np.concatenate(frames)).transpose(0, 1)


@dataclass
class SpatialStage:
    """Single frames through the spatial VAE and back: absolute plus squared error, and a little divergence."""

    vae: VideoVAE
    batch: int
    kl_weight: float = 1e-4
    name: str = "spatial"

    @property
    def module(self) -> nn.Module:
        return self.vae.spatial_vae

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        images = single_frames(rng_of(self.name, step), self.batch)
        mean, log_variance = self.vae.spatial_vae.module.encode_moments(images)
        decoded = run_units(self.vae.spatial_units(), {"latent_frames": sample_gaussian(mean, log_variance)})["images"]
        error = pixel_error(decoded, images)
        divergence = kl_divergence(mean, log_variance)
        figures = {"mse": functional.mse_loss(decoded, images).item(), "kl": divergence.item()}
        return error + self.kl_weight * divergence, figures


@dataclass
class DecoderStage:
    """The spatial decoder alone, from what the encoder made of single frames, under noise as in `TemporalStage`.

    Outlines that tell a small square from a circle come late, long after the encoder could have settled.
    """

    vae: VideoVAE
    batch: int
    noise_share: float = 0.1
    name: str = "decoder"

    @property
    def module(self) -> nn.Module:
        spatial = self.vae.spatial_vae.module
        return nn.ModuleDict({"post_quant_conv": spatial.post_quant_conv, "decoder": spatial.decoder})

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        images = single_frames(rng_of(self.name, step), self.batch)
        with torch.no_grad():
            mean, _ = self.vae.spatial_vae.module.encode_moments(images)
        decoded = run_units(self.vae.spatial_units(), {"latent_frames": under_noise(mean, self.noise_share)})["images"]
        return pixel_error(decoded, images), {"mse": functional.mse_loss(decoded, images).item()}


def under_noise(latents: Tensor, share: float) -> Tensor:
    """Latents [N, C, ...] under noise of `share` of each channel's own deviation."""
    others = [axis for axis in range(latents.ndim) if axis != 1]
    return latents + share * latents.std(dim=others, keepdim=True) * torch.randn_like(latents)


@dataclass
class TemporalStage:
    """Chunks of 17 frames, as the spatial VAE encoded them, through the temporal VAE and back: squared error.

    `frame_latents` [clips, frames, 4, 8, 8] come from the cache; errors are shares of their variance. The decoder sees
    each channel under noise of `noise_share` of the channel's own deviation: a denoiser never lands exactly, and no
    channel can hide from the noise by growing, or fall silent, as channels do under a divergence.
    """

    temporal_vae: TemporalVAE
    frame_latents: NDArray[np.float16]
    chunk_frames: int
    batch: int
    noise_share: float = 0.15
    name: str = "temporal"

    def __post_init__(self) -> None:
        self.variance = float(self.frame_latents.astype(np.float32).var())

    @property
    def module(self) -> nn.Module:
        return self.temporal_vae

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        rng = rng_of(self.name, step)
        clips, frames = self.frame_latents.shape[:2]
        firsts = rng.integers(frames - self.chunk_frames + 1, size=self.batch)
        chunks = [
            self.frame_latents[clip, first : first + self.chunk_frames]
            for clip, first in zip(rng.integers(clips, size=self.batch), firsts, strict=True)
        ]
        latents = torch.from_numpy(np.stack(chunks)).float().transpose(1, 2)
        mean, _ = self.temporal_vae.encode_moments(latents)
        ones, zeros = torch.ones(1), torch.zeros(1)
        units = self.temporal_vae.decode_units(self.chunk_frames, scale=ones, shift=zeros)
        decoded = run_units(units, {"latent_chunk": under_noise(mean, self.noise_share)})["latent_frames"]
        error = functional.mse_loss(decoded, latents) / self.variance
        return error, {"deviation": mean.std(dim=(0, 2, 3, 4)).mean().item()}


def encode_frames(vae: VideoVAE, indices: Sequence[int], placement: Placement = "anywhere") -> NDArray[np.float16]:
    """Means that the spatial VAE encodes the frames of training clips to, [clips, 68, 4, 8, 8]."""
    with torch.no_grad():
        clips = [training_clip(DATA_SEED, index, placement=placement).frames for index in indices]
        latents = torch.stack(
            [vae.spatial_vae.module.encode_moments(from_frames(clip).transpose(0, 1))[0] for clip in clips]
        )
    encoded: NDArray[np.float16] = latents.numpy().astype(np.float16)
    return encoded


def encode_clips(vae: VideoVAE, frame_latents: NDArray[np.float16]) -> NDArray[np.float16]:
    """Latents of clips from `encode_frames`, not normalised, [clips, 4, 20, 8, 8]."""
    frames = torch.from_numpy(frame_latents).float().transpose(1, 2)
    with torch.no_grad():
        chunks = torch.split(frames, vae.config.chunk_frames, dim=2)
        latents = torch.cat([vae.temporal_vae.encode_moments(chunk)[0] for chunk in chunks], dim=2)
    encoded: NDArray[np.float16] = latents.numpy().astype(np.float16)
    return encoded


@dataclass(frozen=True)
class Bucket:
    """Pieces of clips that make up one batch: their latent frames, how many, and the share of steps that see them.

    Single frames show many scenes for the same work, chunks show motion, whole clips show what must last.
    """

    latent_frames: int
    batch: int
    share: float = 1.0


@dataclass
class DenoiserStage:
    """Denoiser and text encoder together, by rectified flow: the velocity from noise to data is regressed on.

    Latents come from the cache, of clips whose objects have that `placement`; each step draws a bucket and cuts pieces
    of its length from one place, where a chunk begins if they are as long. Times are drawn logit-normally. One caption
    in ten is replaced by the null caption, under its own mask as when sampling.

    Which way things move is hard to learn. In centred clips, where an object is depends on its direction and on the
    frame's number together, and over all frames on neither alone: no step towards either lowers the loss. Among late
    frames what moves left is on the left, so `lateness` draws frame n as often as n ** lateness; in leaning clips it is
    so in most frames. And it is decided where there is little but noise, at times near one.
    """

    denoiser: STDiT3
    text_encoder: T5Encoder
    latents: NDArray[np.float16]
    shift: Tensor
    scale: Tensor
    buckets: Sequence[Bucket]
    placement: Placement
    name: str
    chunk_latent_frames: int = 5
    time_mean: float = 0.3
    time_deviation: float = 1.2
    lateness: float = 0.0

    @property
    def module(self) -> nn.Module:
        return nn.ModuleDict({"denoiser": self.denoiser, "text_encoder": self.text_encoder})

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        rng = rng_of(self.name, step)
        shares = np.array([bucket.share for bucket in self.buckets])
        bucket = self.buckets[rng.choice(len(shares), p=shares / shares.sum())]
        length, batch = bucket.latent_frames, bucket.batch
        clips = rng.integers(len(self.latents), size=batch)
        stride = min(length, self.chunk_latent_frames)
        places = np.arange((self.latents.shape[2] - length) // stride + 1)
        likely = (places + 1.0) ** self.lateness
        first = int(rng.choice(places, p=likely / likely.sum())) * stride
        raw = self.latents[clips, :, first : first + length]
        data = (torch.from_numpy(raw).float() - self.shift) / self.scale
        ids, mask = tokenize([describe(training_scene(DATA_SEED, int(clip), self.placement)[0], rng) for clip in clips])
        captions = self.text_encoder(ids, mask)
        dropped = torch.from_numpy(rng.random(batch) < CAPTION_DROP_CHANCE)
        captions = torch.where(dropped[:, None, None], self.denoiser.y_embedder.y_embedding[None], captions)

        times = torch.sigmoid(self.time_mean + self.time_deviation * torch.randn(batch))
        noise = torch.randn_like(data)
        share = times.reshape(-1, 1, 1, 1, 1)
        velocity = self.denoiser(
            (1 - share) * data + share * noise,
            times * 1000,
            captions,
            pixels=PixelSize(FRAME_SIDE, FRAME_SIDE),
            fps=torch.tensor([float(FRAMES_PER_SECOND)]),
            text_mask=mask,
            first_frame=first,
        )[:, : data.shape[1]]
        errors = (velocity - (data - noise)).square().mean(dim=(1, 2, 3, 4))
        noisy = times > 0.7
        figures = {f"frames_{length}": errors.mean().item()}
        if noisy.any():
            figures["noisy"] = errors[noisy].mean().item()
        return errors.mean(), figures
