"""Which phones a plan fits, on a terminal: one line a device, from the lowest limit up. Readable at 80 columns."""

from __future__ import annotations

from ondevice_sora.base.units import format_bytes, format_percent, format_seconds
from ondevice_sora.records.ladder import MOST_DOUBT, Ladder, Rung
from ondevice_sora.reports.terminal.console import table_console
from ondevice_sora.reports.terminal.table import numbers, print_table, text

HEADS = [*text("device"), *numbers("limit"), *text("verdict"), *numbers("time", "peak", "risk")]
TITLES = {False: "without an entitlement", True: "with the increased-memory entitlement"}


def print_ladder(ladder: Ladder) -> None:
    """Print the answer, then the devices without and with the entitlement, then why some cannot run the plan."""
    console = table_console()
    console.print(f"{ladder.plan} · simulated on {len({rung.key for rung in ladder.rungs})} devices")
    for entitlement, title in TITLES.items():
        console.print(f"smallest phone that fits {title}: {_told(ladder.smallest(entitlement))}")
    for entitlement, title in TITLES.items():
        console.print()
        print_table(
            console, HEADS, [_cells(rung) for rung in ladder.rungs if rung.entitlement == entitlement], title
        )  # fmt: skip
    console.print()
    console.print(
        "risk: how probable it is that the limit, which is not known exactly, lies below the peak. "
        f"Fits here means with at most {format_percent(MOST_DOUBT)}. In brackets: if there were no limit."
    )
    for note in ladder.notes:
        console.print(note)
    for problem in dict.fromkeys(rung.problem for rung in ladder.rungs if rung.problem):
        names = dict.fromkeys(rung.device for rung in ladder.rungs if rung.problem == problem)
        console.print(f"{', '.join(names)}: {problem}")


def _told(rung: Rung | None) -> str:
    if rung is None or rung.total_s is None:
        return "none of these"
    time = format_seconds(rung.total_s)
    return (
        f"{rung.device}; its time is not known, much longer than {time}"
        if rung.is_unpriced
        else f"{rung.device}, {time}"
    )


def _cells(rung: Rung) -> list[str]:
    limit = format_bytes(rung.limit_bytes)
    if rung.verdict is None or rung.unlimited_s is None or rung.peak_bytes is None or rung.kill_share is None:
        return [rung.device, limit, "cannot run"]
    time = f"{'over ' if rung.is_unpriced else ''}{format_seconds(rung.unlimited_s)}"
    verdict = "KILLED" if rung.verdict == "killed" else "fits" if rung.fits else "too risky"
    shown = time if rung.total_s is not None else f"({time})"
    return [rung.device, limit, verdict, shown, format_bytes(rung.peak_bytes), format_percent(rung.kill_share)]
