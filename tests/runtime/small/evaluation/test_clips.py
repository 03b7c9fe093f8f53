"""Videos as tiles of one: in step, in the order of their names, and read back only from what they were kept in."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from worlds.films import read_film
from worlds.tiny import PLAN

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.plan_file import load_plan
from ondevice_sora.records.quality import Clip
from ondevice_sora.runtime.sampling.pictures import tiled
from ondevice_sora.runtime.small.evaluation.clips import frames_file, read_frames, write_clip, write_frames
from ondevice_sora.runtime.small.shipped import small_request


@pytest.fixture
def request_(tmp_path):
    (tmp_path / "plan.yaml").write_text(PLAN)
    return small_request(load_plan(tmp_path / "plan.yaml").plan)


def frames(request, level):
    """Gray frames, each a little lighter than the one before."""
    shape = (request.num_frames, request.height, request.width, 3)
    steps = np.arange(request.num_frames, dtype=np.uint8)[:, None, None, None]
    return np.broadcast_to(level + steps, shape).astype(np.uint8)


def test_frames_come_back_as_they_were(request_, tmp_path):
    file = frames_file(tmp_path, "full", 3, 0)
    write_frames(file, frames(request_, 50))
    assert np.array_equal(read_frames(file, request_), frames(request_, 50))


def test_tiles_stand_in_rows_and_a_missing_one_is_black():
    videos = [np.full((2, 1, 1, 3), level, np.uint8) for level in (1, 2, 3)]
    assert tiled(videos, 2)[..., 0].tolist() == [[[1, 2], [3, 0]]] * 2


def test_a_clip_has_every_video_at_its_place(request_, tmp_path):
    levels = {f"number {index}": 20 * index for index in range(10)}
    for name, level in levels.items():
        write_frames(frames_file(tmp_path, name, 3, 0), frames(request_, level))
    clip = write_clip(tmp_path, list(levels), "a red circle", 3, 0, request_)
    assert clip == Clip("a red circle", 0, "clips/003-0.mp4", tuple(levels), 8, 64, 64, 17, 24.0)
    film = read_film(tmp_path / clip.file, 2 * 64, 8 * 64)
    assert len(film) == 17
    for index, level in enumerate(levels.values()):
        row, column = divmod(index, clip.columns)
        seen = film[:, 64 * row + 32, 64 * column + 32].mean(axis=1)
        assert np.abs(seen - level - np.arange(17)).max() < 6


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"nothing", "these are not the frames of a video: cannot identify image file"),
        (Image.new("RGB", (8, 8)), "these are not the frames of a video: 8x8 pixels, not 1088x64"),
    ],
)
def test_a_file_that_holds_something_else_is_named(request_, tmp_path: Path, content, complaint):
    file = tmp_path / "000-0.png"
    file.write_bytes(content) if isinstance(content, bytes) else content.save(file)
    with pytest.raises(UserError, match=rf"000-0.png: {complaint}.*\nRemove the file."):
        read_frames(file, request_)
