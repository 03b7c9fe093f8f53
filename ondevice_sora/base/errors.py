"""The one exception that means "the input is wrong", as against "this program is wrong"."""

from __future__ import annotations


class UserError(Exception):
    """A mistake in what the user gave: shown as one message, without traceback, with exit status 2.

    what   what was wrong, with the offending value
    where  file, line or option, if there is one
    mend   how to put it right
    """

    def __init__(self, what: str, where: str | None = None, mend: str | None = None) -> None:
        self.what = what
        self.where = where
        self.mend = mend
        super().__init__(str(self))

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n{self.mend}" if self.mend else head


def nearest(name: str, known: list[str]) -> str:
    """A sentence that offers the closest known name, or lists what is known."""
    from difflib import get_close_matches

    close = get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    listed = ", ".join(known)
    return f"Did you mean '{close[0]}'? Known: {listed}." if close else f"Known: {listed}."
