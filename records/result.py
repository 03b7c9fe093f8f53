"""The answer to "how long, how much memory, will iOS kill it": what `--json` prints and reports show.

Units are in the names; what is unknown is null. A trace carries its result, so that a report needs nothing else.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from ondevice_sora.base.quantities import Bytes, Count, Seconds, Share
from ondevice_sora.base.text import Line
from ondevice_sora.profiles.figures import Mark
from ondevice_sora.records.advice import Advice
from ondevice_sora.records.memory import Kept, Peak, Residents

Verdict = Literal["fits", "killed"]


class ComponentResult(msgspec.Struct, frozen=True):
    """A component's share of the total: from the finish of the component before it to its own last visit's finish.

    run_s     sum of its runs
    load_s    sum of its loads, hidden or not
    stall_s   time in which nothing ran while a block of it was awaited
    """

    total_s: Seconds
    run_s: Seconds
    load_s: Seconds
    stall_s: Seconds
    loaded_bytes: Bytes
    num_visits: Count
    num_loads: Count
    peak_bytes: Bytes


class WhatIf(msgspec.Struct, frozen=True):
    """The same plan with one thing changed."""

    title: Line
    detail: Line
    verdict: Verdict
    total_s: Seconds | None
    peak_bytes: Bytes
    limit_bytes: Bytes


class BlockRow(msgspec.Struct, frozen=True):
    """One block in one variant: its costs, how often it is loaded and run, and what its figures rest on.

    kept         whether it is in memory when it is run again; a block's variants share that if they share a package
    falls_back   the Neural Engine was asked for and is not known to take so large a package: priced on the GPU
    clean_bytes  mapped while it is loaded, as pages of its file, and not charged to the app
    """

    component: Line
    block: Line
    variant: Line
    compute_units: Line
    stored_bytes: Bytes
    resident_bytes: Bytes
    working_bytes: Bytes
    load_cold_s: Seconds
    load_warm_s: Seconds
    run_s: Seconds
    num_loads: Count
    num_runs: Count
    load_marks: dict[Mark, Share]
    run_marks: dict[Mark, Share]
    kept: Kept = "never"
    falls_back: bool = False
    loading: Line = "core_ml"
    clean_bytes: Bytes = 0


class Generation(msgspec.Struct, frozen=True):
    """One of several generations in a row: how it starts (see Plan.start), and what it comes to; as in Result."""

    start: Line
    verdict: Verdict
    total_s: Seconds | None
    unlimited_s: Seconds
    interval_s: tuple[Seconds, Seconds] | None
    peak_bytes: Bytes
    killed_by: Line | None


class Bounds(msgspec.Struct, frozen=True):
    """What no overlap can beat, and what no overlap at all would take; seconds."""

    run_s: Seconds
    load_s: Seconds
    lower_s: Seconds
    sequential_s: Seconds


class Result(msgspec.Struct, frozen=True):
    """The result of one generation.

    total_s         null if the app is killed before the end; unlimited_s is what it would take without a limit
    interval_s      the total's central 90 % under the costs' spread; null without figures that have one
    kill_share      how probable it is that the limit, which is not known exactly, lies below the peak: then every run
                    is killed, else none
    needed_bytes    the peak if there were no limit
    marks           share of the total that rests on figures of each mark
    evaluated       of each step of the step plan whether the network is evaluated there, else it is leapt over
    start           what the app had done before, see Plan.start
    generations     all generations if several in a row were asked for; the rest of the result is of the first
    no_advice       why there is no advice, of a plan that is killed; null elsewhere
    cautions        what must be known before believing it: figures that nobody knows, what Core ML may do instead
    unpriced        components of which nobody has given the operations of some blocks: the times are too short
    residents       what stays in memory between passes, by component
    peak            what makes up needed_bytes; null in a trace of an earlier version
    """

    verdict: Verdict
    total_s: Seconds | None
    unlimited_s: Seconds
    interval_s: tuple[Seconds, Seconds] | None
    components: dict[Line, ComponentResult]
    peak_bytes: Bytes
    needed_bytes: Bytes
    limit_bytes: Bytes
    limit_source: Line
    budget_bytes: Bytes | None
    kill_share: Share
    killed_at_s: Seconds | None
    killed_by: Line | None
    busy_share: dict[Line, Share]
    bounded_by: Line
    advice: list[Advice]
    marks: dict[Mark, Share]
    bounds: Bounds
    num_evaluations: Count
    evaluations: dict[Count, Share]
    what_ifs: list[WhatIf]
    blocks: list[BlockRow]
    notes: list[Line]
    evaluated: Annotated[list[bool], msgspec.Meta(max_length=1000)] = []
    start: Line = "first"
    generations: list[Generation] = []
    no_advice: Line | None = None
    cautions: list[Line] = []
    unpriced: list[Line] = []
    residents: list[Residents] = []
    peak: Peak | None = None

    @property
    def is_killed(self) -> bool:
        """Whether any of its generations is."""
        return self.verdict == "killed" or any(one.verdict == "killed" for one in self.generations)
