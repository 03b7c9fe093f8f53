"""What the JSON beside a generated video says: everything needed to make it again, and how it came about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ondevice_sora.plans.schema import Plan, plan_data
from ondevice_sora.runtime.host import this_host
from ondevice_sora.runtime.sampling.generation import Video
from ondevice_sora.runtime.sampling.request import VideoRequest

FORMAT = "ondevice-sora generation 1"
WHOLE = (
    "Ran whole, in float32: what the plan says of components, packages and memory tells a phone how to load the model."
)
IN_BLOCKS = "Ran block by block, in float32, loaded and kept as the plan says: the trace has every load and run."
NOTES = ("Cosines are with the previous step's drift. Times run from 1000, noise, to 0, data; dt is in units of 1000.",)


def sidecar(
    *,
    prompt: str,
    seed: int,
    plan: Plan,
    request: VideoRequest,
    video: Video,
    made_of: Mapping[str, str],
    load_s: float,
    how: str = WHOLE,
) -> dict[str, Any]:
    """The document, ready for JSON. `made_of` has the hashes of what was read, `load_s` is what reading it took.

    `how` says how the model ran, in a sentence: WHOLE, IN_BLOCKS or another.
    """
    timesteps = request.timesteps()
    steps, timings = video.sample.steps, video.timings
    return {
        "format": FORMAT,
        "prompt": prompt,
        "seed": seed,
        "plan": plan_data(plan),
        **made_of,
        "video": {"width": request.width, "height": request.height, "frames": request.num_frames, "fps": request.fps},
        "timesteps": list(timesteps),
        "num_evaluations": len(steps),
        "leap_step": video.sample.leap_step,
        "leap_estimated_error": steps[-1].estimated_error if steps[-1].leapt else None,
        "steps": [
            {**asdict(record), "seconds": seconds} for record, seconds in zip(steps, timings.steps_s, strict=True)
        ],
        "load_s": load_s,
        "text_encoder_s": timings.text_encoder_s,
        "denoiser_s": timings.denoiser_s,
        "decoder_s": timings.decoder_s,
        "total_s": timings.total_s,
        "machine": machine(),
        "notes": [how, *NOTES],
    }


def machine() -> dict[str, str | int]:
    """Where the times were taken."""
    host = this_host()
    return {"processor": host.architecture, "system": host.system, "torch": host.torch, "threads": host.threads}
