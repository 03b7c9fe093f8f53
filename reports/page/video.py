"""The page of a generated video: it plays it, and says how it was made."""

from __future__ import annotations

from typing import Any, NamedTuple

from ondevice_sora.base.units import TimeUnit, format_percent, format_seconds, time_unit
from ondevice_sora.records.provenance import Provenance
from ondevice_sora.reports.page.downloads import data_link
from ondevice_sora.reports.page.provenance import source_of
from ondevice_sora.reports.page.templating import page

MEDIA_TYPES = {".mp4": "video/mp4", ".gif": "image/gif"}
STAGES = {"text_encoder_s": "text encoder", "denoiser_s": "denoiser", "decoder_s": "decoder", "total_s": "total"}


class Step(NamedTuple):
    """A step of sampling, its time in the unit of its column; `what` is what happened besides an evaluation."""

    number: int
    timestep: str
    seconds: str
    cosine: str
    what: str


def render_video(video: bytes, suffix: str, record: dict[str, Any], provenance: Provenance) -> str:
    """The whole page as text. `video` is a file's bytes, of a kind in MEDIA_TYPES; `record` the sidecar."""
    shape = record["video"]
    unit = time_unit(max(step["seconds"] for step in record["steps"]))
    steps = [_step(number, step, unit) for number, step in enumerate(record["steps"])]
    return page(
        "video.html",
        title=record["prompt"],
        assets=("video.css",),
        figures={},
        link=data_link(MEDIA_TYPES[suffix], video),
        is_picture=suffix == ".gif",
        record=record,
        shape=f"{shape['width']}x{shape['height']} pixels, {shape['frames']} frames, "
        f"{format_seconds(shape['frames'] / shape['fps'])}",
        evaluations=f"{record['num_evaluations']} of {len(record['timesteps'])}",
        stages=[(name, format_seconds(record[key])) for key, name in STAGES.items()],
        machine=", ".join(f"{key} {value}" for key, value in record["machine"].items()),
        steps=steps,
        took=f"Took, {unit.name}",
        has_more=any(step.what for step in steps),
        source=source_of(provenance),
    )


def _step(number: int, step: dict[str, Any], unit: TimeUnit) -> Step:
    what = []
    if step["merged"]:
        what.append("tokens merged")
    if step["leapt"]:
        error = step["estimated_error"]
        what.append("leapt from here" + ("" if error is None else f", estimated error {format_percent(error)}"))
    cosine = step["cosine_whole"]
    return Step(
        number,
        f"{step['timestep']:.0f}",
        unit.write(step["seconds"]),
        "" if cosine is None else f"{cosine:.4f}",
        "; ".join(what),
    )
