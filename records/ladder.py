"""Which phones a plan fits: the same plan on one device after another, with and without the memory entitlement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ondevice_sora.base.quantities import Bytes, Seconds, Share
from ondevice_sora.base.text import Line
from ondevice_sora.profiles.figures import Mark
from ondevice_sora.records.result import Verdict

MOST_DOUBT = 0.05
"""A plan is said to fit, and is proposed, if the limit lies below its peak with no greater probability."""


def fits_surely(verdict: str | None, kill_share: float | None) -> bool:
    """Whether it fits, and no greater probability of being killed is known than `MOST_DOUBT`."""
    return verdict == "fits" and (kill_share or 0.0) <= MOST_DOUBT


class Rung(msgspec.Struct, frozen=True):
    """One device, under one of its limits.

    verdict      null if the plan cannot be run there at all; `problem` then says why
    total_s      null if the app is killed before the end; unlimited_s is what it would take without a limit
    kill_share   how probable it is that the limit, which is not known exactly, lies below the peak
    interval_s   where the total lies in 90 % of the draws of the costs; null if that was not drawn or is not known
    is_unpriced  the model says nothing of some blocks' operations: times are far too short
    """

    device: Line
    key: Line
    entitlement: bool
    limit_bytes: Bytes
    limit_mark: Mark
    verdict: Verdict | None = None
    total_s: Seconds | None = None
    unlimited_s: Seconds | None = None
    peak_bytes: Bytes | None = None
    kill_share: Share | None = None
    interval_s: tuple[float, float] | None = None
    is_unpriced: bool = False
    problem: Line | None = None

    @property
    def fits(self) -> bool:
        """Whether it fits, and surely enough."""
        return fits_surely(self.verdict, self.kill_share)

    @property
    def word(self) -> str:
        """The verdict as it is told: 'fits', 'too risky', 'killed' or 'cannot run'."""
        if self.verdict is None:
            return "cannot run"
        return self.verdict if self.verdict != "fits" or self.fits else "too risky"


class Ladder(msgspec.Struct, frozen=True):
    """Rungs from the lowest limit to the highest: first those without the entitlement, then those with it.

    notes   what the figures assume, where not everything is known
    """

    plan: Line
    rungs: list[Rung]
    notes: list[Line] = []

    def under(self, entitlement: bool) -> list[Rung]:
        """The rungs without or with the entitlement, from the lowest limit up."""
        return [rung for rung in self.rungs if rung.entitlement == entitlement]

    def smallest(self, entitlement: bool) -> Rung | None:
        """The lowest rung that fits."""
        return next((rung for rung in self.under(entitlement) if rung.fits), None)


def ladder_rows(ladders: Sequence[Ladder]) -> list[dict[str, Any]]:
    """One row a plan, device and limit: the fields of a rung, in bytes and seconds, and whether it fits.

    The interval's ends are low_s and high_s.
    """
    return [_row(ladder.plan, rung) for ladder in ladders for rung in ladder.rungs]


def _row(plan: str, rung: Rung) -> dict[str, Any]:
    row = {"plan": plan, "fits": rung.fits, **msgspec.to_builtins(rung)}
    low_s, high_s = row.pop("interval_s") or (None, None)
    return {**row, "low_s": low_s, "high_s": high_s}
