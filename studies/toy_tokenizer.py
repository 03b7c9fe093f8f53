"""A small unigram tokenizer of our own, trained by sentencepiece: T5's kind, without T5's vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ondevice_sora.runtime.small.dataset import COLOURS, DIRECTIONS, SHAPES

PROSE = """\
A drone flies over a winding coastal road at sunset while waves break against the rocks below.
An old fisherman mends his net beside a wooden boat, and gulls circle in the pale morning light.
Snow falls slowly on a quiet street; the windows are lit, and somebody plays the piano upstairs.
Close-up of a bee on a lavender flower, shallow depth of field, soft wind, 4 seconds, 24 frames a second.
Two children run through a field of tall grass towards the camera, laughing, with a kite behind them.
The camera pans across a crowded market: spices in open sacks, copper pots, voices, steam and dust.
A red tram crosses the bridge in heavy rain. Its lights are mirrored in the river, and nobody is outside.
Time lapse of clouds over a mountain lake; the water turns from grey to blue to gold, and then to black.
A cat sleeps on a warm car. It wakes, stretches, looks into the lens for a moment and walks away.
Un café au bord de la mer, très tôt le matin: une fenêtre s'ouvre, un garçon porte des chaises dehors.
Ein Zug fährt durch einen grünen Wald; zwischen den Bäumen blitzt die Sonne, größer als sonst.
An astronaut rides a horse across a beach of white sand, cinematic, aerial view, aesthetic score: 6.5.
In 1906 a camera was fixed to the front of a cable car: 13 minutes, no cut, and everybody looked back.
Paper boats drift down a gutter (there are five of them), turn twice and vanish under the pavement.
"""


def sentences() -> list[str]:
    """What it is trained on: prompts in the words of the small model, and some prose."""
    prompts = [
        f"a {colour} {shape} moving {direction}" for colour in COLOURS for shape in SHAPES for direction in DIRECTIONS
    ]
    return [*prompts, *PROSE.lower().splitlines()]


def train(path: Path, lines: Sequence[str], **options: Any) -> None:
    """Write `path`, a .model file with the marks that T5 has; `options` are sentencepiece's own."""
    from sentencepiece import SentencePieceTrainer

    marks = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
    usual: dict[str, Any] = {"model_type": "unigram", "hard_vocab_limit": False, "num_threads": 1, "minloglevel": 2}
    prefix = str(path.with_suffix(""))
    SentencePieceTrainer.train(sentence_iterator=iter(lines), model_prefix=prefix, **marks | usual | options)
    path.with_suffix(".vocab").unlink()
