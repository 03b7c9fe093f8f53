"""How far a generated clip shows what its prompt says, judged by the reader of frames."""

from __future__ import annotations

from ondevice_sora.runtime.small.dataset import Frames, Scene
from ondevice_sora.runtime.small.evaluation.reader import read_clip

READ = ("shape", "colour", "direction", "size", "speed", "background")
"""What is read of a clip; the evaluation's table has the first three (records/quality.py)."""


def adherence(scene: Scene, frames: Frames) -> dict[str, bool]:
    """For each attribute, whether the clip shows what the scene asks for.

    An object is looked for by its colour; if none has it, the largest object not asked for stands in, so that a right
    shape in a wrong colour counts as a right shape. With two objects an attribute is right if it is for both.
    """
    reading = read_clip(frames)
    right = dict.fromkeys(READ, True)
    right["background"] = reading.background == scene.background
    asked_for = {wanted.colour for wanted in scene.objects}
    others = [seen for seen in reading.objects if seen.colour not in asked_for]
    for wanted in scene.objects:
        seen = reading.find(wanted.colour) or (others.pop(0) if others else None)
        for name in ("shape", "colour", "direction", "size", "speed"):
            right[name] &= seen is not None and getattr(seen, name) == getattr(wanted, name)
    return right
