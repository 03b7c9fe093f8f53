"""How far generated clips show what their prompts say, judged by the reader of frames.

python -m ondevice_sora.runtime.small.evaluation.adherence --model build/small/model --prompts 24
"""

import argparse
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ondevice_sora.runtime.networks.components import TextToVideo, load_text_to_video
from ondevice_sora.runtime.sampling.generation import generate
from ondevice_sora.runtime.sampling.request import VideoRequest
from ondevice_sora.runtime.sampling.video import VideoNetworks
from ondevice_sora.runtime.small.dataset import Frames, Scene, describe, held_out_scenes
from ondevice_sora.runtime.small.evaluation.reader import read_clip
from ondevice_sora.runtime.small.model import REQUEST
from ondevice_sora.runtime.small.vocabulary import tokenize

ATTRIBUTES = ("shape", "colour", "direction", "size", "speed", "background")
CONFIDENT_DEVIATIONS = 1.96


def adherence(scene: Scene, frames: Frames) -> dict[str, bool]:
    """For each attribute, whether the clip shows what the scene asks for.

    An object is looked for by its colour; if none has it, the largest object not asked for stands in, so that a right
    shape in a wrong colour counts as a right shape. With two objects an attribute is right if it is for both.
    """
    reading = read_clip(frames)
    right = dict.fromkeys(ATTRIBUTES, True)
    right["background"] = reading.background == scene.background
    asked_for = {wanted.colour for wanted in scene.objects}
    others = [seen for seen in reading.objects if seen.colour not in asked_for]
    for wanted in scene.objects:
        seen = reading.find(wanted.colour) or (others.pop(0) if others else None)
        for name in ("shape", "colour", "direction", "size", "speed"):
            right[name] &= seen is not None and getattr(seen, name) == getattr(wanted, name)
    return right


def measure(
    model: TextToVideo, scenes: Sequence[Scene], seeds: Sequence[int], request: VideoRequest = REQUEST
) -> dict[str, tuple[int, int]]:
    """(right, all) for each attribute over a clip of each scene and seed."""
    counts: Counter[str] = Counter()
    for scene in track(scenes, description="adherence"):
        ids, mask = tokenize([describe(scene)])
        for seed in seeds:
            frames = generate(VideoNetworks.of(model, request), ids, mask, seed=seed).frames
            counts.update(name for name, is_right in adherence(scene, frames).items() if is_right)
    total = len(scenes) * len(seeds)
    return {name: (counts[name], total) for name in ATTRIBUTES}


def wilson_interval(right: float, total: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson's score interval)."""
    z = CONFIDENT_DEVIATIONS
    share, spread = right / total, 1 + z * z / total
    centre = (share + z * z / (2 * total)) / spread
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / spread
    return max(0.0, centre - half), min(1.0, centre + half)


def table_of(results: Mapping[str, tuple[int, int]]) -> Table:
    """Shares with their intervals, for people."""
    table = Table("attribute", "right", "of", "share", "95 % interval")
    for name, (right, total) in results.items():
        low, high = wilson_interval(right, total)
        table.add_row(name, str(right), str(total), f"{right / total:.1%}", f"{low:.1%} to {high:.1%}")
    return table


def main() -> int:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="folder of the three components")
    parser.add_argument("--prompts", type=int, default=24, help="held-out prompts, of 144 (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=1, help="clips of each prompt (default: %(default)s)")
    parser.add_argument("--guidance", type=float, default=REQUEST.guidance_scale, help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="(default: %(default)s)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    scenes = held_out_scenes()
    chosen = np.linspace(0, len(scenes) - 1, min(arguments.prompts, len(scenes))).round().astype(int)
    request = replace(REQUEST, guidance_scale=arguments.guidance)
    model = load_text_to_video(arguments.model)
    results = measure(model, [scenes[index] for index in chosen], range(arguments.seeds), request)
    Console().print(table_of(results))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
