"""The table of `validate published`: published, simulated, error, role or interval; and what techniques save."""

from __future__ import annotations

from collections.abc import Sequence

from ondevice_sora.base.units import format_bytes, format_change, format_count
from ondevice_sora.records.checks import GainRow, PublishedRow
from ondevice_sora.reports.terminal.console import table_console
from ondevice_sora.reports.terminal.table import numbers, print_table, text


def print_published(rows: Sequence[PublishedRow], title: str, source: str, gains: Sequence[GainRow] = ()) -> None:
    """Print every row, then mean and worst error of the calibration and held-out figures, and how many were foreseen.

    Rows with intervals are printed with those instead of the place in the source.
    """
    console = table_console()
    with_intervals = any(row.interval is not None for row in rows)
    is_left_out = any(row.left_out for row in rows)
    columns = [*text(*(["left out"] if is_left_out else []), "case", "quantity")]
    columns += numbers("published", "simulated", "error")
    columns += [*numbers("90 % interval"), *text("")] if with_intervals else text("place")
    columns += text("role")
    cells = [
        [
            *([row.left_out] if is_left_out else []),
            row.case,
            row.quantity,
            _shown(row.published, row.quantity),
            _shown(row.simulated, row.quantity),
            format_change(row.error, _percent),
            *(_interval(row) if with_intervals else [row.place]),
            row.role.replace("_", " "),
        ]
        for row in rows
    ]
    print_table(console, columns, cells, f"{source}: {title}")
    for role in ("calibration", "held_out"):
        own = [row for row in rows if row.role == role]
        if own:
            errors = [abs(row.error) for row in own]
            mean, worst = sum(errors) / len(errors) * 100, max(errors) * 100
            found = [row.is_inside for row in own if row.interval is not None]
            inside = f", {sum(found)} of {len(found)} in the 90 % interval" if found else ""
            console.print(
                f"{role.replace('_', ' ')}: {format_count(len(errors), 'figure')}, mean error {mean:.2f} %, "
                f"worst {worst:.2f} %{inside}"
            )
    if gains:
        _print_gains(gains)


def _print_gains(gains: Sequence[GainRow]) -> None:
    columns = [*text("technique", "shown by"), *numbers("saves", "predicted", "error", "90 % interval")]
    cells = [
        [
            gain.technique,
            gain.case,
            f"{gain.published:.1f} s",
            f"{gain.simulated:.1f} s",
            format_change(gain.error, lambda share: f"{share * 100:.0f} %"),
            f"{gain.interval[0]:.1f} to {gain.interval[1]:.1f} s",
        ]
        for gain in gains
    ]
    print_table(
        table_console(), columns, cells, "what a technique saves, by a fit that has not seen the run that shows it"
    )


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _interval(row: PublishedRow) -> list[str]:
    if row.interval is None:
        return ["", ""]
    low, high = row.interval
    told = (
        f"{format_bytes(low)} to {format_bytes(high)}" if row.quantity == "peak_bytes" else f"{low:.2f} to {high:.2f} s"
    )
    return [told, "" if row.is_inside else "outside"]


def _shown(value: float, quantity: str) -> str:
    return format_bytes(value) if quantity == "peak_bytes" else f"{value:.2f} s"
