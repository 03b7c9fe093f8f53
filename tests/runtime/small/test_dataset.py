"""The generator draws what its captions say, and the reader reads what was drawn."""

from collections import Counter

import numpy as np
import pytest

from ondevice_sora.base.errors import UserError
from ondevice_sora.runtime.small.dataset import (
    COLOURS,
    DIRECTIONS,
    NUM_FRAMES,
    SHAPES,
    VOCABULARY,
    MovingObject,
    Scene,
    clip_of,
    coverage,
    describe,
    held_out_scenes,
    is_held_out,
    path,
    training_clip,
)
from ondevice_sora.runtime.small.evaluation.reader import read_clip
from ondevice_sora.runtime.small.vocabulary import MAX_TOKENS, WORDS, tokenize

RED_CIRCLE = MovingObject("circle", "red", "left", "small", "slowly")
BLUE_SQUARE = MovingObject("square", "blue", "down", "large", "quickly")


def blurred_and_noisy(frames: np.ndarray) -> np.ndarray:
    """Frames as a poor decoder would give them: a 3 x 3 box blur and noise of 8 levels."""
    padded = np.pad(frames.astype(float), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    blurred = sum(padded[:, row : row + 64, column : column + 64] for row in range(3) for column in range(3)) / 9
    noise = np.random.default_rng(0).normal(0, 8, frames.shape)
    return np.clip(blurred + noise, 0, 255).astype(np.uint8)


def test_the_same_seed_and_index_give_the_same_clip() -> None:
    first, again, other = training_clip(3, 5, 4), training_clip(3, 5, 4), training_clip(3, 6, 4)
    assert first.scene == again.scene
    assert np.array_equal(first.frames, again.frames)
    assert not np.array_equal(first.frames, other.frames)


def test_a_part_of_a_clip_is_that_part() -> None:
    assert np.array_equal(training_clip(0, 1, 3, first_frame=40).frames, training_clip(0, 1).frames[40:43])


def test_a_clip_is_bytes_of_the_stated_shape() -> None:
    frames = training_clip(0, 0).frames
    assert frames.shape == (NUM_FRAMES, 64, 64, 3)
    assert frames.dtype == np.uint8


@pytest.mark.parametrize("spoil", [lambda frames: frames, blurred_and_noisy])
def test_the_reader_reads_back_every_attribute_of_generated_clips(spoil) -> None:
    wrong: Counter[str] = Counter()
    for index in range(15):
        clip = training_clip(1, index)
        reading = read_clip(spoil(clip.frames))
        wrong["background"] += reading.background != clip.scene.background
        wrong["count"] += len(reading.objects) != len(clip.scene.objects)
        for drawn in clip.scene.objects:
            seen = reading.find(drawn.colour)
            assert seen is not None, describe(clip.scene)
            for name in ("shape", "direction", "size", "speed"):
                wrong[name] += getattr(seen, name) != getattr(drawn, name)
    assert +wrong == Counter()


def test_the_reader_measures_in_pixels_and_frames() -> None:
    clip = clip_of(Scene((BLUE_SQUARE,), "white"), seed=2)
    (seen,) = read_clip(clip.frames).objects
    assert seen.velocity == pytest.approx((0.0, 0.55), abs=0.01)
    assert seen.radius == pytest.approx(10.5, abs=0.2)
    assert seen.overlap > 0.97


def test_the_reader_sees_nothing_where_there_is_nothing() -> None:
    assert read_clip(np.full((8, 64, 64, 3), 13, np.uint8)).objects == ()
    assert read_clip(np.random.default_rng(0).integers(0, 255, (8, 64, 64, 3)).astype(np.uint8)).objects == ()


def test_the_reader_gives_no_direction_to_what_rests() -> None:
    still = np.repeat(clip_of(Scene((RED_CIRCLE,), "black"), seed=0).frames[:1], 20, axis=0)
    (seen,) = read_clip(still).objects
    assert seen.direction is None
    assert seen.speed is None
    assert seen.shape == "circle"


def test_objects_stay_in_the_frame_and_clear_of_each_other() -> None:
    two = [clip for clip in (training_clip(0, index, 1) for index in range(60)) if len(clip.scene.objects) == 2]
    assert two
    for clip in two:
        tracks = [path(moving, start) for moving, start in zip(clip.scene.objects, clip.starts, strict=True)]
        covered = [
            coverage(moving.shape, {"small": 6.5, "large": 10.5}[moving.size], track)
            for moving, track in zip(clip.scene.objects, tracks, strict=True)
        ]
        assert not np.logical_and(covered[0] > 0, covered[1] > 0).any()
        for shape in covered:
            areas = shape.sum(axis=(1, 2))
            assert areas.max() - areas.min() < 0.03 * areas.mean()


def test_held_out_combinations_never_appear_in_training_and_cover_every_word() -> None:
    for index in range(100):
        assert not any(is_held_out(moving) for moving in training_clip(0, index, 1).scene.objects)
    scenes = held_out_scenes()
    assert len({describe(scene) for scene in scenes}) == 144
    objects = [scene.objects[0] for scene in scenes]
    assert {moving.shape for moving in objects} == set(SHAPES)
    assert {moving.colour for moving in objects} == set(COLOURS)
    assert {moving.direction for moving in objects} == set(DIRECTIONS)


def test_a_caption_says_what_is_drawn() -> None:
    scene = Scene((RED_CIRCLE, BLUE_SQUARE), "gray")
    assert describe(scene) == (
        "a small red circle moving left slowly and a large blue square moving down quickly on a gray background"
    )
    shortest = min((describe(scene, np.random.default_rng(seed)) for seed in range(300)), key=len)
    assert shortest == "a red circle moving left and a blue square moving down"


def test_every_caption_is_made_of_known_words_and_fits() -> None:
    for index in range(50):
        ids, mask = tokenize([describe(training_clip(0, index, 1).scene)])
        assert ids.shape == mask.shape == (1, MAX_TOKENS)
        assert mask.sum() == (ids > 1).sum() + 1
    assert set(WORDS) == set(VOCABULARY)


def test_tokens_ignore_case_and_commas() -> None:
    assert tokenize(["A red circle, moving left."])[0].tolist() == tokenize(["a red circle moving left"])[0].tolist()
    assert tokenize(["a red circle"])[0].tolist() != tokenize(["a red square"])[0].tolist()


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("", "the prompt is empty"),
        (" , ", "the prompt is empty"),
        ("a rde circle", r"does not know 'rde'\nDid you mean 'red'\? It knows: a, and"),
        ("a gren sqaure moving rigth", r"'gren', 'sqaure', 'rigth'\nDid you mean 'green', 'square', 'right'\?"),
        ("a red " * 20, "the prompt has 41 tokens, its end counted; the model reads 24"),
    ],
)
def test_prompts_that_cannot_be_read_are_clear_errors(prompt: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        tokenize([prompt])
