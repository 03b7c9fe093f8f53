"""What a page says of why a plan takes as long as it does: what each change is worth, and what the total depends on."""

from __future__ import annotations

from statistics import median
from typing import Any, NamedTuple

from ondevice_sora.base.units import TimeUnit, format_change, format_percent, format_seconds, time_unit
from ondevice_sora.profiles.figures import Mark
from ondevice_sora.records.search import PlanReport, Sensitivity
from ondevice_sora.reports.figure_names import figure_words
from ondevice_sora.reports.search import Change, change_of, flip_lines, saved_text

SHOWN_FIGURES = 12
MINUTE_S = 60.0
NEGLIGIBLE = 1e-3
"""An effect on the total below this share of it is not shown."""


class ExplanationView(NamedTuple):
    """`changes` are rows by group, their savings in `unit`; `marks` are those of the figures that are drawn."""

    unit: str
    changes: dict[str, list[Change]]
    flips: list[str]
    marks: list[Mark]


def explanation_view(report: PlanReport) -> ExplanationView:
    marks = list(dict.fromkeys(row.mark for row in shown_figures(report)))
    reasons = report.explanation.reasons
    unit = _unit([abs(reason.saved_s) for reason in reasons if reason.saved_s is not None])
    groups: dict[str, list[Change]] = {}
    for reason in reasons:
        saves = "" if reason.saved_s is None else format_change(reason.saved_s, unit.write)
        groups.setdefault(reason.group, []).append(change_of(reason)._replace(saves=saves))
    return ExplanationView(unit.name, groups, flip_lines(report.explanation), marks)


def _unit(sizes: list[float]) -> TimeUnit:
    """That of the largest; seconds where most are below a minute, which 0:00.5 says badly."""
    largest = max(sizes, default=0.0)
    return time_unit(min(largest, MINUTE_S) if largest > MINUTE_S > median(sizes) else largest)


def shown_figures(report: PlanReport) -> list[Sensitivity]:
    """The figures of the costs with which the total changes most, largest first."""
    least = NEGLIGIBLE * report.explanation.total_s
    return [row for row in report.sensitivities if abs(row.high_s - row.low_s) >= least][:SHOWN_FIGURES]


def tornado(report: PlanReport) -> dict[str, Any] | None:
    """How the total changes with one figure of the costs at the ends of its spread; largest effects first."""
    total = report.explanation.total_s
    rows = []
    for row in shown_figures(report):
        low, high = sorted((row.low_s - total, row.high_s - total))
        low, high = min(low, 0.0), max(high, 0.0)
        told = f"{saved_text(low)} to {saved_text(high)}"
        note = f"{row.mark}, \N{PLUS-MINUS SIGN}{format_percent(row.spread)}: {told}"
        name = figure_words(row.figure)
        rows.append({"name": name, "mark": row.mark, "low": low, "high": high, "told": told, "note": note})
    return {"rows": rows, "across": f"seconds from {format_seconds(total)}"} if rows else None
