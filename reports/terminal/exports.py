"""The table of `export`: one line a component."""

from __future__ import annotations

from collections.abc import Sequence

from ondevice_sora.base.units import format_bytes, format_count
from ondevice_sora.records.exports import ExportedPart
from ondevice_sora.reports.terminal.console import table_console
from ondevice_sora.reports.terminal.table import numbers, print_table, text


def print_export(parts: Sequence[ExportedPart], num_made: int, num_blocks: int) -> None:
    """Print a row for each component, then how many blocks were made in this run, and kept from one before."""
    rows = [[part.component, str(part.num_packages), format_bytes(part.num_bytes), part.stored] for part in parts]
    console = table_console()
    print_table(console, [*text("component"), *numbers("packages", "size"), *text("stored as")], rows)
    kept = f", {num_blocks - num_made} kept from before" if num_made < num_blocks else ""
    console.print(f"{format_count(num_made, 'block')} made{kept}")
