"""Where reports print: as wide as the terminal, and 120 plain columns where there is none."""

from __future__ import annotations

import os
import sys

import rich.console

PIPE_WIDTH = 120


class Console(rich.console.Console):
    """A console whose reader may leave early (head, less) without changing the exit status."""

    def on_broken_pipe(self) -> None:
        """Let what is still to be written go nowhere."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def table_console(width: int = PIPE_WIDTH) -> Console:
    """A console on standard output."""
    terminal = sys.stdout.isatty()
    return Console(width=None if terminal else width, no_color=not terminal, highlight=False, markup=False)
