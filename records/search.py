"""What planning answers with: the plan found beside others, how far it may be from the optimum, the front, the reasons.

Printed as a table, or as JSON with the same numbers; seconds and bytes, null for unknown.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ondevice_sora.profiles.figures import Mark
from ondevice_sora.records.result import Verdict
from ondevice_sora.records.trace import Trace

DEFAULT_SECONDS = 60.0
"""How long a search takes at most, unless it is told."""
LEAST_CERTAIN, MOST_CERTAIN = 0.5, 0.999
"""Quantiles of the costs' spread that a search may go by."""


class PlannedBlock(msgspec.Struct, frozen=True):
    """A block of a plan: its weights in memory, how often a generation runs it, and how often it loads it."""

    component: str
    name: str
    resident_bytes: int
    num_runs: int
    num_loads: int


class PlannedRow(msgspec.Struct, frozen=True):
    """One plan on one device, simulated.

    total_s       without a limit, where the plan is killed
    quantile_s    the total at the asked-for quantile of the costs' spread; null if none was asked for
    kill_share    how probable it is that the limit, which is not known exactly, lies below the peak: then every run is
                  killed, else none
    seconds_by_mark   how much of the total rests on figures of each mark
    """

    name: str
    device: str
    verdict: Verdict
    total_s: float
    component_s: dict[str, float]
    quantile_s: float | None
    kill_share: float
    peak_bytes: int
    stored_bytes: int
    num_packages: int
    num_blocks: dict[str, int]
    blocks: list[PlannedBlock]
    seconds_by_mark: dict[Mark, float]


class FrontPoint(msgspec.Struct, frozen=True):
    """A plan, as a plan file has it, that no other plan tried beats in both seconds and stored bytes, or packages."""

    total_s: float
    peak_bytes: int
    stored_bytes: int
    num_packages: int
    plan: dict[str, Any]


class BudgetPoint(FrontPoint, frozen=True):
    """The best plan of a search within a budget of its own.

    kill_share    as in PlannedRow
    gap, ending   as in Planning
    """

    budget_bytes: int
    kill_share: float
    gap: float | None
    ending: str


class VariantPoint(BudgetPoint, frozen=True):
    """The best plan of so many network evaluations, these precisions and these compute units (by component).

    branches        of guidance, in a batch or in turn, where that was free
    estimated_db    how near its latents are estimated to come to those of all steps, from a file of planned grids; null
                    without one, and for all steps. What a precision costs in quality is not in it: it was not measured
    share_by_mark   how much of the total rests on figures of each mark
    """

    evaluations: int
    estimated_db: float | None
    precision: dict[str, str]
    compute_units: dict[str, str]
    share_by_mark: dict[Mark, float]
    branches: str | None = None


class RefusedVariant(msgspec.Struct, frozen=True):
    """A variant that no plan was found for, and why."""

    evaluations: int
    precision: dict[str, str]
    compute_units: dict[str, str]
    reason: str
    branches: str | None = None


class Planning(msgspec.Struct, frozen=True):
    """The answer of a search; rows begin with the plan found.

    bound      seconds that no plan beats, or the same relative measure as `score` for several devices
    gap        how far the plan found may be from the optimum, relative to the bound; 0 if every plan was tried; null if
               there was no time for a bound
    ending     optimum (every plan was tried), converged, time, interrupted

    memory_front    the best plan of each budget that was searched, fastest first, without those that another one beats
                    in both seconds and peak
    storage_front, package_front    of all plans tried
    notes           what the figures assume, where not everything is known
    """

    budget_bytes: int
    budget_source: str
    score: float
    bound: float
    gap: float | None
    ending: str
    num_evaluated: int
    search_s: float
    risk: float | None
    rows: list[PlannedRow]
    memory_front: list[BudgetPoint]
    storage_front: list[FrontPoint]
    package_front: list[FrontPoint]
    notes: list[str] = []


class Reason(msgspec.Struct, frozen=True):
    """The plan with one thing changed: seconds and bytes more (+) or less (-) than the plan itself.

    better_share   share of the draws of the costs in which the change is the faster one; null if not drawn
    """

    group: str
    title: str
    saved_s: float | None
    peak_change_bytes: int | None
    better_share: float | None
    note: str = ""


class ComponentReason(msgspec.Struct, frozen=True):
    """What a component's seconds go to.

    run_s          its runs if nothing slowed them
    interference_s   what loads that go on beside them add to its runs
    stall_s        waiting for loads; of it and of the loads, reload_s are loads of blocks loaded before
    """

    component: str
    total_s: float
    run_s: float
    interference_s: float
    stall_s: float
    load_s: float
    reload_s: float
    other_s: float
    bounded_by: str


class Explanation(msgspec.Struct, frozen=True):
    plan: str
    device: str
    total_s: float
    bound_s: float
    peak_bytes: int
    budget_bytes: int
    components: list[ComponentReason]
    reasons: list[Reason]
    flips: list[str]
    notes: list[str]


class Sensitivity(msgspec.Struct, frozen=True):
    """The plan's total with one figure of the costs lower and higher by its spread (relative)."""

    figure: str
    mark: Mark
    spread: float
    low_s: float
    high_s: float


class PlanReport(msgspec.Struct, frozen=True):
    """All that a page shows of one plan: its simulation, why it takes as long as it does, what that depends on."""

    trace: Trace
    explanation: Explanation
    sensitivities: list[Sensitivity]


class SearchReport(msgspec.Struct, frozen=True):
    """All that the page of a search shows. `chosen` is the plan found, on the first device."""

    model: str
    planning: Planning
    chosen: PlanReport
