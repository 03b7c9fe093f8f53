"""Where reports print: as wide as the terminal, and 120 plain columns where there is none.

What is shown may come from any file: characters that a terminal would obey are written out.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, TextIO

import rich.console
from rich.segment import Segment
from rich.text import Text

from ondevice_sora.base.streams import as_is, discard
from ondevice_sora.base.text import printable

PIPE_WIDTH = 120


class Console(rich.console.Console):
    """A console that shows text and obeys none, and whose reader may leave early (head, less) without a failure."""

    def __init__(self, file: TextIO | None = None, **settings: Any) -> None:
        super().__init__(file=as_is(file or sys.stdout), **{"highlight": False, "markup": False, **settings})

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
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


def table_console(width: int = PIPE_WIDTH) -> Console:
    """A console on standard output."""
    terminal = sys.stdout.isatty()
    return Console(width=None if terminal else width, no_color=not terminal)
