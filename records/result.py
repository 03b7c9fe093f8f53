"""The answer to "how long, how much memory, will iOS kill it": what `--json` prints and reports show.

Units are in the names; what is unknown is null. A trace carries its result, so that a report needs nothing else.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ondevice_sora.profiles.figures import Mark

Verdict = Literal["fits", "killed"]


class ComponentResult(msgspec.Struct, frozen=True):
    """A component's share of the total: from the finish of the component before it to its own last visit's finish.

    run_s     sum of its runs
    load_s    sum of its loads, hidden or not
    stall_s   time in which nothing ran while a block of it was awaited
    """

    total_s: float
    run_s: float
    load_s: float
    stall_s: float
    loaded_bytes: int
    num_visits: int
    num_loads: int
    peak_bytes: int


class WhatIf(msgspec.Struct, frozen=True):
    """The same plan with one thing changed."""

    title: str
    detail: str
    verdict: Verdict
    total_s: float | None
    peak_bytes: int
    limit_bytes: int


class BlockRow(msgspec.Struct, frozen=True):
    """One block in one variant: its costs, how often it is loaded and run, and what its figures rest on."""

    component: str
    block: str
    variant: str
    compute_units: str
    stored_bytes: int
    resident_bytes: int
    working_bytes: int
    load_cold_s: float
    load_warm_s: float
    run_s: float
    num_loads: int
    num_runs: int
    load_marks: dict[Mark, float]
    run_marks: dict[Mark, float]


class Bounds(msgspec.Struct, frozen=True):
    """What no overlap can beat, and what no overlap at all would take; seconds."""

    run_s: float
    load_s: float
    lower_s: float
    sequential_s: float


class Result(msgspec.Struct, frozen=True):
    """The result of one generation.

    total_s         null if the app is killed before the end; unlimited_s is what it would take without a limit
    interval_s      the total's central 90 % under the costs' spread; null without figures that have one
    kill_share      share of the samples of baseline and limit under which the app is killed
    needed_bytes    the peak if there were no limit
    marks           share of the total that rests on figures of each mark
    """

    verdict: Verdict
    total_s: float | None
    unlimited_s: float
    interval_s: tuple[float, float] | None
    components: dict[str, ComponentResult]
    peak_bytes: int
    needed_bytes: int
    limit_bytes: int
    limit_source: str
    budget_bytes: int | None
    kill_share: float
    killed_at_s: float | None
    killed_by: str | None
    busy_share: dict[str, float]
    bounded_by: str
    advice: list[str]
    marks: dict[Mark, float]
    bounds: Bounds
    num_evaluations: int
    evaluations: dict[int, float]
    what_ifs: list[WhatIf]
    blocks: list[BlockRow]
    notes: list[str]
