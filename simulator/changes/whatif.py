"""The same plan with one thing changed: another limit, another device, a technique less or more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from msgspec.structs import replace

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.schema import ComponentPlan, Lpl, Memory, Plan, Tdtm
from ondevice_sora.profiles.devices import load_device
from ondevice_sora.profiles.figures import ByteCount
from ondevice_sora.profiles.models.model import Model
from ondevice_sora.profiles.profile import load_profile
from ondevice_sora.records.result import Verdict, WhatIf
from ondevice_sora.simulator.changes.advice import HEADROOM
from ondevice_sora.simulator.engine import play
from ondevice_sora.simulator.prepare import Prepared, Setting, setting_of

OLDER_AND_NEWER = ("iphone14pro", "iphone15pro", "iphone16pro", "iphone17pro")
FITS: Verdict = "fits"
KILLED: Verdict = "killed"
Change = tuple[str, str, Plan, Setting]


def what_ifs(prepared: Prepared) -> list[WhatIf]:
    """One row for each change that applies. A change whose plan is refused is left out."""
    rows = []
    for title, detail, changed, place in _changes(prepared.plan, prepared.model, prepared.setting):
        try:
            other = prepared.changed(changed, place)
        except UserError:
            continue
        outcome = play(other.schedule, other.costs, other.machine)
        total, verdict = (None, KILLED) if outcome.kill else (outcome.total_s, FITS)
        rows.append(WhatIf(title, detail, verdict, total, outcome.peak_bytes, place.limit_bytes))
    return rows


def _changes(plan: Plan, model: Model, setting: Setting) -> Iterator[Change]:
    yield from _entitlement(plan, setting)
    yield from _devices(plan, setting)
    if plan.lpl.mode == "off":
        if model.is_rectified_flow and plan.sampler.steps > 16:
            yield "With LPL", "leap at step 15", replace(plan, lpl=Lpl(mode="fixed", leap_step=15)), setting
    else:
        yield "Without LPL", f"all {plan.sampler.steps} steps", replace(plan, lpl=Lpl()), setting
    if plan.tdtm.steps == "none":
        if model.merges_tokens:
            yield "With TDTM", "tokens merged on all steps", replace(plan, tdtm=Tdtm(steps="all")), setting
    else:
        yield "Without TDTM", "no tokens merged", replace(plan, tdtm=Tdtm()), setting
    if any(component.prefetch != 0 or component.keep != "none" for component in _all(plan)):
        yield "Without CI-DL", "loads when needed, nothing kept", _loading(plan, 0, "none"), setting
    if all(component.keep != "optimal" for component in _all(plan)):
        budget = plan.memory.budget or ByteCount(setting.limit_bytes * HEADROOM)
        ours = replace(_loading(plan, 2, "optimal"), memory=replace(plan.memory, budget=budget))
        yield "With our schedule", f"prefetch 2, residents chosen within {budget / 1e9:.2f} GB", ours, setting


def _entitlement(plan: Plan, setting: Setting) -> Iterator[Change]:
    wanted = not plan.memory.entitlement
    changed = replace(plan, memory=replace(plan.memory, entitlement=wanted))
    try:
        place = setting_of(setting.profile, setting.device, changed, is_thermal=setting.is_thermal)
    except UserError:
        return
    if place.limit_bytes == setting.limit_bytes:
        return
    if plan.memory.budget is not None:
        budget = ByteCount(plan.memory.budget * place.limit_bytes / setting.limit_bytes)
        changed = replace(changed, memory=Memory(budget=budget, entitlement=wanted))
    title = "With the entitlement" if wanted else "Without the entitlement"
    yield title, f"limit {place.limit_bytes / 1e9:.1f} GB", changed, place


def _devices(plan: Plan, setting: Setting) -> Iterator[Change]:
    if setting.device.key not in OLDER_AND_NEWER:
        return
    at = OLDER_AND_NEWER.index(setting.device.key)
    for index in (at - 1, at + 1):
        if 0 <= index < len(OLDER_AND_NEWER):
            device = load_device(OLDER_AND_NEWER[index])
            profile, _ = load_profile(device.key)
            try:
                place = setting_of(profile, device, plan, is_thermal=setting.is_thermal)
            except UserError:
                continue
            yield (
                f"On {device.name}",
                f"{device.chip}, scaled costs, limit {place.limit_bytes / 1e9:.1f} GB",
                plan,
                place,
            )


def _all(plan: Plan) -> list[ComponentPlan]:
    return list(plan.components.values()) or [ComponentPlan()]


def _loading(plan: Plan, prefetch: int, keep: Literal["none", "optimal"]) -> Plan:
    components = {name: replace(settings, prefetch=prefetch, keep=keep) for name, settings in plan.components.items()}
    return replace(plan, components=components)
