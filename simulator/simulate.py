"""Simulate one plan on one device: the trace, and with it the result that summary, JSON and report show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import msgspec

from ondevice_sora.base.units import format_percent
from ondevice_sora.plans.own_policy import Policy
from ondevice_sora.plans.plan_file import LoadedPlan
from ondevice_sora.plans.schema import Start
from ondevice_sora.profiles.blocks import PROCESSORS
from ondevice_sora.profiles.costs import Array, MarkShares
from ondevice_sora.profiles.figures import MARKS, Mark
from ondevice_sora.profiles.packages import size_notes
from ondevice_sora.profiles.pricing import unused_measurements
from ondevice_sora.profiles.terms import weighed
from ondevice_sora.records.metrics import busy_shares, component_results
from ondevice_sora.records.result import BlockRow, ComponentResult, Generation, Result
from ondevice_sora.records.trace import Kill, Trace
from ondevice_sora.simulator.bounds import bounds_of
from ondevice_sora.simulator.cautions import cautions
from ondevice_sora.simulator.changes.advice import Names, advice, why_no_advice
from ondevice_sora.simulator.changes.whatif import what_ifs
from ondevice_sora.simulator.engine import Outcome
from ondevice_sora.simulator.holdings import kept_of, peak_of, residents_of
from ondevice_sora.simulator.interval import Spread, measured_share, spread_of
from ondevice_sora.simulator.prepare import Prepared, Setting, load_inputs, prepare
from ondevice_sora.simulator.risk import kill_risk
from ondevice_sora.simulator.unpriced import unpriced_components

FITTED_MODELS = ("opensora",)
"""Models whose published totals the costs are fitted to: what these contradict each other in concerns nobody else."""
MEASURED = 0.999
"""A total of which more was measured rests on nothing else."""


@dataclass(frozen=True)
class Simulation:
    """What simulating a plan gives. `trace` carries its result."""

    trace: Trace
    prepared: Prepared
    unlimited: Outcome

    def advised(self, names: Names | None = None) -> Simulation:
        """The same with what to change, which takes as long as several simulations.

        With `names` (of plan and device, as the user says them) a search may be advised.
        """
        result = self.result
        found = advice(self.prepared, result.components, self.unlimited, names)
        reason = why_no_advice(self.prepared) if result.verdict == "killed" and not found else None
        advised = msgspec.structs.replace(result, advice=found, no_advice=reason)
        return replace(self, trace=msgspec.structs.replace(self.trace, result=advised))

    @property
    def result(self) -> Result:
        assert self.trace.result is not None
        return self.trace.result


def simulate(
    plan: str | Path | LoadedPlan,
    device: str = "iphone15pro",
    *,
    memory_limit: int | None = None,
    os_version: str | None = None,
    is_thermal: bool = False,
    with_what_ifs: bool = False,
    repeat: int = 1,
    with_advice: bool = True,
) -> Simulation:
    """Simulate a plan (a file, or a ready one by name) on a device (by key, or a profile file).

    What-ifs, which take as long as several simulations, come only if asked for; advice may be left out. With `repeat`,
    so many generations in a row are simulated; all but their totals and peaks is of the first. Raises UserError.
    """
    loaded, setting = load_inputs(plan, device, memory_limit=memory_limit, os_version=os_version, is_thermal=is_thermal)
    return simulation_of(loaded, setting, with_what_ifs, repeat, with_advice)


def simulation_of(
    loaded: LoadedPlan,
    setting: Setting,
    with_what_ifs: bool = False,
    repeat: int = 1,
    with_advice: bool = True,
    names: Names | None = None,
    policy: Policy | None = None,
) -> Simulation:
    """The same of what is loaded already. Advice, which takes as long as a few simulations, may be left out.

    A policy says what stays in memory, in place of the plan's `keep`: then there is no advice, which would change that.
    """
    prepared = prepare(loaded, setting, policy)
    with loaded.locating():
        outcomes = prepared.outcomes()
    outcome = prepared.play()
    unlimited = outcome if outcome.kill is None else prepared.play(is_limited=False)
    result = _result(prepared, outcome, unlimited, spread_of(outcomes))
    if with_what_ifs:
        result = msgspec.structs.replace(result, what_ifs=what_ifs(prepared))
    if repeat > 1:
        with loaded.locating():
            result = msgspec.structs.replace(result, generations=generations_of(prepared, result, repeat))
    trace = msgspec.structs.replace(_trace(prepared, outcome), result=result)
    simulation = Simulation(trace, prepared, unlimited)
    return simulation.advised(names) if with_advice and policy is None else simulation


def _trace(prepared: Prepared, outcome: Outcome) -> Trace:
    setting = prepared.setting
    return Trace(
        kind="simulated",
        plan=prepared.plan.name,
        device=setting.device.name,
        model=prepared.model.name,
        spans=outcome.spans,
        memory=outcome.memory,
        limit_bytes=setting.limit_bytes,
        kill=outcome.kill,
        conditions={"profile": setting.profile.name, **setting.profile.conditions},
    )


def _result(prepared: Prepared, outcome: Outcome, unlimited: Outcome, spread: Spread) -> Result:
    """What a generation comes to. `unlimited` is the outcome without a memory limit; advice and what-ifs come later."""
    plan, setting, kill = prepared.plan, prepared.setting, outcome.kill
    whole = _trace(prepared, unlimited)
    components = component_results(whole)
    return Result(
        verdict="killed" if kill else "fits",
        total_s=None if kill else outcome.total_s,
        unlimited_s=unlimited.total_s,
        interval_s=None if kill else spread.interval(),
        components=components,
        peak_bytes=outcome.peak_bytes,
        needed_bytes=unlimited.peak_bytes,
        limit_bytes=setting.limit_bytes,
        limit_source=setting.limit_source,
        budget_bytes=int(plan.memory.budget) if plan.memory.budget is not None else None,
        kill_share=kill_risk(prepared, unlimited),
        killed_at_s=kill.time_s if kill else None,
        killed_by=_killed_by(kill) if kill else None,
        busy_share=busy_shares(whole),
        bounded_by=bounded_by(components),
        advice=[],
        marks=mark_shares(prepared, unlimited),
        bounds=bounds_of(prepared.schedule, prepared.costs),
        num_evaluations=prepared.num_evaluations,
        evaluations=plan.evaluation_odds(),
        what_ifs=[],
        blocks=_block_rows(prepared),
        notes=_notes(prepared),
        evaluated=plan.evaluated_steps(),
        start=plan.start,
        cautions=cautions(prepared, unlimited),
        unpriced=list(unpriced_components(prepared)),
        residents=residents_of(prepared.schedule, prepared.costs),
        peak=peak_of(prepared.schedule, prepared.costs, prepared.machine, unlimited.peak),
    )


def generations_of(prepared: Prepared, first: Result, count: int) -> list[Generation]:
    """Generations in a row, from the plan's start: then the first of the next launch, then further ones in it.

    Raises UserError, about a key of the plan, if a later one cannot be kept to its budget.
    """
    starts: tuple[Start, ...] = get_args(Start)
    begin = starts.index(prepared.plan.start)
    found = {
        prepared.plan.start: Generation(
            start=first.start,
            verdict=first.verdict,
            total_s=first.total_s,
            unlimited_s=first.unlimited_s,
            interval_s=first.interval_s,
            peak_bytes=first.peak_bytes,
            killed_by=first.killed_by,
        )
    }
    rows = []
    for number in range(count):
        start = starts[min(begin + number, len(starts) - 1)]
        if start not in found:
            found[start] = _generation(prepared.changed(msgspec.structs.replace(prepared.plan, start=start)))
        rows.append(found[start])
    return rows


def _generation(prepared: Prepared) -> Generation:
    outcome = prepared.play()
    kill = outcome.kill
    return Generation(
        start=prepared.plan.start,
        verdict="killed" if kill else "fits",
        total_s=None if kill else outcome.total_s,
        unlimited_s=prepared.play(is_limited=False).total_s if kill else outcome.total_s,
        interval_s=None if kill else spread_of(prepared.outcomes()).interval(),
        peak_bytes=outcome.peak_bytes,
        killed_by=_killed_by(kill) if kill else None,
    )


def _killed_by(kill: Kill) -> str:
    doing = "loading" if kill.action == "load" else "running"
    return f"{doing} block '{kill.block}' of {kill.component}, step {kill.step}"


def bounded_by(components: dict[str, ComponentResult]) -> str:
    """What most of the total is spent on, in words."""
    total = sum(component.total_s for component in components.values())
    if total <= 0:
        return "nothing"
    shares = [(component.run_s / total, f"running {name}") for name, component in components.items()]
    shares += [(component.stall_s / total, f"waiting for loads of {name}") for name, component in components.items()]
    share, what = max(shares)
    return f"{what} ({format_percent(share)} of the total)"


def mark_shares(prepared: Prepared, outcome: Outcome) -> dict[Mark, float]:
    """How much of the total rests on figures of each mark: runs by theirs, the rest of the time by the loads' marks."""
    costs, schedule = prepared.costs, prepared.schedule
    rows: dict[tuple[str, str, str], int] = {
        (block.component, block.name, block.variant): row for row, block in enumerate(schedule.blocks)
    }
    runs: dict[Mark, float] = dict.fromkeys(MARKS, 0.0)
    loads: dict[Mark, float] = dict.fromkeys(MARKS, 0.0)
    run_s = 0.0
    for span in outcome.spans:
        row = rows[(span.component, span.block, span.variant)]
        if span.action == "evict":
            continue
        of_span, into = (costs.marks_of_run, runs) if span.action == "run" else (costs.marks_of_load, loads)
        shares = of_span(row, span.cold)
        run_s += span.seconds if span.action == "run" else 0.0
        for mark, share in shares.items():
            into[mark] += share * span.seconds
    rest, load_s, total = max(0.0, outcome.total_s - run_s), sum(loads.values()), outcome.total_s
    if total <= 0:
        return {}
    return {
        mark: (runs[mark] + (loads[mark] / load_s * rest if load_s > 0 else 0.0)) / total
        for mark in MARKS
        if runs[mark] > 0 or loads[mark] > 0
    }


def _block_rows(prepared: Prepared) -> list[BlockRow]:
    costs, kept = prepared.costs, kept_of(prepared.schedule)
    clean = costs.clean_bytes or (0,) * len(prepared.schedule.blocks)
    runs: list[list[bool]] = [[] for _ in prepared.schedule.blocks]
    loads: list[list[bool]] = [[] for _ in prepared.schedule.blocks]
    for visit in prepared.schedule.visits:
        runs[visit.block].append(visit.first_run)
        if visit.loads:
            loads[visit.block].append(visit.cold)
    return [
        BlockRow(
            component=block.component,
            block=block.name,
            variant=block.variant,
            compute_units=block.compute_units,
            stored_bytes=costs.stored_bytes[row],
            resident_bytes=costs.resident_bytes[row],
            working_bytes=costs.working_bytes[row],
            load_cold_s=float(costs.load_cold_s[row, 0]),
            load_warm_s=float(costs.load_warm_s[row, 0]),
            run_s=float(costs.run_s[row, 0]),
            num_loads=len(loads[row]),
            num_runs=len(runs[row]),
            load_marks=_of_all(costs.marks_of_load, row, loads[row], costs.load_cold_s, costs.load_warm_s),
            run_marks=_of_all(costs.marks_of_run, row, runs[row], costs.first_run_s, costs.run_s),
            kept=kept[row],
            falls_back=block.falls_back,
            loading=block.loading,
            clean_bytes=clean[row],
        )
        for row, block in enumerate(prepared.schedule.blocks)
    ]


def _of_all(
    marks_of: Callable[[int, bool], MarkShares], row: int, are_first: Sequence[bool], first_s: Array, later_s: Array
) -> MarkShares:
    """What the seconds of all loads, or of all runs, of a block rest on, first ones and later ones; of a later one if
    there are none."""
    counts = Counter(are_first or (False,))
    seconds = {True: float(first_s[row, 0]), False: float(later_s[row, 0])}
    return weighed([(marks_of(row, is_first), count * seconds[is_first]) for is_first, count in counts.items()])


def _notes(prepared: Prepared) -> list[str]:
    notes = []
    plan, setting = prepared.plan, prepared.setting
    profile = setting.profile
    if "scaled from" in profile.conditions:
        source = profile.conditions["scaled from"]
        notes.append(f"No figures of this device: those of {source} scaled by the ratio of published peaks.")
    if profile.fit is not None and measured_share(prepared) < MEASURED:
        notes.append("Costs are fitted to published totals of another app run, not captured on a phone.")
        if plan.model in FITTED_MODELS:
            notes.extend(profile.fit.contradictions)
    if setting.is_thermal and profile.costs.thermal.contained:
        notes.append(
            "Thermal derating was asked for, although the fitted figures come from runs of minutes and contain it."
        )
    if plan.memory.budget is not None and plan.memory.budget > setting.limit_bytes:
        notes.append("The plan's budget is above the memory limit: keeping to it does not keep the app alive.")
    sizes = zip(prepared.costs.stored_bytes, prepared.schedule.blocks, strict=True)
    size, largest = max(sizes, key=lambda pair: (PROCESSORS[pair[1].compute_units] == "ane", pair[0]))
    for note in size_notes(size, largest.compute_units, setting.device):
        notes.append(f"Block '{largest.name}' of {largest.component} is {note}.")
    unused = unused_measurements(profile.measurements, prepared.schedule.blocks)
    if unused:
        notes.append(f"Measurements in the profile of blocks that this plan does not have: {len(unused)}.")
    if plan.lpl.mode == "dynamic":
        notes.append("Shown is the median leap step; interval and risk cover the whole distribution given in the plan.")
    return notes
