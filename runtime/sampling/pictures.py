"""Frames as files: MP4, GIF, PNG. Frames are uint8 [frames, height, width, 3] everywhere."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]
Picture = NDArray[np.uint8]

SEPARATOR_PIXELS = 2
SEPARATOR_LEVEL = 255
CAPTION_PIXELS = 20
EVEN_SIDE = 2  # H.264 in yuv420p halves the colour's resolution
QUALITY = 8
ENCODER_FAILED = "the video encoder, ffmpeg, could not write all of it; most likely the disk is full"


def write_video(path: Path, frames: Frames, fps: float, quality: float = QUALITY) -> None:
    """Write an MP4 (H.264) or a GIF, as the suffix says. A GIF counts in hundredths of a second: 24 frames a second
    become 25. `quality` is an MP4's, imageio's 0 to 10. Raises OSError if not all of it could be written."""
    from imageio import v3

    if path.suffix == ".gif":
        v3.imwrite(path, frames, plugin="pillow", extension=".gif", duration=round(100 / fps) * 10, loop=0)
    else:
        logging.getLogger("imageio_ffmpeg").setLevel(logging.ERROR)  # what its warnings tell is raised here
        settings: dict[str, Any] = {"codec": "libx264", "quality": quality, "macro_block_size": EVEN_SIDE}
        try:
            v3.imwrite(path, frames, plugin="FFMPEG", fps=fps, ffmpeg_log_level="quiet", **settings)
        except OSError as error:
            raise error if error.errno is not None else OSError(ENCODER_FAILED) from error
        if _num_frames(path) != len(frames):
            raise OSError(ENCODER_FAILED)


def _num_frames(path: Path) -> int:
    """Of a video as it can be played: 0 if it cannot. How ffmpeg ended imageio does not say."""
    from imageio_ffmpeg import count_frames_and_secs

    try:
        return int(count_frames_and_secs(path)[0])
    except RuntimeError:
        return 0


def write_png(path: Path, picture: Picture) -> None:
    """Write a picture, uint8 [height, width, 3]."""
    from imageio import v3

    v3.imwrite(path, picture, plugin="pillow", extension=".png")


def enlarged(frames: Frames, factor: int) -> Frames:
    """Every pixel as a square of `factor` by `factor`."""
    return frames.repeat(factor, axis=1).repeat(factor, axis=2)


def side_by_side(frames: Frames) -> Picture:
    """All frames in one row, without lines between."""
    return np.concatenate(list(frames), axis=1)


def apart(picture: Picture, count: int) -> Frames:
    """The frames that `side_by_side` put into a row."""
    return np.stack(np.split(picture, count, axis=1))


def tiled(videos: Sequence[Frames], columns: int) -> Frames:
    """Videos of one shape as tiles of a single one, in rows of `columns`; tiles without a video are black."""
    empty = [np.zeros_like(videos[0])] * (-len(videos) % columns)
    tiles = [*videos, *empty]
    rows = [np.concatenate(tiles[start : start + columns], axis=2) for start in range(0, len(tiles), columns)]
    return np.concatenate(rows, axis=1)


def contact_sheet(
    frames: Frames, count: int = 8, columns: int = 4, *, scale: int = 1, fps: float | None = None
) -> Picture:
    """`count` frames from the first to the last, at even distances, in rows of `columns` with lines between.

    Every pixel is a square of `scale` by `scale`. With `fps`, each frame's number and time stand beneath it.
    """
    chosen = np.unique(np.linspace(0, len(frames) - 1, count).round().astype(int))
    cells = enlarged(frames[chosen], scale)
    if fps is not None:
        captions = [_caption(f"frame {index}, {index / fps:.2f} s", cells.shape[2]) for index in chosen]
        cells = np.concatenate([cells, np.stack(captions)], axis=1)
    columns = min(columns, len(cells))
    rows = math.ceil(len(cells) / columns)
    height, width = cells.shape[1] + SEPARATOR_PIXELS, cells.shape[2] + SEPARATOR_PIXELS
    sheet = np.full((rows * height, columns * width, 3), SEPARATOR_LEVEL, np.uint8)
    for index, cell in enumerate(cells):
        top, left = index // columns * height, index % columns * width
        sheet[top : top + height - SEPARATOR_PIXELS, left : left + width - SEPARATOR_PIXELS] = cell
    return sheet[:-SEPARATOR_PIXELS, :-SEPARATOR_PIXELS]


def _caption(text: str, width: int) -> Picture:
    """A line of text on white, as high as CAPTION_PIXELS; in smaller letters where it would not fit."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("RGB", (width, CAPTION_PIXELS), (SEPARATOR_LEVEL,) * 3)
    size = CAPTION_PIXELS * 0.7
    longest = ImageFont.load_default(size).getlength(text)
    font = ImageFont.load_default(min(size, size * (width - 4) / longest))
    ImageDraw.Draw(picture).text((width / 2, CAPTION_PIXELS / 2), text, fill=(0, 0, 0), font=font, anchor="mm")
    return np.asarray(picture)
