"""Which phones a plan fits, on a terminal: one line a device, from the lowest limit up. Readable at 80 columns."""

from __future__ import annotations

from ondevice_sora.records.ladder import Ladder
from ondevice_sora.reports.ladder import TITLES, answers, cells_of, heads_of, meanings, reasons, under
from ondevice_sora.reports.terminal.console import table_console
from ondevice_sora.reports.terminal.table import numbers, print_table, text


def print_ladder(ladder: Ladder) -> None:
    """Print the answer, then the devices without and with the entitlement, then why some cannot run the plan."""
    console = table_console()
    console.print(f"{ladder.plan} · simulated on {len({rung.key for rung in ladder.rungs})} devices")
    for answer in answers(ladder):
        console.print(answer)
    (device, limit, verdict), figures = heads_of(ladder)
    heads = [*text(device), *numbers(limit), *text(verdict), *numbers(*figures)]
    for entitlement, title in TITLES.items():
        console.print()
        print_table(console, heads, [cells_of(ladder, rung) for rung in under(ladder, entitlement)], title)
    console.print()
    for line in (*meanings(ladder), *ladder.notes, *reasons(ladder)):
        console.print(line)
