"""From tokens to frames: text encoder, denoising steps, decoder, with nothing partitioned."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ondevice_sora.base.errors import UserError
from ondevice_sora.runtime.networks.components import TextToVideo
from ondevice_sora.runtime.networks.stdit3 import PixelSize
from ondevice_sora.runtime.sampling.leap import LeapRule, Observation
from ondevice_sora.runtime.sampling.sampler import Sample, StepRecord, flow_timesteps, replay, sample


@dataclass(frozen=True)
class VideoRequest:
    """Shape of the video and how it is sampled. `merged_blocks` chooses among the blocks those that TDTM acts on.

    The denoiser's blocks see the first `attended_tokens` of a prompt that is padded further, all of it if None.
    """

    num_frames: int
    height: int
    width: int
    fps: float
    num_steps: int
    guidance_scale: float
    transform: bool = True
    discrete: bool = False
    leap: LeapRule | None = None
    merge_steps: Collection[int] = ()
    merged_blocks: Callable[[Sequence[str]], Collection[str]] = tuple
    attended_tokens: int | None = None

    def timesteps(self) -> tuple[float, ...]:
        """The times handed to the network at each step, 1000 to 0. Raises UserError on a bad request."""
        return flow_timesteps(
            self.num_steps,
            height=self.height,
            width=self.width,
            num_frames=self.num_frames,
            discrete=self.discrete,
            transform=self.transform,
        )

    def check_prompt(self, token_mask: Tensor) -> None:
        """Raise UserError if more tokens count than the denoiser's blocks see."""
        length = int(token_mask.nonzero()[:, -1].max()) + 1 if token_mask.any() else 0
        if self.attended_tokens is not None and length > self.attended_tokens:
            what = f"the prompt has {length} tokens, the plan's text_tokens are {self.attended_tokens}"
            raise UserError(what, mend="Write a shorter prompt, or a plan for longer ones.")


@dataclass(frozen=True)
class Timings:
    """Wall-clock seconds of each component; a step's are those of its network evaluation and of what follows it."""

    text_encoder_s: float
    steps_s: tuple[float, ...]
    decoder_s: float

    @property
    def denoiser_s(self) -> float:
        return sum(self.steps_s)

    @property
    def total_s(self) -> float:
        return self.text_encoder_s + self.denoiser_s + self.decoder_s


class Stopwatch:
    """Takes the instants of a generation: its start, the text encoder's end, each step's, and the decoder's."""

    def __init__(self, on_step: Callable[[StepRecord], None] | None = None) -> None:
        self.on_step = on_step
        self.instants = [time.perf_counter()]

    def lap(self) -> None:
        self.instants.append(time.perf_counter())

    def step_done(self, record: StepRecord) -> None:
        """A step's end; then whoever follows the steps is told."""
        self.lap()
        if self.on_step is not None:
            self.on_step(record)

    def timings(self) -> Timings:
        """The decoder ends now."""
        self.lap()
        text_encoder_s, *steps_s, decoder_s = (after - before for before, after in pairwise(self.instants))
        return Timings(text_encoder_s, tuple(steps_s), decoder_s)


@dataclass(frozen=True)
class Video:
    """Frames, uint8 [frames, height, width, 3], and how the sampler came to them."""

    frames: NDArray[np.uint8]
    sample: Sample
    timings: Timings


@torch.no_grad()
def generate(
    model: TextToVideo,
    token_ids: Tensor,
    token_mask: Tensor,
    request: VideoRequest,
    *,
    seed: int,
    on_step: Callable[[StepRecord], None] | None = None,
) -> Video:
    """One video for one prompt, tokens [1, L]; equal seeds start from equal noise. UserError on a bad request."""
    request.check_prompt(token_mask)
    times = request.timesteps()
    watch = Stopwatch(on_step)
    caption = model.text_encoder(token_ids, token_mask)
    no_caption = model.denoiser.y_embedder.y_embedding[None, : caption.shape[1]]
    captions = torch.cat([caption, no_caption])
    blocks = request.merged_blocks(model.denoiser.block_names)
    fps = torch.tensor([request.fps])
    pixels = PixelSize(request.height, request.width)

    def denoise(latents: Tensor, timesteps: Tensor, *, step: int, merge: bool) -> Tensor:
        velocity: Tensor = model.denoiser(
            latents,
            timesteps,
            captions,
            pixels=pixels,
            fps=fps,
            text_mask=token_mask,
            merged_blocks=blocks if merge else (),
            attended_tokens=request.attended_tokens,
        )
        return velocity

    noise = starting_noise(model, request, seed)

    watch.lap()
    result = sample(
        denoise,
        noise,
        times,
        guidance_scale=request.guidance_scale,
        leap=request.leap,
        merge_steps=request.merge_steps,
        on_step=watch.step_done,
    )
    frames = to_frames(model.decoder.decode(result.latent, request.num_frames)[0])
    return Video(frames, result, watch.timings())


@torch.no_grad()
def generate_from(walked: Video, seen: Sequence[Observation], model: TextToVideo, request: VideoRequest) -> Video:
    """The video of `request`, which differs by its leap alone from the run that `walked` all steps and was `seen`.

    The steps are not run again: their times are those of the walked run. The decoder is.
    """
    result = replay(seen, request.timesteps(), leap=request.leap, merge_steps=request.merge_steps)
    began = time.perf_counter()
    frames = to_frames(model.decoder.decode(result.latent, request.num_frames)[0])
    decoder_s = time.perf_counter() - began
    steps_s = walked.timings.steps_s[: len(result.steps)]
    return Video(frames, result, Timings(walked.timings.text_encoder_s, steps_s, decoder_s))


def starting_noise(model: TextToVideo, request: VideoRequest, seed: int) -> Tensor:
    """The latent that a generation starts from, [1, channels, frames, height, width]: the same for the same seed."""
    channels = model.denoiser.config.in_channels
    size = model.decoder.config.latent_size(request.num_frames, request.height, request.width)
    return torch.randn(1, channels, *size, generator=torch.Generator().manual_seed(seed))


def to_frames(video: Tensor) -> NDArray[np.uint8]:
    """Values -1..1, [3, frames, height, width] -> uint8 [frames, height, width, 3]; what lies outside is clipped."""
    levels = (video.clamp(-1, 1) + 1) * 127.5
    frames: NDArray[np.uint8] = levels.round().to(torch.uint8).permute(1, 2, 3, 0).numpy()
    return frames


def from_frames(frames: NDArray[np.uint8]) -> Tensor:
    """uint8 [frames, height, width, 3] -> values -1..1, [3, frames, height, width]."""
    return torch.from_numpy(frames).permute(3, 0, 1, 2).float() / 127.5 - 1
