"""From tokens to frames: text encoder, denoising steps, decoder, with all weights in memory or block by block.

The generation is told once. Who runs the components' passes is the player's matter: `WholePlayer` has all weights in
memory, an executor loads and evicts blocks; the frames are the same to the bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ondevice_sora.runtime.networks.components import DENOISER, TEXT_ENCODER, TextToVideo
from ondevice_sora.runtime.networks.network import Network
from ondevice_sora.runtime.networks.units import State, Unit, run_units
from ondevice_sora.runtime.networks.video_vae import unfold_frames
from ondevice_sora.runtime.sampling.leap import Observation
from ondevice_sora.runtime.sampling.request import VideoRequest
from ondevice_sora.runtime.sampling.sampler import Sample, StepRecord, replay, sample
from ondevice_sora.runtime.sampling.video import SPATIAL, TEMPORAL, VideoNetworks


class Player(Protocol):
    """Runs the passes of components, in the order of a generation."""

    def play(self, component: str, state: Mapping[str, Tensor], units: Sequence[Unit] | None = None) -> State:
        """The component's next pass; returns at least what its last unit writes.

        `units` stand instead of the network's in this pass: same names and weights, another shape (a shorter chunk).
        """
        ...

    def play_each(self, component: str, states: Sequence[Mapping[str, Tensor]]) -> list[State]:
        """The same for several states in one pass: every block runs for each of them, one after the other."""
        ...

    def end_early(self, component: str) -> None:
        """No further pass of this component comes."""
        ...


class WholePlayer:
    """All weights are in memory. `merge_steps` are the passes of stepped components that run their TDTM variant."""

    def __init__(self, networks: Iterable[Network], merge_steps: Collection[int] = ()) -> None:
        self._networks = {network.name: network for network in networks}
        self._merge_steps = merge_steps
        self._step = 0

    def play(self, component: str, state: Mapping[str, Tensor], units: Sequence[Unit] | None = None) -> State:
        return self.play_each(component, [state], units)[0]

    def play_each(
        self, component: str, states: Sequence[Mapping[str, Tensor]], units: Sequence[Unit] | None = None
    ) -> list[State]:
        network = self._networks[component]
        merges = False
        if network.passes == "steps":
            merges = self._step in self._merge_steps
            self._step += 1
        return [run_units(units or network.units("tdtm" if merges else "plain"), state) for state in states]

    def end_early(self, component: str) -> None:
        """Nothing was loaded for the passes that do not come."""


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
    video: VideoNetworks,
    token_ids: Tensor,
    token_mask: Tensor,
    *,
    seed: int,
    player: Player | None = None,
    on_step: Callable[[StepRecord], None] | None = None,
) -> Video:
    """One video for one prompt, tokens [1, L]; equal seeds start from equal noise.

    All weights are in memory unless a player is given, whose schedule is of the video's networks and of a plan that
    asks for the same steps, merged ones too. Raises UserError on a bad request.
    """
    player = player or WholePlayer(video.networks, video.request.merge_steps)
    watch = Stopwatch(on_step)
    result = denoised(video, token_ids, token_mask, seed=seed, player=player, watch=watch)
    frames = decode(video, result.latent, player)
    return Video(frames, result, watch.timings())


@torch.no_grad()
def denoised(
    video: VideoNetworks, token_ids: Tensor, token_mask: Tensor, *, seed: int, player: Player, watch: Stopwatch
) -> Sample:
    """A generation up to its latent. Raises UserError on a bad request."""
    request, model = video.request, video.model
    request.check_prompt(token_mask)
    times = request.timesteps()
    caption = player.play(TEXT_ENCODER, model.text_encoder.initial_state(token_ids, token_mask))["caption"]
    captions = video.captions(caption)
    fps = torch.tensor([request.fps])

    def denoise(latents: Tensor, timesteps: Tensor, *, step: int, merge: bool) -> Tensor:
        parts = zip(*(torch.split(each, request.batch) for each in (latents, timesteps, captions)), strict=True)
        states = [model.denoiser.initial_state(*part, fps=fps, text_mask=token_mask) for part in parts]
        return torch.cat([each["velocity"] for each in player.play_each(DENOISER, states)])

    noise = starting_noise(model, request, seed)
    watch.lap()
    result = sample(
        denoise,
        noise,
        times,
        guidance_scale=request.guidance_scale,
        solver=request.solver,
        leap=request.leap,
        merge_steps=request.merge_steps,
        on_step=watch.step_done,
    )
    player.end_early(DENOISER)
    return result


@torch.no_grad()
def generate_from(walked: Video, seen: Sequence[Observation], video: VideoNetworks) -> Video:
    """The video of a request that differs by its leap alone from the run that `walked` all steps and was `seen`.

    The steps are not run again: their times are those of the walked run. The decoder is.
    """
    request = video.request
    result = replay(seen, request.timesteps(), leap=request.leap, merge_steps=request.merge_steps)
    began = time.perf_counter()
    frames = decode(video, result.latent, WholePlayer(video.networks))
    decoder_s = time.perf_counter() - began
    steps_s = walked.timings.steps_s[: len(result.steps)]
    return Video(frames, result, Timings(walked.timings.text_encoder_s, steps_s, decoder_s))


def decode(video: VideoNetworks, latent: Tensor, player: Player) -> NDArray[np.uint8]:
    """Latents [1, C, T', H', W'] to frames: chunks of latent frames, then batches of frames."""
    decoder = video.model.decoder
    decoded = []
    for chunk, chunk_frames in decoder.config.chunks(latent.shape[2], video.request.num_frames):
        units = decoder.temporal_units(chunk_frames)
        decoded.append(player.play(TEMPORAL, {"latent_chunk": latent[:, :, chunk]}, units)["latent_frames"])
    batches = decoder.batches(torch.cat(decoded, dim=2))
    images = [player.play(SPATIAL, {"latent_frames": batch})["images"] for batch in batches]
    return to_frames(unfold_frames(torch.cat(images), latent.shape[0])[0])


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
