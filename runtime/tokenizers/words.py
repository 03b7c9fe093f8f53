"""Prompts of a closed list of words, each a token."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.text import printable
from ondevice_sora.runtime.tokenizers.document import WordsDocument

SPACES = (
    " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680"
    + "".join(map(chr, range(0x2000, 0x200B)))
    + ("\u2028\u2029\u202f\u205f\u3000")
)
"""What Python's split() takes for spaces, written out for languages that take others."""


def word_ids(document: WordsDocument) -> Callable[[str], list[int]]:
    """A function from text to the ids of its words, which raises UserError for a word outside the list."""
    spaces = str.maketrans(dict.fromkeys(document.separators, " "))

    def ids(text: str) -> list[int]:
        words = [word for word in text.translate(spaces).split(" ") if word]
        unknown = [word for word in words if word not in document.words]
        if unknown:
            near = [close for word in unknown for close in difflib.get_close_matches(word, document.words, n=1)]
            hint = f"Did you mean {', '.join(map(quoted, dict.fromkeys(near)))}? " if near else ""
            raise UserError(
                f"the model does not know {', '.join(map(quoted, dict.fromkeys(unknown)))}",
                mend=f"{hint}It knows: {', '.join(document.words)}.",
            )
        return [document.words[word] for word in words]

    return ids


def quoted(text: str, limit: int = 60) -> str:
    """What a prompt says, in a message: as every runtime shows it, whatever its language."""
    return f"'{printable(text if len(text) <= limit else text[: limit - 1] + '…')}'"
