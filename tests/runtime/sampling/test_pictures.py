"""Videos are written whole, or it is told that they are not: imageio does not look at how its encoder has ended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("imageio_ffmpeg")

WRITING = """
import resource, sys
import numpy as np
from pathlib import Path
from ondevice_sora.runtime.sampling.pictures import write_video
resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, resource.RLIM_INFINITY))
frames = np.random.default_rng(0).integers(0, 256, ({count}, 64, 64, 3), np.uint8)
try:
    write_video(Path(sys.argv[1]), frames, 24)
except OSError as error:
    sys.exit(str(error))
"""


def written(path: Path, count: int, most: int) -> str:
    """A film of noise of so many frames, where a file may have at most so many bytes; what was complained of."""
    code = WRITING.format(count=count, most=most)
    ended = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=False)
    assert "Traceback" not in ended.stderr
    return ended.stderr


@pytest.mark.parametrize("count", [1, 2, 17, 51])
def test_a_video_that_is_whole_has_all_its_frames(count: int, tmp_path: Path) -> None:
    assert written(tmp_path / "film.mp4", count, most=10**9) == ""


@pytest.mark.parametrize("count", [2, 200])
@pytest.mark.parametrize("most", [40, 4000])
def test_one_that_is_cut_off_is_an_error_of_one_line(count: int, most: int, tmp_path: Path) -> None:
    """Few frames are still on their way when the last is given; many break the pipe."""
    said = written(tmp_path / "film.mp4", count, most)
    assert said == "the video encoder, ffmpeg, could not write all of it; most likely the disk is full\n"
