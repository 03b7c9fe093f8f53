"""A whole text-to-video model in blocks: the sampler, LPL and TDTM over an executor, instead of over modules in memory.

The components' passes follow from the video: text encoder once, denoiser once a step, `decoder.temporal` once a chunk
and `decoder.spatial` once a batch of frames. What no unit holds (the caption that stands for none, the scale of the
latents) stays in memory: a few megabytes at published sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.partition import cut
from ondevice_sora.plans.schema import Plan
from ondevice_sora.records.trace import Trace
from ondevice_sora.runtime.executor.executor import Executor
from ondevice_sora.runtime.executor.network import Network, listed_model, schedule_run
from ondevice_sora.runtime.executor.reading import drop_pages
from ondevice_sora.runtime.executor.store import write_store
from ondevice_sora.runtime.executor.torch_blocks import TorchBlocks
from ondevice_sora.runtime.networks.components import DENOISER, TEXT_ENCODER, TextToVideo
from ondevice_sora.runtime.networks.stdit3 import LatentSize, PixelSize
from ondevice_sora.runtime.networks.video_vae import unfold_frames
from ondevice_sora.runtime.sampling.generation import Stopwatch, Video, VideoRequest, starting_noise, to_frames
from ondevice_sora.runtime.sampling.sampler import StepRecord, sample

TEMPORAL, SPATIAL = "decoder.temporal", "decoder.spatial"


@dataclass(frozen=True)
class PartitionedVideo:
    """The networks of a model for one video, and what they need beside their blocks."""

    model: TextToVideo
    request: VideoRequest
    networks: tuple[Network, ...]
    no_caption: Tensor

    @classmethod
    def of(cls, model: TextToVideo, request: VideoRequest) -> PartitionedVideo:
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

    def generate(
        self,
        executor: Executor,
        token_ids: Tensor,
        token_mask: Tensor,
        *,
        seed: int,
        on_step: Callable[[StepRecord], None] | None = None,
    ) -> Video:
        """As runtime.sampling.generation.generate, bit for bit. Raises UserError if the plan is for another video."""
        request = self.request
        plan = executor.schedule.plan
        merge_steps = merging_steps(plan, request.num_steps)
        if plan.sampler.steps != request.num_steps:
            raise UserError(f"the plan has {plan.sampler.steps} steps, the request {request.num_steps}", plan.name)
        request.check_prompt(token_mask)
        times = request.timesteps()
        watch = Stopwatch(on_step)
        state = self.model.text_encoder.initial_state(token_ids, token_mask)
        caption = executor.play(TEXT_ENCODER, state)["caption"]
        captions = torch.cat([caption, self.no_caption[None, : caption.shape[1]]])
        fps = torch.tensor([request.fps])

        def denoise(latents: Tensor, timesteps: Tensor, *, step: int, merge: bool) -> Tensor:
            state = self.model.denoiser.initial_state(latents, timesteps, captions, fps=fps, text_mask=token_mask)
            return executor.play(DENOISER, state)["velocity"]

        noise = starting_noise(self.model, request, seed)
        watch.lap()
        with torch.no_grad():
            result = sample(
                denoise,
                noise,
                times,
                guidance_scale=request.guidance_scale,
                leap=request.leap,
                merge_steps=merge_steps,
                on_step=watch.step_done,
            )
            executor.end_early(DENOISER)
            video = self._decode(executor, result.latent)
        return Video(to_frames(video[0]), result, watch.timings())

    def _decode(self, executor: Executor, latent: Tensor) -> Tensor:
        decoder, num_frames = self.model.decoder, self.request.num_frames
        decoded = []
        for chunk, chunk_frames in decoder.config.chunks(latent.shape[2], num_frames):
            units = decoder.temporal_units(chunk_frames)
            decoded.append(executor.play(TEMPORAL, {"latent_chunk": latent[:, :, chunk]}, units)["latent_frames"])
        batches = decoder.batches(torch.cat(decoded, dim=2))
        images = [executor.play(SPATIAL, {"latent_frames": batch})["images"] for batch in batches]
        return unfold_frames(torch.cat(images), latent.shape[0])


def generate_in_blocks(
    model: TextToVideo,
    token_ids: Tensor,
    token_mask: Tensor,
    request: VideoRequest,
    *,
    name: str,
    plan: Plan,
    folder: Path,
    seed: int,
    on_step: Callable[[StepRecord], None] | None = None,
) -> tuple[Video, Trace]:
    """One video with the model cut, stored in `folder` and loaded as the plan says, and the trace of it.

    The model has no weights afterwards. `name` is the model's in the trace. Raises UserError for a plan that cannot be
    kept to here, and as the executor does.
    """
    video = PartitionedVideo.of(model, request)
    described = listed_model(name, video.networks)
    schedule, costs = schedule_run(plan, described)
    store = write_store(folder, described, video.networks, cut(plan, described, {}))
    for block in store.manifest.blocks:
        drop_pages(store.path(block))
    with Executor(schedule, costs, TorchBlocks(schedule, video.networks, store)) as executor:
        result = video.generate(executor, token_ids, token_mask, seed=seed, on_step=on_step)
    return result, executor.trace()


def merging_steps(plan: Plan, num_steps: int) -> Collection[int]:
    """The steps on which the plan merges tokens."""
    return [step for step in range(num_steps) if plan.merges(step)]
