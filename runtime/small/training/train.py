"""Train the small model from nothing: spatial VAE, temporal VAE, then the denoiser with its text encoder.

    python -m ondevice_sora.runtime.small.training.train --out build/small    # goes on where an earlier run stopped
    python -m ondevice_sora.runtime.small.training.train --out build/small --minutes 20    # for 20 minutes at most

Leaves in --out the state and log of every stage, and in --out/model the three components, ready to generate with, and
the logs.
"""

from __future__ import annotations

import argparse
import math
import shutil
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from ondevice_sora.runtime.networks.components import DECODER, DENOISER, ENCODER_PREFIXES, TEXT_ENCODER, save_component
from ondevice_sora.runtime.networks.stdit3 import STDiT3
from ondevice_sora.runtime.networks.t5 import T5Encoder
from ondevice_sora.runtime.networks.video_vae import VideoVAE
from ondevice_sora.runtime.small import model as small
from ondevice_sora.runtime.small.dataset import Placement
from ondevice_sora.runtime.small.training.stages import (
    Bucket,
    DecoderStage,
    DenoiserStage,
    SpatialStage,
    Stage,
    TemporalStage,
    encode_clips,
    encode_frames,
)
from ondevice_sora.runtime.small.training.trainer import LearningSchedule, Trainer

SPATIAL = LearningSchedule(num_steps=3000, learning_rate=4e-3, optimiser="adamw")
DECODER_ALONE = LearningSchedule(num_steps=2000, learning_rate=0.02)
TEMPORAL = LearningSchedule(num_steps=800, learning_rate=0.02)
CHUNKS = LearningSchedule(num_steps=1600, learning_rate=0.02)
WHOLE = LearningSchedule(num_steps=1000, learning_rate=0.015)
MIXED = LearningSchedule(num_steps=1400, learning_rate=0.015)
PLACES = LearningSchedule(num_steps=600, learning_rate=0.015)
CLIPS = LearningSchedule(num_steps=1400, learning_rate=0.012)
DETAILS = LearningSchedule(num_steps=800, learning_rate=0.012, warmup_steps=50)
CHUNK_BUCKETS = (Bucket(latent_frames=5, batch=32),)
WHOLE_BUCKETS = (Bucket(latent_frames=20, batch=16),)
MIXED_BUCKETS = (Bucket(1, 128, share=0.15), Bucket(5, 32, share=0.15), Bucket(20, 12, share=0.7))
PLACES_BUCKETS = (Bucket(latent_frames=1, batch=192),)
CLIPS_BUCKETS = (Bucket(1, 192, share=0.3), Bucket(20, 16, share=0.7))
NUM_CLIPS = 4096
NUM_CENTRED_CLIPS = 4608
NUM_LEANING_CLIPS = 2048
CLIPS_PER_FILE = 128
INITIAL_SEED = 1

console = Console()


class TimeIsUpError(Exception):
    """The minutes given are spent; what was trained is saved."""


def train(directory: Path, limit_s: float = math.inf) -> None:
    """Train every stage that is not finished yet. Raises TimeIsUpError when `limit_s` seconds are over."""
    deadline = time.monotonic() + limit_s

    def finish(stage: Stage, schedule: LearningSchedule) -> None:
        if not Trainer(stage, schedule, directory).run(deadline - time.monotonic()):
            raise TimeIsUpError

    torch.manual_seed(INITIAL_SEED)
    vae = VideoVAE(small.VIDEO_VAE, with_encoder=True)
    finish(SpatialStage(vae, batch=16), SPATIAL)
    finish(DecoderStage(vae, batch=16), DECODER_ALONE)
    anywhere = cached_frames(vae, directory / "frames", NUM_CLIPS, "anywhere", deadline)
    finish(TemporalStage(vae.temporal_vae, anywhere, vae.config.chunk_frames, batch=8), TEMPORAL)
    latents = cached_latents(vae, anywhere, directory / "latents.npy")
    normalise(vae, latents)
    save_component(directory / "model" / DECODER, small.VIDEO_VAE, vae, skip=ENCODER_PREFIXES)

    torch.manual_seed(INITIAL_SEED)
    denoiser, text_encoder = STDiT3(small.DENOISER), T5Encoder(small.TEXT_ENCODER)
    small.initialise_denoiser(denoiser)
    small.initialise_text_encoder(text_encoder)
    learners = denoiser, text_encoder
    normal = vae.shift[0], vae.scale[0]

    # First how things look and move, then, told which frame is which, where they are and where they go.
    denoiser.frame_embedder.requires_grad_(False)
    finish(DenoiserStage(*learners, latents, *normal, CHUNK_BUCKETS, "anywhere", name="chunks"), CHUNKS)
    centred = cached_frames(vae, directory / "centred_frames", NUM_CENTRED_CLIPS, "centred", deadline)
    latents = cached_latents(vae, centred, directory / "centred_latents.npy")
    finish(DenoiserStage(*learners, latents, *normal, WHOLE_BUCKETS, "centred", name="whole"), WHOLE)
    finish(DenoiserStage(*learners, latents, *normal, MIXED_BUCKETS, "centred", name="mixed"), MIXED)
    denoiser.frame_embedder.requires_grad_(True)
    places = DenoiserStage(
        *learners, latents, *normal, PLACES_BUCKETS, "centred", name="places", lateness=2.0, time_mean=1.5
    )
    finish(places, PLACES)
    leaning = cached_frames(vae, directory / "leaning_frames", NUM_LEANING_CLIPS, "leaning", deadline)
    latents = cached_latents(vae, leaning, directory / "leaning_latents.npy")
    clips = DenoiserStage(
        *learners, latents, *normal, CLIPS_BUCKETS, "leaning", name="clips", time_mean=0.9, time_deviation=1.4
    )
    finish(clips, CLIPS)
    finish(DenoiserStage(*learners, latents, *normal, WHOLE_BUCKETS, "leaning", name="details", time_mean=0.5), DETAILS)
    save_component(directory / "model" / DENOISER, small.DENOISER, denoiser)
    save_component(directory / "model" / TEXT_ENCODER, small.TEXT_ENCODER, text_encoder)
    keep_logs(directory, directory / "model" / "training")
    console.print(f"Wrote {directory / 'model'}")


def save_array(file: Path, values: NDArray[np.float16]) -> None:
    partial = file.with_suffix(".partial")
    with partial.open("wb") as opened:
        np.save(opened, values)
    partial.replace(file)


def cached_frames(
    vae: VideoVAE, directory: Path, num_clips: int, placement: Placement, deadline: float
) -> NDArray[np.float16]:
    """Latents of every frame of the training clips, encoded once, file by file; files that are there are kept."""
    directory.mkdir(parents=True, exist_ok=True)
    parts = []
    for first in track(range(0, num_clips, CLIPS_PER_FILE), description=directory.name, console=console):
        file = directory / f"{first:06d}.npy"
        if not file.is_file():
            if time.monotonic() > deadline:
                raise TimeIsUpError
            save_array(file, encode_frames(vae, range(first, first + CLIPS_PER_FILE), placement))
        parts.append(np.load(file))
    return np.concatenate(parts)


def cached_latents(vae: VideoVAE, frame_latents: NDArray[np.float16], file: Path) -> NDArray[np.float16]:
    """Latents of the training clips, not normalised, [clips, 4, 20, 8, 8]; encoded once."""
    if not file.is_file():
        firsts = track(range(0, len(frame_latents), CLIPS_PER_FILE), description=file.stem, console=console)
        parts = [encode_clips(vae, frame_latents[first : first + CLIPS_PER_FILE]) for first in firsts]
        save_array(file, np.concatenate(parts))
    latents: NDArray[np.float16] = np.load(file)
    return latents


def normalise(vae: VideoVAE, latents: NDArray[np.float16]) -> None:
    """Set the VAE's shift and scale so that normalised latents have mean 0 and deviation 1 in every channel."""
    values = latents.astype(np.float32)
    axes = (0, 2, 3, 4)
    vae.shift.copy_(torch.from_numpy(values.mean(axis=axes))[None, :, None, None, None])
    vae.scale.copy_(torch.from_numpy(values.std(axis=axes))[None, :, None, None, None])


def keep_logs(directory: Path, beside_model: Path) -> None:
    """Copy the log of every stage to the model that came of them."""
    beside_model.mkdir(parents=True, exist_ok=True)
    for log in directory.glob("*.log.jsonl"):
        shutil.copyfile(log, beside_model / log.name)


def main() -> int:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for states, logs and the model")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop, resumably, after so many minutes")
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="CPU threads (default: %(default)s)"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    try:
        train(arguments.out, arguments.minutes * 60)
    except TimeIsUpError:
        console.print("Stopped after the minutes given; the same command goes on from here.")
    except KeyboardInterrupt:
        console.print("Interrupted; the same command goes on from here.")
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
