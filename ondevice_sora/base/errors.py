"""The one exception that means "the input is wrong", as against "this program is wrong"."""

from __future__ import annotations


class UserError(Exception):
    """A mistake in what the user gave: shown as one message, without traceback, with exit status 2.

    what   what was wrong, with the offending value
    where  file, line or option, if there is one
    mend   how to put it right
    field  the setting it is about, such as '$.memory.budget', where the file is not known: whoever holds the document
           names its line (Document.locating)
    """

    def __init__(
        self, what: str, where: str | None = None, mend: str | None = None, *, field: str | None = None
    ) -> None:
        self.what = what
        self.where = where
        self.mend = mend
        self.field = field
        super().__init__(str(self))

    def __str__(self) -> str:
        place = self.where or (in_words(self.field) if self.field else "")
        head = f"{place}: {self.what}" if place else self.what
        return f"{head}\n{self.mend}" if self.mend else head


def in_words(field: str) -> str:
    """'memory.budget' for '$.memory.budget'."""
    label = field.removeprefix("$").removeprefix(".")
    return label if len(label) <= 200 else f"{label[:199]}…"


CUTOFF = 0.6
"""Of difflib's measure, from which on a name is taken for another one misspelt."""
LEAST_BEGINNING, MOST_OFFERED = 3, 3
"""Letters from which on a name may be the beginning of others, and how many of them are offered."""


def nearest(name: str, known: list[str]) -> str:
    """A sentence that offers the closest known name, or else those that begin like it, and lists what is known."""
    from difflib import get_close_matches

    close = get_close_matches(name.lower(), known, n=1, cutoff=CUTOFF)
    if not close and len(name) >= LEAST_BEGINNING:
        close = [each for each in known if each.startswith(name.lower())][:MOST_OFFERED]
    offered = " or ".join(f"'{each}'" for each in close)
    return f"{f'Did you mean {offered}? ' if close else ''}Known: {', '.join(known)}."
