"""Standard output and standard error as every command uses them: safe for terminals, in whatever encoding, never fatal.

A context around a command replaces both. What is printed is made `printable`; characters that the output's encoding
lacks come as plain ones; an output that is full or closed ends the command with one message.
"""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.opening import reason
from ondevice_sora.base.text import printable

PLAIN = {
    "\N{MIDDLE DOT}": "-",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{MINUS SIGN}": "-",
    "\N{EN DASH}": "-",
    "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{MICRO SIGN}": "u",
    "\N{PLUS-MINUS SIGN}": "+-",
    "\N{BLACK CIRCLE}": "o",
}
"""For our own characters, where an encoding lacks them. Anything else comes as its number."""
ERRORS = "ondevice_sora_plain"


def _plain(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    return "".join(PLAIN.get(char) or _numbered(char) for char in lacking), error.end


def _numbered(char: str) -> str:
    """A character as JSON and YAML write it, beyond U+FFFF as two halves, which both read."""
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


codecs.register_error(ERRORS, _plain)


class Output:
    """A text stream that escapes what a terminal would obey, and says in one message that it cannot be written."""

    def __init__(self, inner: TextIO | None, name: str, *, is_essential: bool, escapes: bool = True) -> None:
        """`inner` is the stream itself; `is_essential`: whether it matters if nothing can be written there."""
        self.inner = inner
        self.name = name
        self.is_essential = is_essential
        self.escapes = escapes

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def isatty(self) -> bool:
        return self.inner is not None and self.inner.isatty()

    def write(self, text: str) -> int:
        with self._complaining():
            if self.inner is None:
                raise OSError("it is closed")
            self.inner.write(printable(text) if self.escapes else text)
        return len(text)

    def flush(self) -> None:
        with self._complaining():
            if self.inner is not None:
                self.inner.flush()

    @contextmanager
    def _complaining(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise  # a reader that left early is no failure
        except OSError as error:
            discard(self.inner)
            if self.is_essential:
                raise UserError(f"cannot be written: {reason(error)}", self.name) from None


def as_is(stream: TextIO) -> TextIO:
    """The stream for those who write a terminal's commands themselves, and escape what they show."""
    if not isinstance(stream, Output):
        return stream
    return Output(stream.inner, stream.name, is_essential=stream.is_essential, escapes=False)  # type: ignore[return-value]


def discard(stream: TextIO | None) -> None:
    """Let what is still to be written to this stream go nowhere, what it holds back included."""
    if stream is not None:
        with suppress(OSError, ValueError):
            descriptor = os.open(os.devnull, os.O_WRONLY)
            os.dup2(descriptor, stream.fileno())
            os.close(descriptor)


@contextmanager
def safe_streams() -> Iterator[None]:
    """Both streams replaced while a command runs."""
    before = sys.stdout, sys.stderr
    _occupy_closed_descriptors()
    for stream in before:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=ERRORS)
    sys.stdout = Output(before[0], "standard output", is_essential=True)
    sys.stderr = Output(before[1], "standard error", is_essential=False)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _occupy_closed_descriptors() -> None:
    """See that no file that we open becomes standard input, output or error because that one is closed."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest that is free
