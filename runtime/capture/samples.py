"""Every sample that a capture's trials hold, by block: seconds of loads, runs and evictions, and bytes.

A load or run that the other activity went on beside says how much they slow each other: an activity of `seconds`,
`overlap_s` of them beside the other, does seconds - overlap_s + rate * overlap_s of what it does alone in its own time.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.schedule import Schedule
from ondevice_sora.plans.scheduling import build_schedule
from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.profiles.costs import bytes_alone
from ondevice_sora.profiles.measurements import LEAST_RATE
from ondevice_sora.records.trace import Trace
from ondevice_sora.runtime.capture.durations import Activity, activities, typical, weighted_median
from ondevice_sora.runtime.capture.measured_run import Trial
from ondevice_sora.runtime.capture.plans import ALONE, BESIDE, KEPT, PROBE, capture_plan, stored_model
from ondevice_sora.runtime.executor.store import Store

Trials = Mapping[str, Sequence[Trial]]
"""The trials of each of the capture's runs."""
Named = dict[str, list[float]]
REPEAT = "Remove the trials; they are then repeated."


def _lists() -> Named:
    return defaultdict(list)


@dataclass
class Samples:
    """Seconds and bytes by what was measured. Loads are a package's, whatever the variant: it is the same file.

    load_rates    speed of loads beside runs, relative to alone, one a trial; run_rates the same of runs
    whole         the logarithm of each trial's total relative to what its samples' typical values add up to, or to the
                  median total where loads and runs overlap
    """

    blocks: tuple[BlockSpec, ...] = ()
    loads: dict[tuple[str, str], Named] = field(default_factory=lambda: defaultdict(_lists))
    runs: dict[tuple[str, str, str], Named] = field(default_factory=lambda: defaultdict(_lists))
    unload_s: list[float] = field(default_factory=list)
    dispatch_s: list[float] = field(default_factory=list)
    baseline_bytes: list[float] = field(default_factory=list)
    load_rates: list[float] = field(default_factory=list)
    run_rates: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)

    def of_load(self, block: BlockSpec) -> Named:
        return self.loads[(block.component, block.name)]

    def of_run(self, block: BlockSpec) -> Named:
        return self.runs[(block.component, block.name, block.variant)]

    def impossible_rates(self) -> dict[str, float]:
        """Speeds of loads beside runs, or of runs beside loads, that say that something else ran too."""
        rates = {"loads beside runs": self.load_rates, "runs beside loads": self.run_rates}
        return {name: median(values) for name, values in rates.items() if values and median(values) < LEAST_RATE}

    def alone(self, taken: _Taken) -> list[float]:
        """Samples of the same kind as a load or run, alone."""
        named = self.of_load(taken.block) if taken.activity.action == "load" else self.of_run(taken.block)
        return named[taken.kind]


class _Taken(NamedTuple):
    """A load or run, and which of its block's figures it is a sample of."""

    block: BlockSpec
    activity: Activity
    kind: str


def samples_of(store: Store, trials: Trials) -> Samples:
    """Every sample of a capture's trials, by block. Raises UserError for trials that are not of this store."""
    found = Samples()
    for trial in trials[PROBE]:
        for component, name, variant, held in trial.working_bytes:
            found.runs[(component, name, variant)]["working_bytes"].append(float(held))
    schedules = {run: _schedule(store, run, found) for run in (ALONE, BESIDE, KEPT)}
    found.blocks = schedules[ALONE].blocks
    beside: list[list[_Taken]] = []
    for run, schedule in schedules.items():
        for trial in trials[run]:
            beside.append([])
            for taken in _take(found, schedule, run, trial, store):
                if taken.activity.is_alone:
                    found.alone(taken).append(taken.activity.seconds)
                else:
                    beside[-1].append(taken)
    _fill_in(found)
    _check_seconds(found, store)
    for overlapping in beside:
        for action, rates in (("load", found.load_rates), ("run", found.run_rates)):
            rate = _rate(found, [taken for taken in overlapping if taken.activity.action == action])
            if rate is not None:
                rates.append(rate)
    for run in (ALONE, KEPT):
        expected = _expected(found, schedules[run])
        found.whole += [math.log(_of(trial).total_s / expected) for trial in trials[run]]
    totals = [math.log(_of(trial).total_s) for trial in trials[BESIDE]]
    found.whole += [total - median(totals) for total in totals]
    return found


def _check_seconds(found: Samples, store: Store) -> None:
    """Raises UserError where trials say that a load or a run took no time."""
    for kind, blocks in (("load", found.loads), ("run", found.runs)):
        every = ((name, seconds) for named in blocks.values() for name, seconds in named.items())
        if any(name.endswith("_s") and typical(seconds) <= 0 for name, seconds in every):
            what = f"no time passed in a block's {kind}s, by the trials of its capture"
            raise UserError(what, str(store.directory), REPEAT)


def _of(trial: Trial) -> Trace:
    assert trial.trace is not None
    return trial.trace


def _take(found: Samples, schedule: Schedule, run: str, trial: Trial, store: Store) -> Iterator[_Taken]:
    """The loads and runs of a trial; what is not of single blocks goes into `found`."""
    trace = _of(trial)
    try:
        played = activities(schedule, trace)
    except ValueError as error:
        raise UserError(f"a trial '{run}' is not of this store: {error}", str(store.directory), REPEAT) from None
    if trial.added_bytes is not None and run != KEPT:
        found.baseline_bytes.append(float(max(0, trial.added_bytes - schedule.needed_bytes)))
    starts = {walked.first for walked in schedule.passes}
    spans = iter(sorted((s for s in trace.spans if s.action == "run"), key=lambda span: span.end_s))
    for activity in played:
        visit = schedule.visits[activity.visit]
        block = schedule.blocks[visit.block]
        if activity.action == "evict":
            found.unload_s.append(activity.seconds)
            continue
        if activity.action == "load":
            yield _Taken(block, activity, "load_cold_s" if visit.cold else "load_warm_s")
            continue
        gap = activity.seconds - next(spans).seconds
        if activity.is_alone and activity.visit not in starts:
            found.dispatch_s.append(max(0.0, gap))
        yield _Taken(block, activity, "first_run_s" if visit.first_run else "run_s")


def _fill_in(found: Samples) -> None:
    """Blocks that are walked once, or were not kept, have no later loads or runs: their first ones count as such."""
    for named in found.loads.values():
        if named["load_cold_s"] and not named["load_warm_s"]:
            named["load_warm_s"] = list(named["load_cold_s"])
    for named in found.runs.values():
        if named["first_run_s"] and not named["run_s"]:
            named["run_s"] = list(named["first_run_s"])


def _rate(found: Samples, overlapping: Sequence[_Taken]) -> float | None:
    """Speed while the other activity goes on, relative to alone: the median over the time beside it."""
    rates, weights = [], []
    for taken in overlapping:
        alone, activity = found.alone(taken), taken.activity
        if alone:
            rates.append((typical(alone) - (activity.seconds - activity.overlap_s)) / activity.overlap_s)
            weights.append(activity.overlap_s)
    return weighted_median(rates, weights) if rates else None


def _expected(found: Samples, schedule: Schedule) -> float:
    """Seconds that loads, runs and evictions come to, one after another."""
    unload_s = typical(found.unload_s) if found.unload_s else 0.0
    total = 0.0
    for visit in schedule.visits:
        block = schedule.blocks[visit.block]
        if visit.loads:
            total += typical(found.of_load(block)["load_cold_s" if visit.cold else "load_warm_s"])
        total += typical(found.of_run(block)["first_run_s" if visit.first_run else "run_s"])
        total += unload_s if visit.evicts else 0.0
    return total


def _schedule(store: Store, run: str, found: Samples) -> Schedule:
    """The schedule of a capture's run, with the working memory that its probes measured."""
    units = {(block.component, block.name): (block.first_unit, block.last_unit) for block in store.manifest.blocks}
    for component, block, _ in found.runs:
        if (component, block) not in units:
            what = f"a probe is of block '{block}' of {component}, which the store does not have"
            raise UserError(what, str(store.directory), REPEAT)
    working = {
        (component, *units[(component, block)], variant): round(typical(samples["working_bytes"]))
        for (component, block, variant), samples in found.runs.items()
        if samples["working_bytes"]
    }

    def working_of(spec: BlockSpec) -> int:
        return working.get((spec.component, spec.units[0].name, spec.units[-1].name, spec.variant), 0)

    plan = capture_plan(store, run)
    return build_schedule(plan, stored_model(store), {}, bytes_alone(working_of))[0]
