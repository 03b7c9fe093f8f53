"""How many bytes a search may plan with, and where that number comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.units import format_bytes, format_percent
from ondevice_sora.simulator.limit import DOUBT, budget_within, usual_budget
from ondevice_sora.simulator.prepare import Setting

NEAR = 0.02
"""Budgets that are nearer to each other, relative to the limit, are not shown beside each other."""


class Budget(NamedTuple):
    """Bytes that a plan may use, and who says so."""

    num_bytes: int
    source: str


def budget_for(
    settings: Sequence[Setting], memory: int | None, risk: float | None, most_doubt: float | None = None
) -> Budget:
    """The bytes that a plan may use on every device, and where they come from. Raises UserError beyond a limit.

    No more than what is above a limit with a probability of `most_doubt`, if that is given.
    """
    budget = _budget_asked_for(settings, memory, risk)
    if most_doubt is None:
        return budget
    held = min(budget_within(setting, most_doubt) for setting in settings)
    if held >= budget.num_bytes:
        return budget
    doubt = f"what is above the limit in {format_percent(most_doubt)} of draws"
    return Budget(held, f"of {format_bytes(budget.num_bytes)}, {budget.source}, {doubt}")


def _budget_asked_for(settings: Sequence[Setting], memory: int | None, risk: float | None) -> Budget:
    tightest = min(settings, key=lambda setting: setting.limit_bytes)
    if memory is not None:
        if memory > tightest.limit_bytes:
            raise UserError(
                f"{format_bytes(memory)} is above the limit of {format_bytes(tightest.limit_bytes)} on "
                f"{tightest.device.name}: iOS would end the app",
                "--budget",
                f"Allow {format_bytes(tightest.limit_bytes)} or less, or add --entitlement for an app that has it.",
            )
        return Budget(memory, "given with --budget")
    if risk is None:
        budget = min(map(usual_budget, settings))
        certainty = f"{format_percent(1 - DOUBT)} certainty"
        return Budget(budget, f"below the limit of {format_bytes(tightest.limit_bytes)} with {certainty}")
    budget = min(budget_within(setting, 1.0 - risk) for setting in settings)
    return Budget(budget, f"below the limit with {format_percent(risk)} certainty, as asked with --risk")


def other_budget(settings: Sequence[Setting], budget: int) -> int | None:
    """What to show beside a budget: the whole limit beside a safe one, a safe one beside one that is not."""
    limit, usual = min(setting.limit_bytes for setting in settings), min(map(usual_budget, settings))
    other = usual if budget > usual * (1 + NEAR) else limit
    return other if abs(other - budget) > NEAR * limit else None
