"""The table of `validate export`: the worst tensor of every block, and the worst block of all."""

from __future__ import annotations

from collections.abc import Sequence

from ondevice_sora.base.units import format_count
from ondevice_sora.records.checks import ParityRow
from ondevice_sora.reports.terminal.console import table_console
from ondevice_sora.reports.terminal.table import numbers, print_table, text


def print_parity(rows: Sequence[ParityRow]) -> None:
    """Print for every block the tensor that differs most, then the worst block relative to its tolerance."""
    by_block: dict[tuple[str, str], list[ParityRow]] = {}
    for row in rows:
        by_block.setdefault((row.component, row.block), []).append(row)
    worst = [max(found, key=_share) for found in by_block.values()]
    console = table_console()
    columns = [*text("block", "component", "kind", "tensor", ""), *numbers("largest error", "tolerance")]
    cells = [
        [
            row.block,
            row.component,
            row.kind,
            row.tensor,
            "ok" if row.ok else "OVER",
            f"{row.error:.1e}",
            f"{row.tolerance:.0e}",
        ]
        for row in worst
    ]
    print_table(console, columns, cells)
    last = max(worst, key=_share)
    over = sum(not row.ok for row in worst)
    console.print(
        f"{format_count(len(worst), 'block')} compared, {over} over tolerance. Worst: {last.block} of "
        f"{last.component}, error {last.error:.1e} of {last.tolerance:.0e} allowed."
    )


def _share(row: ParityRow) -> float:
    return row.error / row.tolerance
