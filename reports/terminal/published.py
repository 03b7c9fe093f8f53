"""The table of `validate published`: published, simulated, error, role."""

from __future__ import annotations

from collections.abc import Sequence

from ondevice_sora.base.units import format_bytes, format_count
from ondevice_sora.records.checks import PublishedRow
from ondevice_sora.reports.terminal.console import table_console
from ondevice_sora.reports.terminal.table import numbers, print_table, text


def print_published(rows: Sequence[PublishedRow], title: str, source: str) -> None:
    """Print every row, then mean and worst error of the calibration and held-out figures."""
    console = table_console()
    columns = [*text("case", "quantity", "place", "role"), *numbers("published", "simulated", "error")]
    cells = [
        [
            row.case,
            row.quantity,
            row.place,
            row.role.replace("_", " "),
            _shown(row.published, row.quantity),
            _shown(row.simulated, row.quantity),
            f"{row.error * 100:+.1f} %",
        ]
        for row in rows
    ]
    print_table(console, columns, cells, f"{source}: {title}")
    for role in ("calibration", "held_out"):
        errors = [abs(row.error) for row in rows if row.role == role]
        if errors:
            mean, worst = sum(errors) / len(errors) * 100, max(errors) * 100
            name = role.replace("_", " ")
            console.print(
                f"{name}: {format_count(len(errors), 'figure')}, mean error {mean:.2f} %, worst {worst:.2f} %"
            )


def _shown(value: float, quantity: str) -> str:
    return format_bytes(value) if quantity == "peak_bytes" else f"{value:.2f} s"
