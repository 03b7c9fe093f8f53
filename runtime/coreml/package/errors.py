"""What is wrong with a package, as the user is told."""

from __future__ import annotations

from ondevice_sora.base.errors import UserError

LONGEST = 1000


class PackageError(UserError):
    """A package that cannot be read, or run: damaged, hostile, or of a kind that is not known here.

    Names out of a package stand in these messages, so what is not printable is escaped and what is too long is cut.
    """

    def __init__(self, what: str, where: str | None = None, mend: str | None = None) -> None:
        super().__init__(_tame(what), None if where is None else _tame(where), mend)


def _tame(text: str) -> str:
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text[:LONGEST])
    return shown if len(text) <= LONGEST else f"{shown[: LONGEST - 1]}…"
