"""The sentences that the small model was taught, as its tokenizer document says them."""

from __future__ import annotations

from ondevice_sora.runtime.small.dataset import BACKGROUNDS, COLOURS, DIRECTIONS, RADII, SHAPES, SPEEDS
from ondevice_sora.runtime.tokenizers.document import Phrase, Refused, Sentences

OBJECT = (
    Phrase(("a",), optional=True),
    Phrase(("SIZE",), optional=True),
    Phrase(("COLOUR",), optional=True),
    Phrase(("SHAPE", "moving", "DIRECTION"), optional=False),
    Phrase(("SPEED",), optional=True),
)
BACKGROUND = Phrase(("on", "a", "BACKGROUND", "background"), optional=True)

SENTENCES = Sentences(
    form=(*OBJECT, BACKGROUND),
    choices={
        "SIZE": tuple(RADII),
        "COLOUR": tuple(COLOURS),
        "SHAPE": SHAPES,
        "DIRECTION": tuple(DIRECTIONS),
        "SPEED": tuple(SPEEDS),
        "BACKGROUND": tuple(BACKGROUNDS),
    },
    refused=(
        Refused(
            (*OBJECT, Phrase(("and",), optional=False), *OBJECT, BACKGROUND),
            "two objects are more than the model learnt to draw",
        ),
    ),
)
"""A fifth of the clips of its training show two objects, and it draws hardly any of them (docs/generate.md)."""
