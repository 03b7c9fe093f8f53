"""The videos of a prompt in all configurations as tiles of one video: a page that plays it plays them in step.

A folder of results has `frames/CONFIGURATION/SCENE-SEED.png`, the frames of a video side by side and without loss, and
`clips/SCENE-SEED.mp4`, the tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.opening import beneath, reason
from ondevice_sora.base.files.writing import written_together
from ondevice_sora.records.quality import Clip
from ondevice_sora.runtime.sampling.pictures import Frames, apart, side_by_side, tiled, write_png, write_video
from ondevice_sora.runtime.sampling.request import VideoRequest

COLUMNS = 8
QUALITY = 4.6
"""A page holds a clip of each of several prompts: 25 to 70 kB for 49 videos of 64x64 pixels and 68 frames."""


def frames_file(folder: Path, configuration: str, scene: int, seed: int) -> Path:
    return beneath(folder, "frames", configuration, f"{scene:03d}-{seed}.png")


def write_frames(file: Path, frames: Frames) -> None:
    """Raises OSError and UserError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with written_together([file]) as (partial_file,):
        write_png(partial_file, side_by_side(frames))


def read_frames(file: Path, request: VideoRequest) -> Frames:
    """The frames of a video made as requested. Raises UserError for a file that does not hold them."""
    from PIL import Image

    size = (request.num_frames * request.width, request.height)
    try:
        with Image.open(file) as picture:
            if picture.size != size:
                raise ValueError(f"{picture.size[0]}x{picture.size[1]} pixels, not {size[0]}x{size[1]}")
            return apart(np.asarray(picture.convert("RGB")), request.num_frames)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        told = reason(error) if isinstance(error, OSError) else str(error)
        raise UserError(f"these are not the frames of a video: {told}", str(file), "Remove the file.") from None


def write_clip(
    folder: Path, configurations: Sequence[str], prompt: str, scene: int, seed: int, request: VideoRequest
) -> Clip:
    """Write the kept frames of these configurations as one video. Raises UserError for frames that cannot be read."""
    videos = [read_frames(frames_file(folder, name, scene, seed), request) for name in configurations]
    columns = min(COLUMNS, len(videos))
    file = beneath(folder, "clips", f"{scene:03d}-{seed}.mp4")
    file.parent.mkdir(parents=True, exist_ok=True)
    with written_together([file]) as (partial_file,):
        write_video(partial_file, tiled(videos, columns), request.fps, QUALITY)
    return Clip(
        prompt=prompt,
        seed=seed,
        file=file.relative_to(folder).as_posix(),
        configurations=tuple(configurations),
        columns=columns,
        width=request.width,
        height=request.height,
        frames=request.num_frames,
        fps=request.fps,
    )
