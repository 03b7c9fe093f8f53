"""The answer on a terminal: the verdict first, then where time and memory go, then what to change.

Colour and bold only where a person is looking; in a file or a pipe it is plain text. Narrow terminals get fewer
columns.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from ondevice_sora.base.units import format_bytes, format_percent, format_seconds
from ondevice_sora.records.metrics import busy_shares
from ondevice_sora.records.result import Result
from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.rows import (
    LANE_NAMES,
    STARTS,
    ComponentRow,
    component_rows,
    generation_facts,
    interval_text,
    kind_word,
    mark_rows,
    step_dots,
    total_s,
    verdict,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ondevice_sora.reports.terminal.console import Console

PLAIN_WIDTH = 100
NARROW, NARROWER = 88, 66


def print_summary(trace: Trace, file: TextIO | None = None, width: int | None = None) -> None:
    """Write the summary to `file` (standard output): as wide as COLUMNS or the terminal says, else 100 columns."""
    from ondevice_sora.reports.terminal.console import Console, line_width

    out = file if file is not None else sys.stdout
    # Console asks the environment for colour too; what is not a terminal gets none, whatever FORCE_COLOR says
    terminal = out.isatty()
    wide = line_width(terminal, PLAIN_WIDTH) if width is None else width
    no_color = None if terminal else True
    console = Console(file=out, width=wide, force_terminal=terminal, no_color=no_color, highlight=False, markup=False)
    _write(console, trace)


def _write(console: Console, trace: Trace) -> None:
    from rich.text import Text

    answer = verdict(trace)
    style = "bold red" if answer.is_killed else "bold green"
    headline = Text.assemble((answer.word.upper(), style), f" on {trace.device} · {kind_word(trace).lower()}")
    _print(console, headline)
    _print(console, Text(f"{trace.plan} · {trace.model}", style="dim"))
    console.print()
    _print(console, Text(answer.sentence))
    if interval := interval_text(trace):
        _print(console, Text(f"{interval} under the spread of the costs."))
    if answer.sureness:
        _print(console, Text(answer.sureness))
    for caution in trace.result.cautions if trace.result is not None else ():
        _print(console, Text(caution, style="yellow"))
    console.print()
    _print(console, _component_table(trace, console.width))
    console.print()
    _print(console, _facts(trace))


def _print(console: Console, what: RenderableType) -> None:
    """Print without trailing blanks, which rich pads tables with."""
    if console.is_terminal:
        console.print(what)
        return
    with console.capture() as capture:
        console.print(what)
    console.file.write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))


def _component_table(trace: Trace, width: int) -> RenderableType:
    from rich.table import Table

    rows = component_rows(trace)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    columns: dict[str, Callable[[ComponentRow], str]] = {
        "component": lambda row: row.component,
        "time": lambda row: format_seconds(row.total_s),
        "run": lambda row: format_seconds(row.run_s),
        "stall": lambda row: format_seconds(row.stall_s),
        "runs": lambda row: str(row.num_runs),
        "loads": lambda row: str(row.num_loads),
        "loaded": lambda row: format_bytes(row.loaded_bytes),
        "peak": lambda row: format_bytes(row.peak_bytes),
    }
    if width < NARROW:
        del columns["runs"], columns["loads"]
    if width < NARROWER:
        del columns["loaded"]
        if width < 54:
            del columns["run"]
    for name in columns:
        table.add_column(name, justify="left" if name == "component" else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(write(row) for write in columns.values()))
    if len(rows) > 1:
        table.add_row(*(write(_sum(rows, trace)) for write in columns.values()), style="bold")
    return table


def _sum(rows: list[ComponentRow], trace: Trace) -> ComponentRow:
    name = "total" if trace.kill is None else "without a limit" if trace.result is not None else "until the kill"
    return ComponentRow(
        component=name,
        total_s=sum(row.total_s for row in rows),
        run_s=sum(row.run_s for row in rows),
        stall_s=sum(row.stall_s for row in rows),
        rest_s=sum(row.rest_s for row in rows),
        load_s=sum(row.load_s for row in rows),
        num_runs=sum(row.num_runs for row in rows),
        num_loads=sum(row.num_loads for row in rows),
        loaded_bytes=sum(row.loaded_bytes for row in rows),
        peak_bytes=max(row.peak_bytes for row in rows),
    )


def _facts(trace: Trace) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    result = trace.result
    busy = result.busy_share if result is not None else busy_shares(trace)
    for name, value in _memory_lines(trace):
        grid.add_row(name, Text(value))
    lanes = sorted(busy, key=lambda lane: (lane == "load", -busy[lane]))
    grid.add_row("busy", ", ".join(f"{LANE_NAMES.get(lane, lane)} {format_percent(busy[lane])}" for lane in lanes))
    if result is not None:
        for name, value in _result_lines(trace, result):
            grid.add_row(name, Text(value))
    return grid


def _memory_lines(trace: Trace) -> list[tuple[str, str]]:
    result = trace.result
    lines = [("limit", f"{format_bytes(trace.limit_bytes)}" + (f" ({result.limit_source})" if result else ""))]
    if result is not None and result.budget_bytes is not None:
        lines.append(("budget", f"{format_bytes(result.budget_bytes)}, set by the plan"))
    if trace.kill is not None and result is not None:
        over = result.needed_bytes - trace.limit_bytes
        lines.append(("needed", f"{format_bytes(result.needed_bytes)}, {format_bytes(over)} over the limit"))
    return lines


def _result_lines(trace: Trace, result: Result) -> list[tuple[str, str]]:
    bounds = result.bounds
    dots = step_dots(result)
    lines = [
        *([("steps", dots)] if dots else []),
        ("bounded by", result.bounded_by),
        ("bounds", f"{format_seconds(bounds.lower_s)} at least; {format_seconds(bounds.sequential_s)} without overlap"),
    ]
    if total_s(trace) is not None and len(result.evaluations) > 1:
        shares = ", ".join(f"{count} ({format_percent(share)})" for count, share in result.evaluations.items())
        lines.append(("evaluations", f"{shares}; shown: {result.num_evaluations}"))
    if result.start != "first" and not result.generations:
        lines.append(("start", f"{result.start}: {STARTS.get(result.start, result.start)}"))
    lines += [(fact.name.lower(), f"{fact.value}, {fact.note}") for fact in generation_facts(trace)]
    marks = mark_rows(trace)
    if marks:
        lines.append(("rests on", ", ".join(f"{format_percent(share)} {mark}" for mark, share in marks) + " figures"))
    return lines
