"""Which phones a plan fits, on a terminal: one line a device, from the lowest limit up. Readable at 80 columns."""

from __future__ import annotations

from ondevice_sora.records.ladder import Ladder
from ondevice_sora.reports.ladder import TITLES, answers, meanings, reasons, table_of
from ondevice_sora.reports.terminal.console import table_console
from ondevice_sora.reports.terminal.table import numbers, print_table, text


def print_ladder(ladder: Ladder) -> None:
    """Print the answer, then the devices without and with the entitlement, then why some cannot run the plan."""
    console = table_console()
    console.print(f"{ladder.plan} · simulated on {len({rung.key for rung in ladder.rungs})} devices")
    for answer in answers(ladder):
        console.print(answer)
    table = table_of(ladder)
    device, limit, verdict = table.words
    heads = [*text(device), *numbers(limit), *text(verdict), *numbers(*table.numbers)]
    for entitlement, title in TITLES.items():
        console.print()
        rows = [_loud(table.cells(rung)) for rung in ladder.under(entitlement)]
        print_table(console, heads, rows, title)
    console.print()
    for line in (*meanings(ladder), *ladder.notes, *reasons(ladder)):
        console.print(line)


def _loud(cells: list[str]) -> list[str]:
    """With a kill in capitals, for want of colour."""
    return [cell.upper() if cell == "killed" else cell for cell in cells]
