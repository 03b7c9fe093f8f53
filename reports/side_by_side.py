"""Several traces on a terminal: one column each, with the difference from the first."""

from __future__ import annotations

import sys

from profiles.trace import Trace
from reports.compare import compare_rows


def print_side_by_side(traces: list[Trace]) -> None:
    """Print the comparison that the page shows, plain where nobody is looking."""
    from rich.console import Console
    from rich.table import Table

    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal else 40 + 30 * len(traces), no_color=not terminal, highlight=False)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    for trace in traces:
        table.add_column(trace.plan, justify="right", overflow="fold")
    section = ""
    for row in compare_rows(traces):
        if row.section != section:
            section = row.section
            table.add_row(f"[dim]{section}[/dim]")
        cells = [f"{cell.value}  {cell.difference}".rstrip() for cell in row.cells]
        table.add_row(f"  {row.name}" if section else row.name, *cells)
    console.print(table)
