"""Tables that lose nothing where they do not fit, and consoles that are as wide as they are told."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from worlds.terminals import Shown, written

from ondevice_sora.reports.terminal.console import LEAST_WIDTH, PIPE_WIDTH, TERMINAL_WIDTH, table_console
from ondevice_sora.reports.terminal.table import Column, numbers, print_facts, print_table, text

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


def test_where_the_first_column_leaves_too_little_room_each_row_is_a_list(shown: Shown) -> None:
    rows = [["a name of thirty-four characters..", "1.00 s", "a remark that folds"], ["a section"]]
    assert shown(40, lambda: print_table(table_console(), COLUMNS, rows)) == (
        "name: a name of thirty-four characters..\n"
        "  time    1.00 s\n"
        "  remark  a remark that folds\n"
        "a section\n"
    )  # fmt: skip


def test_a_column_without_heading_may_be_empty_where_the_table_is_too_wide(shown: Shown) -> None:
    columns = [*text("plan"), *numbers("predicted", "measured"), *text("")]
    rows = [["a name of thirty-four characters..", "4.009 s", "2.757 s", ""]]
    for width in (50, 56, 84):
        out = shown(width, lambda: print_table(table_console(), columns, rows))
        assert "4.009 s" in out and "2.757 s" in out


def test_facts_fold_beside_their_word(shown: Shown) -> None:
    facts = [("limit", "3.30 GB (published for every version of the system)"), ("budget", "none")]
    assert shown(40, lambda: print_facts(table_console(), facts)) == (
        "limit   3.30 GB (published for every\n"
        "        version of the system)\n"
        "budget  none\n"
    )  # fmt: skip


WORDS = st.text("abcdefgh_.0123456789", min_size=1, max_size=12)
KEYS = st.lists(WORDS, min_size=1, max_size=4).map(" ".join)
REMARKS = st.just("") | st.lists(WORDS, max_size=20).map(" ".join)
FIGURES = st.builds(
    "{} {}".format, st.integers(-(10**12), 10**12), st.sampled_from(["s", "MB", "min 03 s", "%", "GB/s"])
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Column], list[list[str]]]:
    """A first column of text, then numbers and remarks in any order."""
    are_numbers = draw(st.lists(st.booleans(), min_size=1, max_size=10))
    columns = [Column("key", False), *(Column(draw(KEYS | st.just("")), each) for each in are_numbers)]
    cells = st.tuples(KEYS, *(FIGURES if each else REMARKS for each in are_numbers)).map(list)
    return columns, draw(st.lists(cells, min_size=1, max_size=4))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.integers(60, 200), tables())
def test_first_column_and_numbers_are_whole_and_no_line_is_too_long(
    shown: Shown, width: int, table: tuple[list[Column], list[list[str]]]
) -> None:
    columns, rows = table
    lines = shown(width, lambda: print_table(table_console(), columns, rows)).splitlines()
    shows = dict.fromkeys((row[0] for row in rows), 0)
    for line in lines:
        for key in shows:
            shows[key] += line == key or line.startswith((f"{key}  ", f"key: {key}"))
    assert all(shows.values())
    for row in rows:
        for column, cell in zip(columns, row, strict=True):
            assert not column.is_number or any(cell in line for line in lines)
            assert all(word in " ".join(lines) for word in cell.split())


@pytest.mark.parametrize(("is_terminal", "columns", "width"), [
    (False, None, PIPE_WIDTH), (False, "90", 90), (True, "90", 90), (True, "0", TERMINAL_WIDTH), (True, "many", 80),
    (False, "1", LEAST_WIDTH),
])  # fmt: skip
def test_a_console_is_as_wide_as_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, columns: str | None, width: int
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr("os.get_terminal_size", lambda *of: (_ for _ in ()).throw(OSError))
    monkeypatch.setattr("sys.stdout.isatty", lambda: is_terminal)
    assert table_console().width == width


def test_colours_are_for_terminals_and_not_with_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    def red() -> None:
        table_console().print("red", style="bold red")

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[1;31m" in written(monkeypatch, "stdout", red)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "31m" not in written(monkeypatch, "stdout", red)


def test_a_file_has_no_colours_whatever_the_environment_asks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    table_console().print("red", style="bold red")
    assert capsys.readouterr().out == "red\n"


@pytest.mark.parametrize("width", [60, 80, 120])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
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
