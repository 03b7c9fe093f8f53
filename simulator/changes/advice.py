"""What to change next, most telling first. Every saving named was simulated."""

from __future__ import annotations

from ondevice_sora.base.units import format_bytes, format_seconds
from ondevice_sora.profiles.models.model import family
from ondevice_sora.records.result import ComponentResult
from ondevice_sora.records.trace import Kill
from ondevice_sora.simulator.changes.change import LEAP_STEP, Change, budget_of, leaping, loading, tried, within
from ondevice_sora.simulator.engine import Outcome
from ondevice_sora.simulator.prepare import Prepared, Setting

NOTICEABLE = 0.03
"""Waiting for loads is worth a word from this share of the total on."""
WORTHWHILE = 0.01
"""A change is worth proposing from this share of the total on."""


def advice(
    prepared: Prepared,
    components: dict[str, ComponentResult],
    unlimited: Outcome,
    kill: Kill | None,
) -> list[str]:
    """Sentences for the summary; none if there is nothing to say. `unlimited` is the outcome without a memory limit."""
    found = _to_fit(prepared, unlimited, kill) if kill is not None else []
    total = sum(component.total_s for component in components.values())
    for name, component in sorted(components.items(), key=lambda item: -item[1].stall_s):
        if component.stall_s > NOTICEABLE * total:
            found.append(_to_wait_less(prepared, name, component.stall_s))
    if leaping(prepared) is not None:
        found.append(
            f"Leap early: LPL at step {LEAP_STEP} leaves {LEAP_STEP + 1} network evaluations "
            f"(lpl: {{mode: fixed, leap_step: {LEAP_STEP}}})."
        )
    return found


def _to_fit(prepared: Prepared, unlimited: Outcome, kill: Kill) -> list[str]:
    setting = prepared.setting
    over = unlimited.peak_bytes - setting.limit_bytes
    found = [
        f"The plan needs {format_bytes(unlimited.peak_bytes)}, {format_bytes(over)} more than the limit: cut block "
        f"'{kill.block}' of {kill.component} smaller, load fewer blocks ahead, or keep fewer resident."
    ]
    if prepared.plan.memory.budget is None:
        found.append("Set memory.budget: loading is then held back to fit, or the plan refused with the bytes missing.")
    if not prepared.plan.memory.entitlement:
        found += _entitlement(setting, unlimited.peak_bytes)
    return found


def _entitlement(setting: Setting, needed_bytes: int) -> list[str]:
    for row in setting.device.memory_limits:
        if row.entitlement and row.limit_bytes.value > needed_bytes:
            allowed = format_bytes(row.limit_bytes.value)
            return [
                f"With the increased-memory entitlement {setting.device.name} allows {allowed}: the plan would fit."
            ]
    return []


def _to_wait_less(prepared: Prepared, name: str, stall_s: float) -> str:
    """The better of loading ahead and keeping resident, if either helps."""
    waits = f"the {name} waits {format_seconds(stall_s)} for loads"
    before = prepared.finish().total_s
    stages = [c.name for c in prepared.model.components if family(c.name) == name]
    budget = budget_of(prepared)
    ahead, kept = loading(prepared, stages, prefetch=2), loading(prepared, stages, prefetch=2, keep="optimal")
    changes = [
        Change("Load ahead (prefetch: 2)", within(ahead, budget), prepared.setting),
        Change("Load ahead and keep what fits (prefetch: 2, keep: optimal)", within(kept, budget), prepared.setting),
    ]
    savings = [(before - other.finish().total_s, change.title) for change, other in tried(prepared, changes)]
    saved, what = max(savings, default=(0.0, ""), key=lambda pair: pair[0] - 0.001 * before * ("keep" in pair[1]))
    if saved > WORTHWHILE * before:
        return f"{what} in the {name}: saves {format_seconds(saved)} within {format_bytes(budget)}; {waits}."
    blocks = [block for block in prepared.schedule.blocks if block.component in stages]
    if any(block.falls_back for block in blocks):
        most = format_bytes(prepared.setting.device.engine_bytes)
        return f"Cut the {name} into packages of at most {most}, which the Neural Engine takes: {waits}."
    if _compiling_s(prepared, stages) > stall_s / 2:
        return (
            f"Cut the {name} into smaller packages, which compile faster for the Neural Engine: {waits}, most of it "
            "for first loads there. A later launch (start: cached) does not pay them."
        )
    return f"Store the {name} smaller: {waits}, which neither loading ahead nor keeping blocks shortens."


def _compiling_s(prepared: Prepared, stages: list[str]) -> float:
    """What first loads on the Neural Engine add to these components' loads."""
    costs, blocks = prepared.costs, prepared.schedule.blocks
    return sum(
        float(costs.load_cold_s[visit.block, 0] - costs.load_warm_s[visit.block, 0])
        for visit in prepared.schedule.visits
        if visit.loads
        and visit.cold
        and blocks[visit.block].processor == "ane"
        and blocks[visit.block].component in stages
    )
