"""The table of `validate reference`: every reference vector, how far we are from it, and how far is allowed."""

from __future__ import annotations

from collections.abc import Sequence

from ondevice_sora.records.checks import CaseResult
from ondevice_sora.reports.terminal.console import plain_table, table_console


def print_reference(results: Sequence[CaseResult]) -> None:
    """Print every case, then how many were compared and how many lie over their tolerance."""
    console = table_console()
    table = plain_table(("file", "case", "", "note"), ("largest difference", "tolerance"))
    for result in results:
        difference = "" if result.max_abs_difference is None else f"{result.max_abs_difference:.1e}"
        mark = "" if result.max_abs_difference is None else "ok" if result.ok else "OVER"
        table.add_row(result.file, result.case, mark, result.note, difference, f"{result.tolerance:.0e}")
    console.print(table)
    compared = [result for result in results if result.max_abs_difference is not None]
    over = sum(not result.ok for result in compared)
    lacking = len(results) - len(compared)
    console.print(f"{len(compared)} cases compared, {over} over tolerance, {lacking} not compared.")
