"""The page of which phones a plan fits: that of a sweep over devices, without and with the memory entitlement."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ondevice_sora.base.units import format_percent
from ondevice_sora.records.ladder import MOST_DOUBT, Ladder, Rung
from ondevice_sora.records.provenance import Provenance
from ondevice_sora.reports.page.sweep import Row, write_sweep

UNDER = {False: "without an entitlement", True: "with the entitlement"}


def write_ladders(ladders: Sequence[Ladder], name: str, path: str | Path, made: Provenance | None = None) -> None:
    """Write the page of these plans on their devices. Raises UserError if it cannot be written."""
    write_sweep([_row(ladder.plan, rung) for ladder in ladders for rung in ladder.rungs], name, path, made)


def _row(plan: str, rung: Rung) -> Row:
    """As a sweep has it: one technique without the entitlement, and one with it."""
    low_s, high_s = rung.interval_s or (None, None)
    risky = f"too risky: with more than {format_percent(MOST_DOUBT)}"
    return {
        "model": plan,
        "technique": UNDER[rung.entitlement],
        "device": rung.device,
        "verdict": rung.verdict or "refused",
        "reason": risky if rung.verdict == "fits" and not rung.fits else rung.problem,
        "limit_bytes": rung.limit_bytes,
        "total_s": rung.total_s,
        "low_s": low_s,
        "high_s": high_s,
        "peak_bytes": rung.peak_bytes,
        "kill_share": rung.kill_share,
    }
