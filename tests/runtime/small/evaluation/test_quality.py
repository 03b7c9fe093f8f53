"""The measures of one video, on frames whose answer is known."""

import numpy as np
import pytest

from ondevice_sora.runtime.small.dataset import FRAMES_PER_SECOND, SPEEDS, clip_of, held_out_scenes
from ondevice_sora.runtime.small.evaluation.quality import (
    flow_magnitudes,
    is_dynamic,
    mean_squared_error,
    structural_similarity,
    temporal_flickering,
)


def flat(*levels, side=16):
    """A video of evenly gray frames."""
    return np.stack([np.full((side, side, 3), level, np.uint8) for level in levels])


def test_squared_error_counts_levels_without_wrapping():
    assert mean_squared_error(flat(0, 255), flat(3, 251)) == (9 + 16) / 2


def test_similarity_is_one_for_equal_videos_and_falls_with_noise():
    frames = clip_of(held_out_scenes()[0], 0, 4).frames
    noise = np.random.default_rng(0).normal(0, 1, frames.shape)
    noisy = [np.clip(frames + deviation * noise, 0, 255).astype(np.uint8) for deviation in (5, 40)]
    little, much = (structural_similarity(video, frames) for video in noisy)
    assert structural_similarity(frames, frames) == 1
    assert 1 > little > much > 0


def test_flickering_is_the_mean_change_of_successive_frames():
    assert temporal_flickering(flat(10, 10, 10)) == 1
    assert temporal_flickering(flat(0, 51, 0)) == pytest.approx(1 - 51 / 255)
    assert temporal_flickering(flat(7)) == 1


@pytest.mark.parametrize("scene", [held_out_scenes()[index] for index in (0, 30, 66, 120)], ids=str)
def test_flow_is_the_speed_of_what_moves(scene):
    """At 8 frames a second an object moves three of its steps from frame to frame."""
    clip = clip_of(scene, 0, 25)
    speed = 3 * SPEEDS[scene.objects[0].speed]
    assert flow_magnitudes(clip.frames, FRAMES_PER_SECOND).mean() == pytest.approx(speed, abs=0.3)


def test_a_video_is_dynamic_if_a_quarter_of_its_frames_move_far_enough():
    """16 frames, 64 pixels a side: four of them above 1.5 pixels."""
    assert is_dynamic(np.array([1.6] * 4 + [0.0] * 11), 64)
    assert not is_dynamic(np.array([1.6] * 3 + [0.0] * 12), 64)
    assert not is_dynamic(np.array([1.4] * 15), 64)
    assert not is_dynamic(np.array([]), 64)
