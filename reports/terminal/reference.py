"""The table of `validate reference`: every reference vector, how far we are from it, and how far is allowed."""

from __future__ import annotations

from collections.abc import Sequence

from ondevice_sora.base.units import format_count
from ondevice_sora.records.checks import CaseResult
from ondevice_sora.reports.terminal.console import table_console
from ondevice_sora.reports.terminal.table import numbers, print_table, text


def print_reference(results: Sequence[CaseResult]) -> None:
    """Print every case, then how many were compared and how many lie over their tolerance."""
    console = table_console()
    columns = [*text("case", "file", "", "note"), *numbers("largest difference", "tolerance")]
    print_table(console, columns, [_cells(result) for result in results])
    compared = [result for result in results if result.max_abs_difference is not None]
    over = sum(not result.ok for result in compared)
    lacking = len(results) - len(compared)
    console.print(f"{format_count(len(compared), 'case')} compared, {over} over tolerance, {lacking} not compared.")


def _cells(result: CaseResult) -> list[str]:
    difference = "" if result.max_abs_difference is None else f"{result.max_abs_difference:.1e}"
    mark = "" if result.max_abs_difference is None else "ok" if result.ok else "OVER"
    return [result.case, result.file, mark, result.note, difference, f"{result.tolerance:.0e}"]
