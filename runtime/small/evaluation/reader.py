"""What a clip shows, read from its pixels: which shapes, in which colours, moving which way, how fast, on what.

Made for clips like those of the dataset, sharp or blurred by a decoder; needs no network. Each pixel is a blend of
the background with at most one palette colour; blends are told apart by their direction from the background, so soft
edges do not count as other colours. A shape is the one whose drawing overlaps most with what is seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ondevice_sora.runtime.small.dataset import (
    BACKGROUNDS,
    COLOURS,
    RADII,
    SHAPES,
    SPEEDS,
    SQUARE_HALF_SIDE,
    TRIANGLE_CIRCUMRADIUS,
    Frames,
    coverage,
)

MIN_AREA_PIXELS = 40.0
MIN_BLEND = 0.2
MIN_ALIGNMENT = 0.88
MIN_TRAVEL_PIXELS = 4.0
MIN_OVERLAP = 0.5
FRAMES_LOOKED_AT_FOR_SHAPE = 8

# Area of a shape of radius 1.
UNIT_AREAS = {
    "circle": np.pi,
    "square": (2 * SQUARE_HALF_SIDE) ** 2,
    "triangle": 3 * np.sqrt(3) / 4 * TRIANGLE_CIRCUMRADIUS**2,
}


@dataclass(frozen=True)
class SeenObject:
    """One object as read: radius in pixels, velocity (x, y) in pixels a frame; no `direction` or `speed` at rest.

    `overlap` says how well the shape fits, 0..1 (intersection over union).
    """

    shape: str
    colour: str
    direction: str | None
    size: str
    speed: str | None
    radius: float
    velocity: tuple[float, float]
    overlap: float


@dataclass(frozen=True)
class Reading:
    """What a clip shows; the largest object first, none if nothing stands out from the background."""

    objects: tuple[SeenObject, ...]
    background: str

    def find(self, colour: str) -> SeenObject | None:
        """The object of that colour."""
        return next((seen for seen in self.objects if seen.colour == colour), None)


def read_clip(frames: Frames) -> Reading:
    """Read a clip, uint8 [frames, height, width, 3]; at most one object is read for each colour."""
    edges = [frames[:, 0], frames[:, -1], frames[:, :, 0], frames[:, :, -1]]
    backdrop = np.median(np.concatenate(edges, axis=1).reshape(-1, 3), axis=0) / 255
    background = min(BACKGROUNDS, key=lambda name: float(np.square(backdrop - np.array(BACKGROUNDS[name])).sum()))
    # Frame by frame, since arrays of whole clips fall out of the processor's cache.
    blends = np.stack([_blend(frame, backdrop) for frame in frames], axis=1)
    seen = [(float(blend.sum()), _read_object(colour, blend)) for colour, blend in zip(COLOURS, blends, strict=True)]
    found = [(area, one) for area, one in seen if one is not None]
    return Reading(tuple(one for _, one in sorted(found, key=lambda pair: -pair[0])), background)


def _blend(frame: NDArray[np.uint8], backdrop: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each colour, how much of it each pixel holds, 0..1, where it is the colour that explains the pixel best.

    uint8 [height, width, 3] -> [colours, height, width].
    """
    contrast = frame / 255 - backdrop
    axes = np.array([np.array(rgb) - backdrop for rgb in COLOURS.values()])
    lengths = np.linalg.norm(axes, axis=1)
    along = contrast @ axes.T
    alignment = along / (np.linalg.norm(contrast, axis=-1, keepdims=True) * lengths + 1e-9)
    share = np.clip(along / lengths**2, 0.0, 1.0)
    is_best = alignment.argmax(axis=-1)[..., None] == np.arange(len(COLOURS))
    is_clear = (alignment > MIN_ALIGNMENT) & (share > MIN_BLEND)
    blend: NDArray[np.float64] = np.where(is_best & is_clear, share, 0.0).transpose(2, 0, 1)
    return blend


def _read_object(colour: str, blend: NDArray[np.float64]) -> SeenObject | None:
    """The object of one colour from its share of each pixel [frames, height, width].

    None if it is in less than half the frames, or looks like no shape.
    """
    areas = blend.sum(axis=(1, 2))
    present = np.flatnonzero(areas >= MIN_AREA_PIXELS)
    if len(present) < max(1, len(areas) // 2):
        return None
    blend, areas = blend[present], areas[present]
    rows, columns = np.arange(blend.shape[1]) + 0.5, np.arange(blend.shape[2]) + 0.5
    centres = np.stack([blend.sum(axis=1) @ columns, blend.sum(axis=2) @ rows], axis=1) / areas[:, None]
    velocity = np.polyfit(present, centres, 1)[0] if len(present) > 1 else np.zeros(2)
    travel = np.abs(velocity) * (present[-1] - present[0])
    direction, speed = None, None
    if travel.max() >= MIN_TRAVEL_PIXELS:
        names = ("left", "right") if travel[0] >= travel[1] else ("up", "down")
        direction = names[int(velocity[travel.argmax()] > 0)]
        speed = min(SPEEDS, key=lambda name: abs(SPEEDS[name] - float(np.abs(velocity).max())))
    shape, overlap = _fit_shape(blend, areas, centres)
    if overlap < MIN_OVERLAP:
        return None
    radius = float(np.sqrt(np.median(areas) / UNIT_AREAS[shape]))
    size = min(RADII, key=lambda name: abs(RADII[name] - radius))
    return SeenObject(shape, colour, direction, size, speed, radius, (float(velocity[0]), float(velocity[1])), overlap)


def _fit_shape(
    blend: NDArray[np.float64], areas: NDArray[np.float64], centres: NDArray[np.float64]
) -> tuple[str, float]:
    """The shape whose drawing of the same area and centre overlaps most, and that overlap."""
    looked_at = np.unique(np.linspace(0, len(blend) - 1, FRAMES_LOOKED_AT_FOR_SHAPE).round().astype(int))
    overlaps = {}
    for shape in SHAPES:
        scores = []
        for frame in looked_at:
            radius = float(np.sqrt(areas[frame] / UNIT_AREAS[shape]))
            drawn = coverage(shape, radius, centres[frame][None], blend.shape[1])[0]
            scores.append(np.minimum(drawn, blend[frame]).sum() / np.maximum(drawn, blend[frame]).sum())
        overlaps[shape] = float(np.mean(scores))
    best = max(overlaps, key=lambda shape: overlaps[shape])
    return best, overlaps[best]
