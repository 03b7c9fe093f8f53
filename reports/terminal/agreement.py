"""The table of `validate host`: each plan predicted and measured, then how errors are distributed and what is asked."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from ondevice_sora.base.units import format_bytes
from ondevice_sora.records.agreement import Check, PlanRow, percentile
from ondevice_sora.reports.terminal.console import table_console
from ondevice_sora.reports.terminal.table import numbers, print_table, text

WIDTH = 170


def print_agreement(rows: Sequence[PlanRow], found: Sequence[Check]) -> None:
    """Print every row and every check; errors beside how far the plan's own runs lie apart."""
    console = table_console(WIDTH)
    heads = numbers("predicted", "measured", "error", "runs apart", "peak", "measured", "error")
    print_table(console, [*text("plan"), *heads, *text("")], [_agreement_cells(row) for row in rows])
    runs = len(rows[0].measured_s) if rows else 0
    console.print(
        f"measured: median of {runs} processes; runs apart: the farthest of them from it; peak: what the run adds to "
        "its process."
    )
    for line in distribution(rows):
        console.print(line)
    for check in found:
        console.print(check_line(check))


def print_search(rows: Sequence[PlanRow]) -> None:
    """Print a search's plan beside others, each as a ratio to the first: predicted and measured."""
    first = rows[0]
    console = table_console(WIDTH)
    heads = numbers("predicted", "to the first", "measured", "to the first", "runs apart", "peak", "budget")
    print_table(console, [*text("plan"), *heads, *text("")], [_search_cells(row, first) for row in rows])
    console.print(f"measured: median of {len(first.measured_s)} processes; peak: what a run adds to its process.")


def _agreement_cells(row: PlanRow) -> list[str]:
    memory = row.memory_error
    return [
        row.plan,
        f"{row.predicted_s:.3f} s",
        f"{row.total_s:.3f} s",
        signed(row.time_error),
        f"{row.repeat_spread:.1%}",
        format_bytes(row.predicted_bytes),
        "unknown" if row.measured_bytes is None else format_bytes(row.measured_bytes),
        "" if memory is None else signed(memory),
        remark(row),
    ]


def _search_cells(row: PlanRow, first: PlanRow) -> list[str]:
    return [
        row.plan,
        f"{row.predicted_s:.3f} s",
        f"{row.predicted_s / first.predicted_s:.3f}",
        f"{row.total_s:.3f} s",
        f"{row.total_s / first.total_s:.3f}",
        f"{row.repeat_spread:.1%}",
        "unknown" if row.measured_bytes is None else format_bytes(row.measured_bytes),
        "none" if row.budget_bytes is None else format_bytes(row.budget_bytes),
        remark(row),
    ]


def distribution(rows: Sequence[PlanRow]) -> list[str]:
    """Median, 90th percentile and largest absolute error of all plans and of each model's."""
    lines = []
    models = list(dict.fromkeys(row.model for row in rows))
    for model in ["all", *models] if len(models) > 1 else ["all"]:
        some = [row for row in rows if model in ("all", row.model)]
        times = [abs(row.time_error) for row in some]
        memory = [abs(row.memory_error) for row in some if row.memory_error is not None]
        parts = [f"time {_three(times)}"]
        parts += [f"memory {_three(memory)}"] if memory else []
        parts.append(f"runs apart {_three([row.repeat_spread for row in some])}")
        lines.append(f"{model}, {len(some)} plans, median / 90 % / largest: " + "; ".join(parts))
    return lines


def check_line(check: Check) -> str:
    """'ok    time: median error 2.1 %, at most 5.0 %'."""
    is_count = check.bound == 0
    shown = [f"{value:.0f}" if is_count else f"{value:.3f}" if check.is_least else f"{value:.1%}"
             for value in (check.value, check.bound)]  # fmt: skip
    return f"{'ok' if check.ok else 'OVER':5} {check.name} {shown[0]}, {'at least' if check.is_least else 'at most'} {shown[1]}"  # noqa: E501


def remark(row: PlanRow) -> str:
    """What is wrong with a row beside its errors."""
    return ", ".join(
        [*([] if row.is_equal else ["other bits"]), *([] if row.is_within_budget else ["over its budget"])]
    )


def signed(error: float) -> str:
    return f"{error * 100:+.1f} %"


def _three(values: Sequence[float]) -> str:
    return f"{median(values):.1%} / {percentile(values, 0.9):.1%} / {max(values):.1%}"
