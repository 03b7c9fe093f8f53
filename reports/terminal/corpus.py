"""The tables of `validate published` for a corpus: every row, then what they come to by processor and quantity."""

from __future__ import annotations

from collections import Counter

from ondevice_sora.base.units import format_bytes, format_count, format_percent, format_seconds
from ondevice_sora.records.checks import CorpusReport, CorpusRow
from ondevice_sora.reports.rows import LANE_NAMES
from ondevice_sora.reports.terminal.console import table_console
from ondevice_sora.reports.terminal.table import numbers, print_table, text


def print_corpus(report: CorpusReport, source: str) -> None:
    """Print the rows, the classes, and how many rows were skipped for which reason."""
    console = table_console()
    columns = [
        *text("id", "model", "device", "runs on", "quantity"),
        *numbers("published", "predicted", "ratio"),
        *text("90 % interval", "used"),
    ]
    print_table(console, columns, [_cells(row) for row in report.rows], f"{source}: published against predicted")
    console.print()
    columns = [
        *text("runs on", "quantity", "rows"),
        *numbers("count", "median error", "inside 90 %", "within a factor of 3", "rank correlation"),
    ]
    cells = [
        [
            LANE_NAMES[each.processor],
            each.quantity,
            each.which,
            str(each.num_rows),
            format_percent(each.median_error),
            format_percent(each.coverage),
            format_percent(each.within_factor_3),
            "" if each.rank_correlation is None else f"{each.rank_correlation:.2f}",
        ]
        for each in report.classes
    ]
    print_table(console, columns, cells, "by processor and quantity")
    unknown = sum(not row.is_known for row in report.rows)
    if unknown:
        console.print(f"First loads on the Neural Engine are not known, and simulations say so: {unknown} rows.")
    for reason, count in Counter(skipped.reason for skipped in report.skipped).most_common():
        console.print(f"skipped {format_count(count, 'row')}: {reason}")


def _cells(row: CorpusRow) -> list[str]:
    write = format_bytes if row.quantity == "memory" else format_seconds
    inside = "inside" if row.is_inside else "outside"
    return [
        row.id,
        row.model,
        row.device,
        LANE_NAMES[row.processor],
        row.quantity,
        write(row.published),
        write(row.predicted),
        f"{row.ratio:.2f}",
        f"{inside}: {write(row.low)} to {write(row.high)}" + ("" if row.is_known else ", not known"),
        "fitted" if row.is_fitted else "checked",
    ]
