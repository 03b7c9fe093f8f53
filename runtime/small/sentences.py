"""The sentences that the small model was taught, and the nearest of them to another prompt."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.complaints import shorten
from ondevice_sora.runtime.small.dataset import BACKGROUNDS, COLOURS, DIRECTIONS, RADII, SHAPES, SPEEDS
from ondevice_sora.runtime.small.vocabulary import words_of

FORM = "[a] [SIZE] [COLOUR] SHAPE moving DIRECTION [SPEED] [on a BACKGROUND background]"
CHOICES: dict[str, Collection[str]] = {
    "SIZE": RADII, "COLOUR": COLOURS, "SHAPE": SHAPES, "DIRECTION": DIRECTIONS, "SPEED": SPEEDS,
    "BACKGROUND": BACKGROUNDS,
}  # fmt: skip
NEEDED = {"SHAPE": "circle", "DIRECTION": "left"}
"""What no sentence leaves out, and what stands in where a prompt does."""


def _one_of(name: str) -> str:
    return f"(?:{'|'.join(CHOICES[name])})"


_OBJECT = f"(?:a )?(?:{_one_of('SIZE')} )?(?:{_one_of('COLOUR')} )?{_one_of('SHAPE')} moving {_one_of('DIRECTION')}"
_OBJECT += f"(?: {_one_of('SPEED')})?"
_BACKGROUND = f"(?: on a {_one_of('BACKGROUND')} background)?"
_SENTENCE = re.compile(_OBJECT + _BACKGROUND)
_TWO_OBJECTS = re.compile(f"{_OBJECT} and {_OBJECT}{_BACKGROUND}")
"""A fifth of the clips of its training show two objects, and it draws hardly any of them (docs/generate.md)."""


def check_sentence(prompt: str) -> None:
    """Raises UserError for a prompt whose video would not show what it says. Its words are known (vocabulary.py)."""
    words = words_of(prompt)
    sentence = " ".join(words)
    if _SENTENCE.fullmatch(sentence):
        return
    what = "two objects are more than the small model learnt to draw"
    if not _TWO_OBJECTS.fullmatch(sentence):
        what = "the small model was not taught sentences like this one, and its video would not show it"
    choices = "; ".join(f"{name}: {', '.join(values)}" for name, values in CHOICES.items())
    raise UserError(
        f"{shorten(prompt)}: {what}",
        mend=f"Did you mean '{nearest_sentence(words)}'? It knows: {FORM}. {choices}.",
    )


def nearest_sentence(words: Sequence[str]) -> str:
    """One object's sentence with as many of these words as fit; of two that exclude each other, the first."""
    said = {name: _first(words, values) for name, values in CHOICES.items()}
    backing = said["BACKGROUND"]
    parts = [
        "a", said["SIZE"], said["COLOUR"], said["SHAPE"] or NEEDED["SHAPE"],
        "moving", said["DIRECTION"] or NEEDED["DIRECTION"], said["SPEED"],
        backing and f"on a {backing} background",
    ]  # fmt: skip
    return " ".join(filter(None, parts))


def _first(words: Sequence[str], values: Collection[str]) -> str | None:
    return next((word for word in words if word in values), None)
