"""A terminal of a given width, and what it shows."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable

import pytest
from rich.cells import cell_len

Shown = Callable[[int, Callable[[], None]], str]
WIDTHS = [80, 100, 160]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def written(changes: pytest.MonkeyPatch, stream: str, work: Callable[[], object], width: int = 80) -> str:
    """All that some work writes to `stdout` or `stderr`, if that is a terminal so many characters wide."""
    terminal = _Terminal()
    with changes.context() as changed:
        changed.setattr(sys, stream, terminal)
        changed.setenv("COLUMNS", str(width))
        changed.setenv("TERM", "xterm")
        work()
    return terminal.getvalue()


def show(changes: pytest.MonkeyPatch, width: int, work: Callable[[], None]) -> str:
    """What some work prints on such a terminal: plain text, no line too long, no blank at the end of one."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", written(changes, "stdout", work, width))
    assert max(map(cell_len, text.splitlines()), default=0) <= width
    assert " \n" not in text
    return text


def has_line(text: str, first: str, *others: str) -> bool:
    """Whether the line that begins so goes on with the others, in this order; in several parts of a table together."""
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith(first)]
    return re.match(".*".join(map(re.escape, (first, *others))), "  ".join(lines)) is not None
