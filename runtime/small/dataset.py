"""Captioned clips of coloured shapes that move, drawn from a seed: the same seed and index always give the same clip.

A scene has one or two objects, each with a shape, colour, size, direction and speed, on a plain background. Captions
come from a closed vocabulary. One in six combinations of shape, colour and direction is held out: no training clip
shows it, so prompts of it ask for something new. Objects start anywhere; where less is to be learned, a single object
is `centred`, passing through the middle of the frame or a little beside it, or `leaning`, ending at or near the side
that it moves to: then where it is tells something of its direction in most frames. Lengths are in pixels of a 64 x 64
frame, speeds in pixels a frame.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FRAME_SIDE = 64
NUM_FRAMES = 68
FRAMES_PER_SECOND = 24

SHAPES = ("circle", "square", "triangle")
COLOURS = {
    "red": (0.90, 0.10, 0.10),
    "green": (0.10, 0.75, 0.20),
    "blue": (0.15, 0.30, 0.95),
    "yellow": (0.95, 0.85, 0.10),
    "purple": (0.65, 0.10, 0.80),
    "cyan": (0.10, 0.85, 0.90),
}
BACKGROUNDS = {"black": (0.05, 0.05, 0.05), "gray": (0.50, 0.50, 0.50), "white": (0.95, 0.95, 0.95)}
RADII = {"small": 6.5, "large": 10.5}
DIRECTIONS = {"left": (-1.0, 0.0), "right": (1.0, 0.0), "up": (0.0, -1.0), "down": (0.0, 1.0)}
SPEEDS = {"slowly": 0.28, "quickly": 0.55}
GRAMMAR = ("a", "and", "background", "moving", "on")
VOCABULARY = (*GRAMMAR, *SHAPES, *COLOURS, *BACKGROUNDS, *RADII, *DIRECTIONS, *SPEEDS)

SECOND_OBJECT_CHANCE = 0.2
OMISSION_CHANCE = 0.3
CLEARANCE = 2.0
SPREAD = 5.0

# Reach of each shape from its centre, in radii; areas are close enough that size and shape are told apart.
SQUARE_HALF_SIDE = 0.9
TRIANGLE_CIRCUMRADIUS = 1.2
REACH = 1.2

Frames = NDArray[np.uint8]
Starts = tuple[tuple[float, float], ...]
Placement = Literal["anywhere", "centred", "leaning"]


@dataclass(frozen=True)
class MovingObject:
    """What a caption can say of an object."""

    shape: str
    colour: str
    direction: str
    size: str
    speed: str


@dataclass(frozen=True)
class Scene:
    """What a caption can say of a clip."""

    objects: tuple[MovingObject, ...]
    background: str


@dataclass(frozen=True)
class Clip:
    """A scene, where its objects start (x, y), and its frames, uint8 [frames, height, width, 3]."""

    scene: Scene
    starts: Starts
    frames: Frames


def is_held_out(moving: MovingObject) -> bool:
    """Whether no training clip shows this: one colour is held out for each shape and direction."""
    shape, colour, direction = (
        list(values).index(value)
        for values, value in ((SHAPES, moving.shape), (COLOURS, moving.colour), (DIRECTIONS, moving.direction))
    )
    return (shape + colour + direction) % len(COLOURS) == 0


def held_out_scenes() -> list[Scene]:
    """Every scene of one object that training never shows, in a fixed order."""
    scenes = [
        Scene((MovingObject(shape, colour, direction, size, speed),), background)
        for background in BACKGROUNDS
        for speed in SPEEDS
        for size in RADII
        for shape in SHAPES
        for direction in DIRECTIONS
        for colour in COLOURS
    ]
    return [scene for scene in scenes if is_held_out(scene.objects[0])]


def training_scene(seed: int, index: int, placement: Placement = "anywhere") -> tuple[Scene, Starts]:
    """Scene `index` of the endless training set of this seed, and where its objects start."""
    rng = np.random.default_rng([seed, index])
    while True:
        num_objects = 2 if rng.random() < SECOND_OBJECT_CHANCE else 1
        scene = Scene(tuple(_draw_object(rng) for _ in range(num_objects)), _pick(rng, BACKGROUNDS))
        if any(is_held_out(moving) for moving in scene.objects):
            continue
        if num_objects == 2 and scene.objects[0].colour == scene.objects[1].colour:
            continue
        starts = _place(scene, rng, placement if num_objects == 1 else "anywhere")
        if starts is not None:
            return scene, starts


def training_clip(
    seed: int, index: int, num_frames: int = NUM_FRAMES, first_frame: int = 0, placement: Placement = "anywhere"
) -> Clip:
    """The clip of `training_scene`, or the frames of it asked for."""
    scene, starts = training_scene(seed, index, placement)
    return Clip(scene, starts, render(scene, starts, num_frames, first_frame))


def clip_of(scene: Scene, seed: int, num_frames: int = NUM_FRAMES) -> Clip:
    """A clip of a given scene, placed by the seed. Raises ValueError if its objects cannot keep clear of each other."""
    rng = np.random.default_rng(seed)
    for _ in range(200):
        starts = _place(scene, rng)
        if starts is not None:
            return Clip(scene, starts, render(scene, starts, num_frames))
    raise ValueError(f"the objects always meet: {describe(scene)}")


def describe(scene: Scene, rng: np.random.Generator | None = None) -> str:
    """A caption of the scene: everything, or, with `rng`, leaving out sizes, speeds and background now and then."""

    def kept(words: str) -> str:
        return "" if rng is not None and rng.random() < OMISSION_CHANCE else words

    objects = [
        f"a {kept(moving.size)} {moving.colour} {moving.shape} moving {moving.direction} {kept(moving.speed)}"
        for moving in scene.objects
    ]
    words = " and ".join(objects) + kept(f" on a {scene.background} background")
    return " ".join(words.split())


def coverage(shape: str, radius: float, centres: NDArray[np.float64], side: int = FRAME_SIDE) -> NDArray[np.float64]:
    """Share of each pixel that the shape covers, 0..1, for each centre (x, y): [N, 2] -> [N, side, side]."""
    pixel = np.arange(side) + 0.5
    x = pixel[None, None, :] - centres[:, 0, None, None]
    y = pixel[None, :, None] - centres[:, 1, None, None]
    # Distance to the outline, negative inside; its fractional part near the outline smooths the edge.
    if shape == "circle":
        distance = np.sqrt(x * x + y * y) - radius
    elif shape == "square":
        distance = np.maximum(np.abs(x), np.abs(y)) - SQUARE_HALF_SIDE * radius
    elif shape == "triangle":
        inradius = TRIANGLE_CIRCUMRADIUS * radius / 2
        distance = np.maximum(y, np.abs(x) * np.sqrt(0.75) - y / 2) - inradius
    else:
        raise ValueError(f"no such shape: {shape}")
    return np.clip(0.5 - distance, 0.0, 1.0)


def render(scene: Scene, starts: Starts, num_frames: int = NUM_FRAMES, first_frame: int = 0) -> Frames:
    """Frames of the scene, uint8 [num_frames, 64, 64, 3]; later objects hide earlier ones."""
    frames = np.broadcast_to(np.array(BACKGROUNDS[scene.background]), (num_frames, FRAME_SIDE, FRAME_SIDE, 3))
    for moving, start in zip(scene.objects, starts, strict=True):
        centres = path(moving, start, num_frames, first_frame)
        covered = coverage(moving.shape, RADII[moving.size], centres)[..., None]
        frames = (1 - covered) * frames + covered * np.array(COLOURS[moving.colour])
    return np.round(frames * 255).astype(np.uint8)


def path(
    moving: MovingObject, start: tuple[float, float], num_frames: int = NUM_FRAMES, first_frame: int = 0
) -> NDArray[np.float64]:
    """Centre (x, y) in each frame, [num_frames, 2]."""
    velocity = np.array(DIRECTIONS[moving.direction]) * SPEEDS[moving.speed]
    return np.array(start) + (first_frame + np.arange(num_frames))[:, None] * velocity


def _pick(rng: np.random.Generator, words: Iterable[str]) -> str:
    choices = tuple(words)
    return choices[rng.integers(len(choices))]


def _draw_object(rng: np.random.Generator) -> MovingObject:
    return MovingObject(
        shape=_pick(rng, SHAPES),
        colour=_pick(rng, COLOURS),
        direction=_pick(rng, DIRECTIONS),
        size=_pick(rng, RADII),
        speed=_pick(rng, SPEEDS),
    )


def _place(scene: Scene, rng: np.random.Generator, placement: Placement = "anywhere") -> Starts | None:
    """Starts that keep every object inside the frame; None if two would touch on the way."""
    starts = tuple(_start(moving, rng, placement) for moving in scene.objects)
    if len(starts) == 2:
        first, second = (path(moving, start) for moving, start in zip(scene.objects, starts, strict=True))
        nearest = np.sqrt(((first - second) ** 2).sum(axis=1)).min()
        if nearest < REACH * sum(RADII[moving.size] for moving in scene.objects) + CLEARANCE:
            return None
    return starts


def _start(moving: MovingObject, rng: np.random.Generator, placement: Placement) -> tuple[float, float]:
    """Somewhere that keeps the path inside the frame; unless anywhere, up to a few pixels off the middle of all that,
    or off the end that lies where the object moves to.
    """
    reach = REACH * RADII[moving.size]
    travel = path(moving, (0.0, 0.0))[-1]
    lowest = reach - np.minimum(travel, 0.0)
    highest = FRAME_SIDE - reach - np.maximum(travel, 0.0)
    if placement != "anywhere":
        best = (lowest + highest) / 2
        if placement == "leaning":
            best = np.where(travel < 0, lowest, np.where(travel > 0, highest, best))
        lowest, highest = np.maximum(lowest, best - SPREAD), np.minimum(highest, best + SPREAD)
    x, y = rng.uniform(lowest, highest)
    return float(x), float(y)
