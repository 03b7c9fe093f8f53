"""Tables that lose nothing where they do not fit."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from worlds.terminals import Shown

from ondevice_sora.reports.terminal.console import table_console
from ondevice_sora.reports.terminal.table import numbers, print_table, text

ROWS = [["first", "1.00 s", "ok"], ["second", "12.0 s", "not so good"], ["a section"]]
COLUMNS = [*text("name"), *numbers("time"), *text("remark")]


def printed(shown: Shown, width: int, title: str | None = None) -> str:
    return shown(width, lambda: print_table(table_console(), COLUMNS, ROWS, title))


def test_a_table_that_fits_stands_in_one_part(shown: Shown) -> None:
    assert printed(shown, 40, title="times") == (
        "times\n"
        "name         time  remark\n"
        "first      1.00 s  ok\n"
        "second     12.0 s  not so good\n"
        "a section\n"
    )  # fmt: skip


def test_what_does_not_fit_follows_beneath_with_the_first_column_again(shown: Shown) -> None:
    assert printed(shown, 22) == (
        "name         time\n"
        "first      1.00 s\n"
        "second     12.0 s\n"
        "a section\n"
        "\n"
        "name       remark\n"
        "first      ok\n"
        "second     not so good\n"
        "a section\n"
    )  # fmt: skip


def test_text_folds_before_a_column_moves_beneath(shown: Shown) -> None:
    rows = [["a name of thirty-four characters..", "1.00 s", "a remark that is longer than the rest of the line"]]
    lines = shown(64, lambda: print_table(table_console(), COLUMNS, rows)).splitlines()
    assert lines[1:] == [
        "a name of thirty-four characters..  1.00 s  a remark that is",
        "                                            longer than the rest",
        "                                            of the line",
    ]


def test_a_long_heading_over_numbers_folds(shown: Shown) -> None:
    columns = [*text("plan"), *numbers("a plan with a name longer than any number beneath it")]
    lines = shown(40, lambda: print_table(table_console(), columns, [["total", "1.00 s"]])).splitlines()
    assert [line.strip() for line in lines[:3]] == [
        "a plan with a name",
        "longer than any number",
        "plan               beneath it",
    ]


@pytest.mark.parametrize("width", [60, 80, 120])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(0, 10**9), min_size=9, max_size=9), min_size=1, max_size=4))
def test_every_number_is_whole_at_every_width(shown: Shown, width: int, values: list[list[int]]) -> None:
    columns = [*text("plan"), *numbers(*(f"heading {index}" for index in range(9)))]
    rows = [[f"plan {index}", *(f"{value} MB" for value in row)] for index, row in enumerate(values)]
    words = shown(width, lambda: print_table(table_console(), columns, rows)).split("\n")
    told = [
        [cell for line in words if line.startswith(row[0]) for cell in line.split("  ") if cell.strip()] for row in rows
    ]
    assert [[cell.strip() for cell in cells if cell != row[0]] for cells, row in zip(told, rows, strict=True)] == [
        row[1:] for row in rows
    ]
