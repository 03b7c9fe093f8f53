"""The tables of `weights check` and of `weights get`."""

from __future__ import annotations

from collections.abc import Sequence

from ondevice_sora.base.units import format_bytes, format_count
from ondevice_sora.records.weights import FetchedPart, PartReport, WeightsReport
from ondevice_sora.reports.terminal.console import table_console
from ondevice_sora.reports.terminal.table import numbers, print_table, text

COMMIT = 12
"""Letters of a commit that tell it apart."""


def print_weights(report: WeightsReport) -> None:
    """Print a row for each part, and the total."""
    console = table_console()
    columns = [*text("part", "state"), *numbers("files", "size", "tensors"), *text("type", "sizes")]
    rows = [_row(part) for part in report.parts]
    files = sum(len(part.file_bytes) for part in report.parts)
    print_table(console, columns, [*rows, ["all", "", str(files), format_bytes(report.num_bytes)]])
    for note in report.notes:
        console.print(f"note: {note}")
    if not report.problems:
        parameters = sum(part.num_parameters or 0 for part in report.parts)
        console.print(f"complete for the model '{report.model}': {format_count(parameters, 'parameter')}")


def print_fetched(parts: Sequence[FetchedPart]) -> None:
    """Print a row for each part that has been fetched."""
    rows = [
        [part.name, str(part.num_files), format_bytes(part.num_bytes), f"{part.repository} at {part.commit[:COMMIT]}"]
        for part in parts
    ]
    print_table(table_console(), [*text("part"), *numbers("files", "size"), *text("from")], rows)


def _row(part: PartReport) -> Sequence[str]:
    tensors = "–" if part.num_tensors is None else f"{part.num_tensors:,}"
    return [
        part.name.replace("_", " "), part.state, str(len(part.file_bytes)), format_bytes(part.num_bytes),
        tensors if part.name != "tokenizer" else "", ", ".join(part.types), part.sizes,
    ]  # fmt: skip
