"""A search as a user asks for it, with the command or from Python: what is wanted, and the answer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.plan_file import LoadedPlan
from ondevice_sora.plans.step_file import read_steps, shipped_steps
from ondevice_sora.profiles.blocks import ComputeUnits
from ondevice_sora.profiles.models.model import Branches, Precision
from ondevice_sora.records.ladder import MOST_DOUBT
from ondevice_sora.records.search import (
    DEFAULT_SECONDS,
    LEAST_CERTAIN,
    MOST_CERTAIN,
    Planning,
    RefusedVariant,
    VariantPoint,
)
from ondevice_sora.simulator.prepare import Setting
from ondevice_sora.simulator.search.budget import budget_for, other_budget
from ondevice_sora.simulator.search.comparison import Goal, find_plan_for
from ondevice_sora.simulator.search.search import Progress
from ondevice_sora.simulator.search.state import Known
from ondevice_sora.simulator.search.variants import Freedoms, search_variants


@dataclass(frozen=True)
class Wanted:
    """What a search is asked for.

    budget      bytes to keep to; without it, what is below the limit with 99 % certainty
    risk        choose by this quantile of the costs' spread, and be so sure that the limit is not below the budget
    max_kill_share   give no plan that is above the limit in more than this share of the draws of what is not known
    seconds     stop then with the best so far; None: when nothing better is found
    keep_cuts   leave the plan's blocks as they are
    budgets     search so many smaller budgets too, for the front of total and peak

    Raises UserError for numbers that mean nothing.
    """

    budget: int | None = None
    risk: float | None = None
    max_kill_share: float = MOST_DOUBT
    seconds: float | None = DEFAULT_SECONDS
    keep_cuts: bool = False
    budgets: int = 0

    def __post_init__(self) -> None:
        if self.risk is not None and not LEAST_CERTAIN <= self.risk <= MOST_CERTAIN:
            mend = f"Write one from {LEAST_CERTAIN:g} to {MOST_CERTAIN:g}, such as 0.95."
            raise UserError(f"{self.risk!r} is not a quantile", "--risk", mend)
        if not 0.0 < self.max_kill_share <= 1.0:
            what = f"{self.max_kill_share!r} is not a share"
            raise UserError(what, "--max-kill-share", "Write one above 0 and up to 1, such as 0.05.")
        if self.seconds is not None and not 0.0 < self.seconds < math.inf:
            raise UserError(f"{self.seconds!r} is not a number of seconds above zero", "--seconds")


class Searched(NamedTuple):
    """The answer, the plan found, and the settings that it was searched for."""

    planning: Planning
    best: LoadedPlan
    settings: Sequence[Setting]


def search_plan(
    loaded: LoadedPlan,
    settings: Sequence[Setting],
    wanted: Wanted,
    progress: Progress | None = None,
    known: Known | None = None,
) -> Searched:
    """The fastest plan found. `known` holds what an earlier search has scored, and takes what this one scores.

    Ctrl-C ends it with the best so far. Raises UserError if no plan fits, KeyboardInterrupt before there is one.
    """
    budget = budget_for(settings, wanted.budget, wanted.risk, wanted.max_kill_share)
    beside = other_budget(settings, budget.num_bytes)
    if wanted.budget is not None and wanted.budget > budget.num_bytes:
        beside = wanted.budget  # what was asked for is shown, and its doubt
    goal = Goal(
        risk=wanted.risk,
        most_doubt=wanted.max_kill_share,
        seconds=wanted.seconds,
        budgets=wanted.budgets,
        beside=beside,
        keeps_cuts=wanted.keep_cuts,
    )
    planning, best = find_plan_for(loaded, settings, budget, goal, progress, known)
    return Searched(planning, LoadedPlan(best, loaded.document, loaded.listed), settings)


class Freely(NamedTuple):
    """A search with more left free: the budget, where that comes from, and each variant's answer as it is found."""

    budget: int
    source: str
    found: Iterator[VariantPoint | RefusedVariant]


def search_freely(
    loaded: LoadedPlan,
    settings: Sequence[Setting],
    wanted: Wanted,
    freedoms: Freedoms,
    progress: Progress | None = None,
) -> Freely:
    """The best plan of every choice of what is free besides the partition. Raises UserError if there is none."""
    budget, source = budget_for(settings, wanted.budget, wanted.risk, wanted.max_kill_share)
    variants = search_variants(loaded, settings, budget, freedoms, wanted.max_kill_share, wanted.seconds, progress)
    return Freely(budget, source, variants)


def freedoms_of(
    model: str,
    evaluations: Sequence[int] = (),
    precision: Mapping[str, Sequence[Precision]] | None = None,
    compute_units: Mapping[str, Sequence[ComputeUnits]] | None = None,
    branches: Iterable[Branches] = (),
    steps: str | Path | None = None,
    quality: float | None = None,
) -> Freedoms:
    """What is free in plans of a model, with the grids for numbers of evaluations: of the file `steps`, else those
    that ship. Raises UserError.
    """
    shipped = shipped_steps(model) if evaluations else None
    path = Path(steps) if steps else shipped
    file = read_steps(path) if path is not None else None
    if file is not None and file.model != model:
        what = f"these grids are of the model '{file.model}', and the plan's model is '{model}'"
        raise UserError(what, str(path), "Name a file that `ondevice-sora steps plan` made of the plan's model.")
    if quality is not None and file is None:
        what = f"nothing is known of the quality of fewer evaluations of '{model}'"
        raise UserError(what, "--quality", "Make a file of planned grids with `steps plan`, and name it with --steps.")
    return Freedoms(evaluations, file, dict(precision or {}), dict(compute_units or {}), tuple(dict.fromkeys(branches)))


def fastest_of(points: Iterable[VariantPoint | RefusedVariant], quality: float | None = None) -> VariantPoint:
    """The fastest of those that are estimated to come so near to all steps, in dB. Raises UserError if none is."""
    good = [
        each
        for each in points
        if isinstance(each, VariantPoint) and (quality is None or (each.estimated_db or math.inf) >= quality)
    ]
    if not good:
        what = f"no number of evaluations among these is estimated to come within {quality:g} dB"
        raise UserError(what, "--quality", "Ask for less, or for more --evaluations.")
    return min(good, key=lambda each: each.total_s)
