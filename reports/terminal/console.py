"""Where reports print: as wide as the terminal, or as COLUMNS says; 120 plain columns where there is neither.

What is shown may come from any file: characters that a terminal would obey are written out. Lines have no blanks at
their end, so that what is copied or compared is what is seen.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable
from typing import Any, TextIO

import rich.console
from rich.segment import Segment
from rich.text import Text

from ondevice_sora.base.streams import as_is, discard
from ondevice_sora.base.text import printable

TERMINAL_WIDTH, PIPE_WIDTH = 80, 120
"""Of a terminal that does not say how wide it is, and of a file or a pipe."""
LEAST_WIDTH = 20


class Console(rich.console.Console):
    """A console that shows text and obeys none, and whose reader may leave early (head, less) without a failure."""

    def __init__(self, file: TextIO | None = None, **settings: Any) -> None:
        # force_jupyter: in a notebook rich would show every line by itself, and write nothing to the file
        ours = {"highlight": False, "markup": False, "force_jupyter": False}
        super().__init__(file=as_is(file or sys.stdout), **{**ours, **settings})

    def on_broken_pipe(self) -> None:
        """Let what is still to be written go nowhere."""
        discard(sys.stdout)

    def render_str(self, text: str, **settings: Any) -> Text:
        """Text out of a string: with its width as it will be shown."""
        return super().render_str(printable(text), **settings)

    def render(
        self, renderable: rich.console.RenderableType, options: rich.console.ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The segments of anything; whatever became text without `render_str` is made printable here."""
        held: list[Segment] = []  # blanks, which count only if the line goes on
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
                continue
            text = re.sub(" +(?=\n)", "", printable(segment.text))
            if text.startswith("\n"):
                held.clear()
            kept = text.rstrip(" ")
            if kept:
                yield from held
                held.clear()
                yield Segment(kept, segment.style)
            if len(kept) < len(text):
                held.append(Segment(text[len(kept) :], segment.style))
        yield from held


def table_console(file: TextIO | None = None, width: int | None = None) -> Console:
    """A console on `file`, or on standard output.

    Its width is what COLUMNS says, else the terminal's, else PIPE_WIDTH. Colours and bold are for terminals alone, and
    colours not with NO_COLOR.
    """
    is_terminal = (file or sys.stdout).isatty()
    return Console(
        file=file,
        width=line_width(is_terminal) if width is None else width,
        force_terminal=is_terminal,
        no_color=None if is_terminal else True,
    )


def line_width(is_terminal: bool) -> int:
    """Characters of a line: as COLUMNS says, else as the terminal does."""
    return max(LEAST_WIDTH, shutil.get_terminal_size((TERMINAL_WIDTH if is_terminal else PIPE_WIDTH, 24)).columns)


def say(*sentences: str) -> None:
    """Print sentences on standard output, each on lines of its own, as wide as tables are."""
    console = table_console()
    for sentence in sentences:
        console.print(sentence)
