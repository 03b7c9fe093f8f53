"""Several traces on a terminal: one column each, with the difference from the first."""

from __future__ import annotations

from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.compare import compare_rows
from ondevice_sora.reports.terminal.console import plain_table, table_console


def print_side_by_side(traces: list[Trace]) -> None:
    """Print the comparison that the page shows, plain where nobody is looking."""
    table = plain_table(("",))
    for trace in traces:
        table.add_column(trace.plan, justify="right", overflow="fold")
    section = ""
    for row in compare_rows(traces):
        if row.section != section:
            section = row.section
            table.add_row(section)
        cells = [f"{cell.value}  {cell.difference}".rstrip() for cell in row.cells]
        table.add_row(f"  {row.name}" if section else row.name, *cells)
    table_console(20 + 36 * len(traces)).print(table)
