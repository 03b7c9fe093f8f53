"""The page of a generated video says how long each step took, in one unit."""

from __future__ import annotations

from typing import Any

from worlds.pages import words

from ondevice_sora.records.provenance import Provenance
from ondevice_sora.reports.page.video import render_video


def sampled_step(timestep: float, seconds: float, cosine: float | None) -> dict[str, Any]:
    return {"timestep": timestep, "seconds": seconds, "cosine_whole": cosine, "merged": False, "leapt": False}


def test_the_times_of_the_steps_are_in_the_unit_of_their_column() -> None:
    record = {
        "prompt": "a red circle", "seed": 4, "plan": {"name": "toy"}, "num_evaluations": 2,
        "timesteps": [1000.0, 500.0],
        "video": {"width": 16, "height": 16, "frames": 12, "fps": 24},
        "text_encoder_s": 1.0, "denoiser_s": 1.0, "decoder_s": 1.0, "total_s": 3.0,
        "machine": {"system": "toyOS"}, "notes": [],
        "steps": [sampled_step(1000.0, 2.5, None), sampled_step(500.0, 0.25, 0.9)],
    }  # fmt: skip
    said = words(render_video(b"", ".mp4", record, Provenance("generate", "1", "2026-11-30")))
    assert "Step Time Took, s Cosine 0 1000 2.50 1 500 0.250 0.9000" in said
