"""Tables without rules that lose nothing on a narrow terminal.

The first column says what a row is of, and is never cut nor folded; numbers stay whole as well; headings and other text
fold between words. Where not all columns fit, the others follow beneath in further parts, each of which begins with
the first column again. Where the first column leaves too little room for that, each row becomes a list of its own.
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
LEAST_TEXT = 16
"""Characters of a line that text is given at least if it is so long."""
LONGEST_WORD = 32
"""Characters from which on a word of a text folds; the first column's never do."""
LONGEST_HEADING = 24
"""Characters from which on the heading of a column of numbers folds even where there is room."""
MOST_OF_LINE = 2 / 3
"""What the first column may take of a line in a table of several parts."""


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
    sized = [column for at, column in enumerate(sized) if at == 0 or column.widest]  # no marks in a column of marks
    if title is not None:
        console.print(title, style="italic")
    unfolded = [column._replace(least=column.widest) if column.is_number else column for column in sized]
    parts = min((found for one in (unfolded, sized) if (found := _parts(one, console.width))), key=len, default=None)
    if parts is None:
        _print_lists(console, sized)
        return
    for number, part in enumerate(parts):
        if number:
            console.print()
        console.print(_table(part, console.width))


def print_facts(console: Console, facts: Iterable[tuple[str, str]]) -> None:
    """Print pairs of a word and what is said of it, which folds beside the word."""
    table = rich.table.Table.grid(padding=(0, GAP))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for word, said in facts:
        table.add_row(printable(word), printable(said))
    console.print(table)


def _sized(column: Column, cells: list[str], *, is_first: bool) -> _Sized:
    heading, longest = printable(column.heading), max((cell_len(cell) for cell in cells), default=0)
    if column.is_number:
        widest = max([longest, *map(cell_len, textwrap.wrap(heading, max(longest, LONGEST_HEADING)))])
        return _Sized(heading, True, cells, widest, min(widest, max(longest, _longest_word(heading))))
    widest = max(longest, cell_len(heading))
    if is_first:
        widest = max(widest, 1)
        return _Sized(heading, False, cells, widest, widest)
    word = _longest_word(" ".join((heading, *cells)))
    return _Sized(heading, False, cells, widest, min(widest, max(min(word, LONGEST_WORD), LEAST_TEXT)))


def _longest_word(text: str) -> int:
    return max(map(cell_len, text.split()), default=0)


def _parts(columns: list[_Sized], width: int) -> list[list[_Sized]] | None:
    """The columns of each part: the first, and as many of the others as fit beside it; None if that is too few."""
    first, *others = columns
    if sum(column.least + GAP for column in columns) - GAP <= width:
        return [columns]
    room = width - first.least - GAP
    if first.least > width * MOST_OF_LINE or any(column.least > room for column in others if column.is_number):
        return None
    parts = [[first]]
    for column in others:
        column = column._replace(least=min(column.least, room))
        fits = sum(each.least + GAP for each in parts[-1]) + column.least <= width
        if fits or len(parts[-1]) == 1:
            parts[-1].append(column)
        else:
            parts.append([first, column])
    return parts


def _table(columns: list[_Sized], width: int) -> rich.table.Table:
    widths = [column.widest for column in columns]
    excess = sum(widths) + GAP * (len(widths) - 1) - width
    for _ in range(excess):  # headings over numbers fold before text does, the widest first
        spare = [
            (column.is_number, own) if own > column.least else (False, 0)
            for column, own in zip(columns, widths, strict=True)
        ]
        at = max(range(len(widths)), key=spare.__getitem__)
        widths[at] -= spare[at][1] > 0
    table = rich.table.Table(box=None, pad_edge=False, header_style="dim")
    headings = [textwrap.wrap(column.heading, max(own, 1)) for column, own in zip(columns, widths, strict=True)]
    highest = max(map(len, headings))
    for column, own, lines in zip(columns, widths, headings, strict=True):
        heading = "\n".join([*[""] * (highest - len(lines)), *lines])
        justify = {"justify": "right", "no_wrap": True} if column.is_number else {"overflow": "fold"}
        table.add_column(heading, width=own, **justify)
    for cells in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*cells)
    return table


def _print_lists(console: Console, columns: list[_Sized]) -> None:
    """Each row beneath its first cell, a line or more a column; cells that are empty are left out."""
    first, *others = columns
    for at, name in enumerate(first.cells):
        console.print(name.strip() if at else f"{first.heading}: {name.strip()}".removeprefix(": "))
        told = [(column, column.cells[at]) for column in others if column.cells[at]]
        print_facts(console, [(f"  {' '.join(column.heading.split())}", cell) for column, cell in told])
