"""What an evaluation of LPL and TDTM measures: one record a video, one row a configuration, and the definitions.

The paper's own figures for the same techniques on another model are read here too, to be shown beside ours.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

import msgspec

from ondevice_sora.base.files.reading import read_yaml
from ondevice_sora.base.quantities import Share
from ondevice_sora.base.text import Line
from ondevice_sora.profiles.devices import DATA

FORMAT = "ondevice-sora evaluation 1"
ATTRIBUTES = ("shape", "colour", "direction")
PUBLISHED = DATA / "published" / "quality" / "open_sora_gpu.yaml"

DEFINITIONS = {
    "network evaluations": "denoiser passes over all guidance branches; mean over the videos",
    "time ratio": "seconds of the full-step denoiser over those of this one, both run one after the other for the same "
    "prompt and seed; sums over all videos. A leap's seconds are those of the steps it walked within a run of all of "
    "them. 'whole' is the same of text encoder, denoiser and decoder",
    "PSNR": "10 log10(255^2 / MSE) in dB, the mean squared error over all pixels of all videos, against the full-step "
    "video of the same prompt and seed",
    "to exact": "PSNR against the flow's exact solution instead: eight times the steps by two-step Adams-Bashforth, "
    "of which the row of half as many says how near it is; missing where that was not made",
    "SSIM": "Wang et al. 2004 (Gaussian window, sigma 1.5, 11 pixels), mean over frames and channels, against the same",
    "adherence": "share of videos in which the reader of frames finds what the prompt asks for; 'all' is shape, colour "
    "and direction at once. A colour counts as right if an object of it is seen in at least half of the frames: a clip "
    "that flickers to another colour for a while still counts",
    "temporal flickering": "VBench: (255 - mean absolute difference of successive frames) / 255, over all videos; "
    "higher is calmer",
    "dynamic degree": "VBench's rule with iterative Lucas-Kanade flow where VBench has RAFT: share of videos in which, "
    "at 8 frames a second, a quarter of the frames or more have a mean flow over the fastest 5 % of pixels above "
    "6 pixels at 256 pixels a side",
    "motion": "mean over frames of that flow, in pixels a frame of the 8 a second",
    "gain over fixed": "PSNR above that of a fixed leap with as many network evaluations, interpolated linearly "
    "between the fixed leaps measured",
    "interval": "95 %: bootstrap over prompts, 2000 resamples, and none of fewer than six prompts; for shares Wilson's "
    "interval with the prompts as the sample, since two seeds of a prompt are not independent",
}


Number = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
Cosine = Annotated[float, msgspec.Meta(ge=-1 - 1e-3, le=1 + 1e-3)]
Duration = Annotated[float, msgspec.Meta(gt=0, le=1e6)]


class Measured(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One video: how it was made, and how it compares with the full-step video of the same prompt and seed.

    `mse` is in squared levels of 0..255; `exact_mse` is against the flow's exact solution, where that was made too. The
    `full_*` seconds are those of the full-step run just before it, on the same `machine`.
    """

    configuration: Line
    plan: dict[str, Any]
    scene: Number
    prompt: Line
    seed: Number
    num_evaluations: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    leap_step: Annotated[int, msgspec.Meta(ge=0, le=999)] | None
    leap_estimated_error: Annotated[float, msgspec.Meta(ge=0, le=1e9)] | None
    cosines: Annotated[tuple[Cosine | None, ...], msgspec.Meta(max_length=1000)]
    denoiser_s: Duration
    total_s: Duration
    full_denoiser_s: Duration
    full_total_s: Duration
    mse: Annotated[float, msgspec.Meta(ge=0, le=255.0**2)]
    ssim: Cosine
    right: dict[Line, bool]
    flickering: Share
    is_dynamic: bool
    motion: Annotated[float, msgspec.Meta(ge=0, le=1e6)]
    machine: Line
    exact_mse: Annotated[float, msgspec.Meta(ge=0, le=255.0**2)] | None = None


class Interval(msgspec.Struct, frozen=True):
    """A value and its 95 % interval; None where it has no bound, as the PSNR of equal videos."""

    value: float | None
    low: float | None
    high: float | None


class Row(msgspec.Struct, frozen=True):
    """One configuration over all its videos; names as in DEFINITIONS."""

    configuration: str
    title: str
    num_prompts: int
    num_videos: int
    evaluations: Interval
    time_ratio: Interval
    whole_time_ratio: Interval
    psnr_db: Interval
    ssim: Interval
    adherence: dict[str, Interval]
    flickering: Interval
    dynamic_degree: Interval
    motion_pixels: Interval
    gain_over_fixed_db: Interval | None = None
    exact_psnr_db: Interval | None = None


class Clip(msgspec.Struct, frozen=True):
    """The videos of one prompt as tiles of a single one, an MP4, so that they cannot fall out of step.

    Tiles are `width` by `height` pixels and stand in rows of `columns`, in the order of `configurations`. `file` is
    relative to the folder of the results.
    """

    prompt: str
    seed: int
    file: str
    configurations: tuple[str, ...]
    columns: int
    width: int
    height: int
    frames: int
    fps: float


class Evaluation(msgspec.Struct, frozen=True):
    """The results of one folder: everything that the table and the page show."""

    plan: str
    num_steps: int
    weights_sha256: str
    machines: tuple[str, ...]
    rows: tuple[Row, ...]
    clips: tuple[Clip, ...]
    definitions: dict[str, str] = msgspec.field(default_factory=lambda: dict(DEFINITIONS))
    format: str = FORMAT


class PublishedTechnique(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A technique as the paper reports it: by prompt set, the mean network evaluations and the speed-up."""

    name: str
    place: str
    beside: str
    evaluations: dict[str, float]
    speedup: dict[str, float]
    flickering: float
    dynamic_degree: float


class PublishedQuality(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The paper's tables on LPL and TDTM; `baseline` has no technique."""

    source: str
    model: str
    baseline: Annotated[dict[str, float], msgspec.Meta(min_length=1)]
    techniques: tuple[PublishedTechnique, ...]


@cache
def published_quality() -> PublishedQuality:
    return read_yaml(PUBLISHED).convert(PublishedQuality)
