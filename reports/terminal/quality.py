"""The table of `evaluate`: what was found, every configuration, and the paper's figures."""

from __future__ import annotations

from ondevice_sora.records.quality import Evaluation, published_quality
from ondevice_sora.reports.quality import (
    ANOTHER_MODEL,
    COLUMNS,
    PUBLISHED_HEADINGS,
    findings,
    published_cells,
    sample_text,
    value_text,
)
from ondevice_sora.reports.terminal.console import table_console
from ondevice_sora.reports.terminal.table import numbers, print_table, text


def print_evaluation(results: Evaluation) -> None:
    """Print our table, what it shows in sentences, and the paper's figures."""
    console = table_console()
    console.print(f"{results.plan}: {sample_text(results)}\n")
    columns = [*text("configuration"), *numbers(*(column.heading for column in COLUMNS))]
    rows = [[row.title, *(value_text(column.value(row), column.write) for column in COLUMNS)] for row in results.rows]
    print_table(console, columns, rows)
    console.print()
    for sentence in findings(results):
        console.print(f"- {sentence}")
    published = published_quality()
    console.print(f"\n{published.source}, {published.model} ({ANOTHER_MODEL}, other prompts):")
    rows = [[each.name, each.place, *published_cells(each, results)] for each in published.techniques]
    print_table(console, [*text("technique", "place"), *numbers(*PUBLISHED_HEADINGS)], rows)
