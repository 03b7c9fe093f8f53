"""What to change, as plain rows: the terminal and the page both read these."""

from __future__ import annotations

from typing import NamedTuple

from ondevice_sora.base.units import format_bytes, format_percent, format_probability, format_seconds
from ondevice_sora.records.advice import Advice
from ondevice_sora.records.trace import Trace

NOTHING = 5e-4
"""Relative: what a change saves or costs less than is called nothing."""


class AdviceRow(NamedTuple):
    """A change: what to do, what it brings, the lines to write in the plan or the command to run, and notes."""

    title: str
    effect: str
    lines: list[str]
    is_command: bool
    notes: list[str]


def advice_rows(trace: Trace) -> list[AdviceRow]:
    """All advice, what saves most first; none of a measurement."""
    result = trace.result
    return [] if result is None else [_row(one, result.unlimited_s) for one in result.advice]


def _row(one: Advice, total_s: float) -> AdviceRow:
    size, share = format_seconds(abs(one.saved_s)), abs(one.saved_s) / total_s if total_s > 0 else 0.0
    if share < NOTHING:
        word = "as fast"
    else:
        word = f"{size} ({format_percent(share)}) {'faster' if one.saved_s > 0 else 'slower'}"
    risk = f", risk {format_probability(one.kill_share)}"
    effect = f"{word}: {format_seconds(one.total_s)}, peak {format_bytes(one.peak_bytes)}{risk}"
    lines = one.keys if one.command is None else [one.command]
    return AdviceRow(one.title, effect, lines, one.command is not None, [*filter(None, (one.reason, one.quality))])
