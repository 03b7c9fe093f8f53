"""Real videos: one for pages to play, and what one holds.

Tiles of gray whose levels tell which video and which frame they are.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ondevice_sora.records.quality import Clip
from ondevice_sora.runtime.sampling.pictures import tiled, write_video

FIRST, NEXT = (20, 60, 100), 10
"""The level of each video's first frame, and how much lighter every frame is than the one before."""


def write_film(file: Path, clip: Clip) -> None:
    """The video of a clip of up to three configurations."""
    videos = [_gray(clip, level) for level in FIRST[: len(clip.configurations)]]
    write_video(file, tiled(videos, clip.columns), clip.fps, quality=10)


def read_film(file: Path, height: int, width: int) -> NDArray[np.uint8]:
    """The frames of an MP4 of that size, [frames, height, width, 3], as ffmpeg reads them."""
    from imageio_ffmpeg import get_ffmpeg_exe

    command = [get_ffmpeg_exe(), "-i", str(file), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 3)


def _gray(clip: Clip, level: int) -> NDArray[np.uint8]:
    levels = level + NEXT * np.arange(clip.frames)
    return np.broadcast_to(levels[:, None, None, None], (clip.frames, clip.height, clip.width, 3)).astype(np.uint8)
