"""The table of `export`: one line a component."""

from __future__ import annotations

from collections.abc import Sequence

from ondevice_sora.base.units import format_bytes
from ondevice_sora.records.exports import ExportedPart
from ondevice_sora.reports.terminal.console import table_console
from ondevice_sora.reports.terminal.table import numbers, print_table, text


def print_export(parts: Sequence[ExportedPart], num_made: int, num_blocks: int) -> None:
    """Print a row for each component, and how many of the blocks were made in this run."""
    rows = [[part.component, str(part.num_packages), format_bytes(part.num_bytes), part.stored] for part in parts]
    console = table_console()
    print_table(console, [*text("component"), *numbers("packages", "size"), *text("stored as")], rows)
    console.print(f"{num_made} of {num_blocks} blocks made, the others were there")
