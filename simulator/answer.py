"""Answer for one plan on one device: the trace, and with it the result that summary, JSON and report show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from plans.schema import Plan
from profiles.documents import Document
from profiles.figures import MARKS, Mark
from profiles.metrics import busy_shares, component_results, family
from profiles.result import BlockRow, ComponentResult, Result, Verdict, WhatIf
from profiles.trace import Kill, Trace
from profiles.units import format_bytes, format_percent, format_seconds
from simulator.bounds import bounds_of
from simulator.engine import Outcome, play
from simulator.interval import spread_of
from simulator.simulation import Prepared, Setting, prepare


@dataclass(frozen=True)
class Answer:
    """What simulating a plan gives. `trace` carries its result."""

    trace: Trace
    prepared: Prepared

    @property
    def result(self) -> Result:
        assert self.trace.result is not None
        return self.trace.result


WhatIfs = Callable[[Plan, Document, Setting], list[WhatIf]]


def answer(plan: Plan, document: Document, setting: Setting, what_ifs: WhatIfs | None = None) -> Answer:
    """Simulate a plan. `what_ifs`, which takes as long as several simulations, is asked only if given."""
    shown = plan.evaluations()
    outcomes = [
        (probability, prepare(plan, document, setting, evaluations))
        for evaluations, probability in plan.leap_steps().items()
    ]
    prepared = next(p for (_, p), count in zip(outcomes, plan.leap_steps(), strict=True) if count == shown)
    outcome = play(prepared.schedule, prepared.costs, prepared.machine)
    unlimited = outcome
    if outcome.kill is not None:
        unlimited = play(prepared.schedule, prepared.costs, prepared.machine, is_limited=False)
    trace = Trace(
        kind="simulated",
        plan=plan.name,
        device=setting.device.name,
        model=prepared.model.name,
        spans=outcome.spans,
        memory=outcome.memory,
        limit_bytes=setting.limit_bytes,
        kill=outcome.kill,
        conditions={"profile": setting.profile.name, **setting.profile.conditions},
    )
    whole = msgspec.structs.replace(trace, spans=unlimited.spans, memory=unlimited.memory)
    spread = spread_of(outcomes, unlimited.peak_bytes)
    components = component_results(whole)
    result = Result(
        verdict="killed" if outcome.kill else "fits",
        total_s=None if outcome.kill else outcome.total_s,
        unlimited_s=unlimited.total_s,
        interval_s=None if outcome.kill else spread.interval(),
        components=components,
        peak_bytes=outcome.peak_bytes,
        needed_bytes=unlimited.peak_bytes,
        limit_bytes=setting.limit_bytes,
        limit_source=setting.limit_source,
        budget_bytes=int(plan.memory.budget) if plan.memory.budget is not None else None,
        kill_share=spread.kill_share,
        killed_at_s=outcome.kill.time_s if outcome.kill else None,
        killed_by=_killed_by(outcome.kill) if outcome.kill else None,
        busy_share=busy_shares(whole),
        bounded_by=bounded_by(components),
        advice=advice(plan, prepared, components, unlimited, outcome.kill),
        marks=_mark_shares(prepared, unlimited),
        bounds=bounds_of(prepared.schedule, prepared.costs),
        num_evaluations=shown,
        evaluations=plan.leap_steps(),
        what_ifs=what_ifs(plan, document, setting) if what_ifs is not None else [],
        blocks=_block_rows(prepared),
        notes=_notes(plan, setting),
    )
    return Answer(msgspec.structs.replace(trace, result=result), prepared)


def verdict_of(outcome: Outcome) -> Verdict:
    return "killed" if outcome.kill else "fits"


def _killed_by(kill: Kill) -> str:
    doing = "loading" if kill.action == "load" else "running"
    return f"{doing} block '{kill.block}' of {kill.component}, step {kill.step}"


def bounded_by(components: dict[str, ComponentResult]) -> str:
    """What most of the total is spent on, in words."""
    total = sum(component.total_s for component in components.values())
    if total <= 0:
        return "nothing"
    shares = [(component.run_s / total, f"running the {name}") for name, component in components.items()]
    shares += [
        (component.stall_s / total, f"waiting for loads of the {name}") for name, component in components.items()
    ]
    share, what = max(shares)
    return f"{what} ({format_percent(share)} of the total)"


def advice(
    plan: Plan, prepared: Prepared, components: dict[str, ComponentResult], unlimited: Outcome, kill: Kill | None
) -> list[str]:
    """What to change next, most telling first."""
    setting = prepared.setting
    found = []
    if kill is not None:
        over = unlimited.peak_bytes - setting.limit_bytes
        found.append(
            f"The plan needs {format_bytes(unlimited.peak_bytes)}, {format_bytes(over)} more than the limit: cut block "
            f"'{kill.block}' of {kill.component} smaller, load fewer blocks ahead, or keep fewer resident."
        )
        if plan.memory.budget is None:
            found.append(
                "Set memory.budget below the limit: the schedule is then held back, or refused with the bytes missing."
            )
        if not plan.memory.entitlement:
            found.append(_entitlement_advice(setting, unlimited.peak_bytes))
    total = sum(component.total_s for component in components.values())
    for name, component in sorted(components.items(), key=lambda item: -item[1].stall_s):
        if component.stall_s < 0.03 * total:
            continue
        stages = {b.component for b in prepared.schedule.blocks if family(b.component) == name}
        prefetching = [plan.component(stage).prefetch for stage in stages]
        waits = f"the {name} waits {format_seconds(component.stall_s)} for loads"
        if 0 in prefetching or "app" in prefetching:
            hideable = format_seconds(min(component.stall_s, component.run_s))
            found.append(f"Prefetch more: {waits}; up to {hideable} of that could pass behind its runs (prefetch: 2).")
        elif component.num_loads > len({b.index for b in prepared.schedule.blocks if family(b.component) == name}):
            free = setting.limit_bytes - unlimited.peak_bytes
            found.append(
                f"Keep more resident: {waits}; {format_bytes(max(0, free))} is free at the peak (keep: optimal)."
            )
        else:
            found.append(f"Store less: {waits}, each block once; a lower precision loads sooner.")
    if plan.lpl.mode == "off" and prepared.schedule.plan.sampler.steps > 16:
        found.append("Leap early: LPL at step 15 leaves 16 network evaluations (lpl: {mode: fixed, leap_step: 15}).")
    return [text for text in found if text]


def _entitlement_advice(setting: Setting, needed_bytes: int) -> str:
    for row in setting.device.memory_limits:
        if row.entitlement and row.limit_bytes.value > needed_bytes:
            return (
                f"With the increased-memory entitlement {setting.device.name} allows "
                f"{format_bytes(row.limit_bytes.value)}: the plan would fit."
            )
    return ""


def _mark_shares(prepared: Prepared, outcome: Outcome) -> dict[Mark, float]:
    """How much of the total rests on figures of each mark: runs by theirs, the rest of the time by the loads' marks."""
    costs, schedule = prepared.costs, prepared.schedule
    rows = {(b.component, b.name, b.variant): row for row, b in enumerate(schedule.blocks)}
    runs: dict[Mark, float] = dict.fromkeys(MARKS, 0.0)
    loads: dict[Mark, float] = dict.fromkeys(MARKS, 0.0)
    run_s = 0.0
    for span in outcome.spans:
        row = rows[(span.component, span.block, span.variant)]
        shares, into = (costs.run_marks[row], runs) if span.action == "run" else (costs.load_marks[row], loads)
        if span.action == "evict":
            continue
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
    costs = prepared.costs
    runs, loads = [0] * len(prepared.schedule.blocks), [0] * len(prepared.schedule.blocks)
    for visit in prepared.schedule.visits:
        runs[visit.block] += 1
        loads[visit.block] += visit.loads
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
            num_loads=loads[row],
            num_runs=runs[row],
            load_marks=costs.load_marks[row],
            run_marks=costs.run_marks[row],
        )
        for row, block in enumerate(prepared.schedule.blocks)
    ]


def _notes(plan: Plan, setting: Setting) -> list[str]:
    notes = []
    profile = setting.profile
    if "scaled from" in profile.conditions:
        notes.append(
            f"No figures of this device: those of {profile.conditions['scaled from']} scaled by the ratio of published peaks."
        )
    if profile.fit is not None:
        notes.append("Costs are fitted to published totals of another app run, not captured on a phone.")
        notes.extend(profile.fit.contradictions)
    if setting.is_thermal and profile.costs.thermal.contained:
        notes.append(
            "Thermal derating was asked for, although the fitted figures come from runs of minutes and contain it."
        )
    if plan.lpl.mode == "dynamic":
        notes.append("Shown is the median leap step; the interval covers the whole distribution given in the plan.")
    return notes
