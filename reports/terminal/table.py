"""Tables without rules that lose nothing on a narrow terminal.

Text folds; numbers stay on one line. Where not all columns fit, the others follow beneath in further parts, each of
which begins with the first column again.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import rich.table
from rich.cells import cell_len

from ondevice_sora.base.text import printable
from ondevice_sora.reports.terminal.console import Console

GAP = 2
LEAST_FIRST, LEAST_TEXT = 36, 16
"""Characters of a line that the first column, and other text, is given at least if it is so long."""
LONGEST_HEADING = 24
"""Characters from which on the heading of a column of numbers folds."""


class Column(NamedTuple):
    heading: str
    is_number: bool


class _Sized(NamedTuple):
    """A column with its cells, the characters that the longest needs, and those that it can do with."""

    heading: str
    is_number: bool
    cells: list[str]
    widest: int
    least: int


def text(*headings: str) -> list[Column]:
    """Columns set left, whose cells may fold."""
    return [Column(heading, is_number=False) for heading in headings]


def numbers(*headings: str) -> list[Column]:
    """Columns set right, whose cells stay on one line."""
    return [Column(heading, is_number=True) for heading in headings]


def print_table(
    console: Console, columns: Sequence[Column], rows: Iterable[Sequence[str]], title: str | None = None
) -> None:
    """Print a table, in as many parts as the console's width makes necessary. Rows may end early."""
    filled = [[*map(printable, row), *[""] * (len(columns) - len(row))] for row in rows]
    sized = [_sized(column, [row[at] for row in filled], is_first=at == 0) for at, column in enumerate(columns)]
    for number, part in enumerate(_parts(sized, console.width)):
        if number:
            console.print()
        console.print(_table(part, console.width, title if number == 0 else None))


def _sized(column: Column, cells: list[str], *, is_first: bool) -> _Sized:
    heading, longest = printable(column.heading), max((cell_len(cell) for cell in cells), default=0)
    if column.is_number:
        heading = "\n".join(textwrap.wrap(heading, max(longest, LONGEST_HEADING)))
        widest = max([longest, *(cell_len(line) for line in heading.splitlines())])
        return _Sized(heading, True, cells, widest, widest)
    widest = max(longest, cell_len(heading))
    return _Sized(heading, False, cells, widest, min(widest, LEAST_FIRST if is_first else LEAST_TEXT))


def _parts(columns: list[_Sized], width: int) -> list[list[_Sized]]:
    """The columns of each part: the first, and as many of the others as fit beside it."""
    first = columns[0]
    parts = [[first]]
    for column in columns[1:]:
        fits = sum(each.least + GAP for each in parts[-1]) + column.least <= width
        if fits or len(parts[-1]) == 1:
            parts[-1].append(column)
        else:
            parts.append([first, column])
    return parts


def _table(columns: list[_Sized], width: int, title: str | None) -> rich.table.Table:
    widths = [column.widest for column in columns]
    excess = sum(widths) + GAP * (len(widths) - 1) - width
    for _ in range(excess):
        at = max(range(len(widths)), key=lambda at: widths[at] if widths[at] > columns[at].least else 0)
        widths[at] -= widths[at] > columns[at].least
    table = rich.table.Table(box=None, pad_edge=False, title=title, title_justify="left", header_style="dim")
    for column, own in zip(columns, widths, strict=True):
        justify = {"justify": "right", "no_wrap": True} if column.is_number else {"overflow": "fold"}
        table.add_column(column.heading, width=own, **justify)
    for cells in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*cells)
    return table
