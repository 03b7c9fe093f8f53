"""The answer on a terminal: the verdict first, then where time and memory go, then what to change.

Colour and bold only where a person is looking; in a file or a pipe it is plain text. Narrow terminals get fewer
columns.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TextIO

from ondevice_sora.base.units import format_bytes, format_percent, time_unit
from ondevice_sora.records.metrics import busy_shares
from ondevice_sora.records.result import Result
from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.advice import AdviceRow, advice_rows
from ondevice_sora.reports.memory import ResidentRow, peak_moment, peak_rows, resident_rows, resident_words
from ondevice_sora.reports.rows import (
    LANE_NAMES,
    STARTS,
    ComponentRow,
    bounds_sentence,
    component_rows,
    generation_facts,
    interval_sentence,
    kind_word,
    mark_rows,
    step_dots,
    total_s,
    verdict,
)

if TYPE_CHECKING:
    from ondevice_sora.reports.terminal.console import Console


INDENT = "   "


def print_summary(trace: Trace, file: TextIO | None = None, width: int | None = None) -> None:
    """Write all of the summary to `file` (standard output), as wide as tables are unless `width` is given."""
    print_answer(trace, file, width)
    print_advice(trace, file, width)


def print_answer(trace: Trace, file: TextIO | None = None, width: int | None = None) -> None:
    """The summary without what to change, which takes longer to find out."""
    from rich.text import Text

    from ondevice_sora.reports.terminal.console import table_console

    console = table_console(file, width)
    answer = verdict(trace)
    style = {"ok": "bold green", "care": "bold yellow", "bad": "bold red"}[answer.tone]
    console.print(Text.assemble((answer.word.upper(), style), f" on {trace.device} · {kind_word(trace).lower()}"))
    console.print(Text(f"{trace.plan} · {trace.model}", style="dim"))
    console.print()
    sentences = (answer.sentence, interval_sentence(trace), bounds_sentence(trace), answer.sureness)
    for sentence in filter(None, sentences):
        console.print(Text(sentence))
    for caution in trace.result.cautions if trace.result is not None else ():
        console.print(Text(caution, style="yellow"))
    console.print()
    _print_components(console, trace)
    console.print()
    _print_facts(console, trace)
    _print_memory(console, trace)


def print_advice(trace: Trace, file: TextIO | None = None, width: int | None = None) -> None:
    """What to change, with the lines to paste; why there is no advice, where the app is killed; else nothing."""
    from rich.text import Text

    from ondevice_sora.reports.terminal.console import table_console

    console, rows = table_console(file, width), advice_rows(trace)
    if trace.result is not None and trace.result.no_advice is not None:
        console.print()
        console.print(Text(trace.result.no_advice, style="yellow"))
    if rows:
        console.print()
        console.print(Text("What to change; each was simulated by itself", style="dim"))
    for number, row in enumerate(rows, 1):
        for line in _advice_lines(number, row, console.width):
            console.print(Text(line), no_wrap=True, overflow="ignore", crop=False)


def _advice_lines(number: int, row: AdviceRow, width: int) -> list[str]:
    """A change in lines of this width; what is to be pasted goes on in ways that YAML and shells read."""
    lines = [*_wrapped(f"{number}. {row.title}", width), *_wrapped(f"{INDENT}{row.effect}", width)]
    if row.notes:
        lines += _wrapped(f"{INDENT}({'; '.join(row.notes)})", width)
    for line in row.lines:
        pieces, end = (re.split(" (?=-)", line), " \\") if row.is_command else (re.split("(?<=,) ", line), "")
        first, *others = _filled(pieces, width - 2 * len(INDENT) - len(end))
        parts = [f"{INDENT}{first}", *(f"{2 * INDENT}{part}" for part in others)]
        lines += [*(f"{part}{end}" for part in parts[:-1]), parts[-1]]
    return lines


def _wrapped(line: str, width: int) -> list[str]:
    return textwrap.wrap(line, width, subsequent_indent=INDENT, break_long_words=False, break_on_hyphens=False)


def _filled(pieces: Iterable[str], width: int) -> list[str]:
    """Pieces put together into lines, none of them broken."""
    lines: list[str] = []
    for piece in pieces:
        if lines and len(lines[-1]) + 1 + len(piece) <= width:
            lines[-1] += f" {piece}"
        else:
            lines.append(piece)
    return lines


def _print_components(console: Console, trace: Trace) -> None:
    from ondevice_sora.reports.terminal.table import numbers, print_table, text

    rows = component_rows(trace)
    if len(rows) > 1:
        rows.append(_sum(rows, trace))
    unit = time_unit(max((row.total_s for row in rows), default=0.0))
    columns: dict[str, Callable[[ComponentRow], str]] = {
        f"time, {unit.name}": lambda row: unit.write(row.total_s),
        "run": lambda row: unit.write(row.run_s),
        "stall": lambda row: unit.write(row.stall_s),
        "runs": lambda row: f"{row.num_runs:,}",
        "loads": lambda row: f"{row.num_loads:,}",
        "loaded": lambda row: format_bytes(row.loaded_bytes),
        "peak": lambda row: format_bytes(row.peak_bytes),
    }
    cells = [[row.component, *(write(row) for write in columns.values())] for row in rows]
    print_table(console, [*text("component"), *numbers(*columns)], cells)


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


def _print_facts(console: Console, trace: Trace) -> None:
    from ondevice_sora.reports.terminal.table import print_facts

    result = trace.result
    busy = result.busy_share if result is not None else busy_shares(trace)
    lanes = sorted(busy, key=lambda lane: (lane == "load", -busy[lane]))
    told = ", ".join(f"{LANE_NAMES.get(lane, lane)} {format_percent(busy[lane])}" for lane in lanes)
    told += ", without a limit" if trace.kill is not None and result is not None else ""
    print_facts(
        console,
        [
            *_limit_lines(trace),
            ("busy", told),
            *([] if result is None else _result_lines(trace, result)),
            *[
                ("" if at else "resident", f"{row.component}: {resident_words(row)}")
                for at, row in enumerate(_stays(trace))
            ],
        ],
    )


def _limit_lines(trace: Trace) -> list[tuple[str, str]]:
    result = trace.result
    lines = [("limit", f"{format_bytes(trace.limit_bytes)}" + (f" ({result.limit_source})" if result else ""))]
    if result is not None and result.budget_bytes is not None:
        lines.append(("budget", f"{format_bytes(result.budget_bytes)}, set by the plan"))
    if trace.kill is not None and result is not None:
        over = result.needed_bytes - trace.limit_bytes
        lines.append(("needed", f"{format_bytes(result.needed_bytes)}, {format_bytes(over)} over the limit"))
    return lines


def _result_lines(trace: Trace, result: Result) -> list[tuple[str, str]]:
    dots = step_dots(result)
    lines = [*([("steps", dots)] if dots else []), ("most time", result.bounded_by)]
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


def _stays(trace: Trace) -> list[ResidentRow]:
    """The components of which something can stay or does: others are run through once."""
    return [row for row in resident_rows(trace) if row.size or row.sometimes or row.num_passes > 1]


def _print_memory(console: Console, trace: Trace) -> None:
    """What is in memory at the peak."""
    from rich.text import Text

    from ondevice_sora.reports.terminal.table import numbers, print_table, text

    result, rows = trace.result, peak_rows(trace)
    if result is None or result.peak is None:
        return
    console.print()
    limit = ", were there no limit" if trace.kill is not None else ""
    console.print(Text(f"In memory at the peak{limit}, {peak_moment(result.peak)}", style="dim"))
    cells = [[": ".join(filter(None, (row.component, row.holder))), row.size, row.blocks] for row in rows]
    cells.append(["together", format_bytes(result.peak.bytes), ""])
    what, *others = [*text("what"), *numbers("bytes"), *text("blocks")]
    print_table(console, [what, *others], cells)
