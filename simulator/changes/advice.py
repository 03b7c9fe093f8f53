"""What to change next, most telling first. Every saving named was simulated."""

from __future__ import annotations

from msgspec.structs import replace

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.units import format_bytes, format_seconds
from ondevice_sora.plans.schema import ComponentPlan, Memory
from ondevice_sora.profiles.figures import ByteCount
from ondevice_sora.profiles.models.model import family
from ondevice_sora.records.result import ComponentResult
from ondevice_sora.records.trace import Kill
from ondevice_sora.simulator.engine import Outcome
from ondevice_sora.simulator.fast import evaluate
from ondevice_sora.simulator.prepare import Prepared, Setting

NOTICEABLE = 0.03
"""Waiting for loads is worth a word from this share of the total on."""
WORTHWHILE = 0.01
"""A change is worth proposing from this share of the total on."""
HEADROOM = 0.92
"""A proposed budget stays this far within the limit."""


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
    plan = prepared.plan
    if plan.lpl.mode == "off" and prepared.model.is_rectified_flow and plan.sampler.steps > 16:
        found.append("Leap early: LPL at step 15 leaves 16 network evaluations (lpl: {mode: fixed, leap_step: 15}).")
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
    before = evaluate(prepared.schedule, prepared.costs, prepared.machine).total_s
    stages = [c.name for c in prepared.model.components if family(c.name) == name]
    plan, setting = prepared.plan, prepared.setting
    budget = plan.memory.budget or ByteCount(setting.limit_bytes * HEADROOM)
    savings = []
    for what, change in (
        ("Load ahead (prefetch: 2)", {"prefetch": 2}),
        ("Load ahead and keep what fits (prefetch: 2, keep: optimal)", {"prefetch": 2, "keep": "optimal"}),
    ):
        settings: dict[str, ComponentPlan] = {stage: replace(plan.component(stage), **change) for stage in stages}
        changed = replace(
            plan,
            components={**plan.components, **settings},
            memory=Memory(budget=budget, entitlement=plan.memory.entitlement),
        )
        try:
            other = prepared.changed(changed, evaluations=prepared.num_evaluations)
        except UserError:
            continue
        savings.append((before - evaluate(other.schedule, other.costs, other.machine).total_s, what))
    saved, what = max(savings, default=(0.0, ""), key=lambda pair: pair[0] - 0.001 * before * ("keep" in pair[1]))
    if saved > WORTHWHILE * before:
        within = format_bytes(budget)
        return f"{what} in the {name}: saves {format_seconds(saved)} within {within}; {waits}."
    return f"Store the {name} smaller: {waits}, which neither loading ahead nor keeping blocks shortens."
