"""Several traces on a terminal: one column each, with the difference from the first."""

from __future__ import annotations

from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.compare import compare_rows
from ondevice_sora.reports.headline import headline
from ondevice_sora.reports.rows import labels
from ondevice_sora.reports.terminal.console import table_console
from ondevice_sora.reports.terminal.table import numbers, print_table, text


def print_side_by_side(traces: list[Trace]) -> None:
    """Print the headline and the comparison that the page shows, then what must be known before believing them; plain
    text where there is no terminal.
    """
    names = labels(traces)
    rows: list[list[str]] = []
    section = ""
    for row in compare_rows(traces):
        if row.section != section:
            section = row.section
            rows.append([section])
        cells = (f"{cell.value}  {cell.difference}".rstrip() for cell in row.cells)
        rows.append([f"  {row.name}" if section else row.name, *cells])
    console = table_console()
    words, sentence = headline(traces, names)
    console.print(f"{words}. {sentence}")
    console.print()
    print_table(console, [*text(""), *numbers(*names)], rows)
    told = {name: trace.result.cautions for name, trace in zip(names, traces, strict=True) if trace.result}
    for caution in dict.fromkeys(caution for cautions in told.values() for caution in cautions):
        whose = [name for name, cautions in told.items() if caution in cautions]
        console.print()
        console.print(caution if len(whose) == len(traces) else f"{', '.join(whose)}: {caution}")
