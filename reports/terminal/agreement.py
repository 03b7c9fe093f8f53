"""The table of `validate host`: each plan predicted and measured, then the errors in all and the checks."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from ondevice_sora.base.units import format_bytes, format_count
from ondevice_sora.records.agreement import Check, PlanRow, percentile
from ondevice_sora.reports.terminal.console import table_console
from ondevice_sora.reports.terminal.table import numbers, print_table, text


def print_agreement(rows: Sequence[PlanRow], found: Sequence[Check]) -> None:
    """Print every row and every check; errors stand beside the spread of the plan's own runs."""
    console = table_console()
    heads = numbers("predicted", "measured", "error", "spread", "inside", "peak", "measured", "error")
    print_table(console, [*text("plan"), *heads, *text("")], [_agreement_cells(row) for row in rows])
    console.print(f"{_legend(rows)} inside: runs within the predicted 90 % interval.")
    for line in distribution(rows):
        console.print(line)
    for check in found:
        console.print(check_line(check))


def print_search(rows: Sequence[PlanRow]) -> None:
    """Print a search's plan beside others, predicted and measured, with the ratio of each to the first."""
    first = rows[0]
    console = table_console()
    heads = numbers("predicted", "ratio", "measured", "ratio", "spread", "peak", "budget")
    print_table(console, [*text("plan"), *heads, *text("")], [_search_cells(row, first) for row in rows])
    console.print(f"ratio: to the first plan; {_legend(rows)}")


def _legend(rows: Sequence[PlanRow]) -> str:
    runs = format_count(len(rows[0].measured_s) if rows else 0, "run")
    return (
        f"measured: median of {runs}; spread: largest deviation of a run from it; peak: what a run adds to its process."
    )


def _agreement_cells(row: PlanRow) -> list[str]:
    memory = row.memory_error
    return [
        row.plan,
        f"{row.predicted_s:.3f} s",
        f"{row.total_s:.3f} s",
        signed(row.time_error),
        f"{row.repeat_spread:.1%}",
        "" if row.interval_s is None else f"{row.num_inside}/{len(row.measured_s)}",
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
        parts.append(f"spread {_three([row.repeat_spread for row in some])}")
        lines.append(f"{model}, {format_count(len(some), 'plan')}, median / 90 % / largest: " + "; ".join(parts))
    return lines


def check_line(check: Check) -> str:
    """'ok    time: median error 2.1 %, at most 5.0 %'."""
    write = "{:.0f}" if check.bound == 0 else "{:.3f}" if check.is_least else "{:.1%}"
    value, bound = write.format(check.value), write.format(check.bound)
    return (
        f"{'ok' if check.ok else 'OVER':5} {check.name} {value}, {'at least' if check.is_least else 'at most'} {bound}"
    )


def remark(row: PlanRow) -> str:
    """What else is wrong with a row."""
    return ", ".join(
        [*([] if row.is_equal else ["another result"]), *([] if row.is_within_budget else ["over its budget"])]
    )


def signed(error: float) -> str:
    return f"{error * 100:+.1f} %"


def _three(values: Sequence[float]) -> str:
    return f"{median(values):.1%} / {percentile(values, 0.9):.1%} / {max(values):.1%}"
