"""A plan with one thing changed, and the changes that several reports ask about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.checks import check_plan
from ondevice_sora.plans.schema import ComponentPlan, Lpl, Plan, Tdtm
from ondevice_sora.profiles.figures import ByteCount
from ondevice_sora.simulator.prepare import HEADROOM, Prepared, Setting, setting_of

LEAP_STEP = 15
"""Where LPL is proposed to leap, in plans of more steps than that leaves."""


@dataclass(frozen=True)
class Change:
    """What is changed, in words, and the plan and setting that it leads to."""

    title: str
    plan: Plan
    setting: Setting
    detail: str = ""


def tried(prepared: Prepared, changes: Iterable[Change]) -> Iterator[tuple[Change, Prepared]]:
    """Each change made ready. One whose plan is refused, or that no file could say, is left out."""
    for change in changes:
        try:
            check_plan(change.plan)
            yield change, prepared.changed(change.plan, change.setting)
        except UserError:
            continue


def leaping(prepared: Prepared) -> Plan | None:
    """The plan with LPL; None if it has it, or if leaping would save no step."""
    plan = prepared.plan
    if (
        plan.lpl.mode != "off"
        or plan.sampler.solver != "euler"
        or not prepared.model.is_rectified_flow
        or plan.sampler.evaluations <= LEAP_STEP + 1
    ):
        return None
    return replace(plan, lpl=Lpl(mode="fixed", leap_step=LEAP_STEP))


def without_leap(plan: Plan) -> Plan | None:
    """The plan without LPL; None if it has none."""
    return None if plan.lpl.mode == "off" else replace(plan, lpl=Lpl())


def merging(prepared: Prepared) -> Plan | None:
    """The plan with tokens merged on all steps; None if it merges some already, or if its model cannot."""
    if prepared.plan.tdtm.steps != "none" or not prepared.model.merges_tokens:
        return None
    return replace(prepared.plan, tdtm=Tdtm(steps="all"))


def without_merging(plan: Plan) -> Plan | None:
    """The plan without TDTM; None if it has none."""
    return None if plan.tdtm.steps == "none" else replace(plan, tdtm=Tdtm())


def with_entitlement(plan: Plan, setting: Setting, wanted: bool) -> tuple[Plan, Setting] | None:
    """The plan with or without the entitlement, its budget scaled as the limit. None if that stays or is unknown."""
    if setting.is_limit_given:
        return None
    changed = replace(plan, memory=replace(plan.memory, entitlement=wanted))
    try:
        place = setting_of(
            setting.profile, setting.device, changed, os_version=setting.os_version, is_thermal=setting.is_thermal
        )
    except UserError:
        return None
    if place.limit_bytes == setting.limit_bytes:
        return None
    if plan.memory.budget is not None:
        budget = ByteCount(plan.memory.budget * place.limit_bytes / setting.limit_bytes)
        changed = within(changed, budget)
    return changed, place


def within(plan: Plan, budget: ByteCount) -> Plan:
    """The plan held to a budget."""
    return replace(plan, memory=replace(plan.memory, budget=budget))


def budget_of(prepared: Prepared) -> ByteCount:
    """The plan's own budget, else one with some room below the limit."""
    return prepared.plan.memory.budget or ByteCount(prepared.setting.limit_bytes * HEADROOM)


def components_of(prepared: Prepared) -> dict[str, ComponentPlan]:
    """The settings of every component of the model, whether the plan gives them or not."""
    return {component.name: prepared.plan.component(component.name) for component in prepared.model.components}


def loading(prepared: Prepared, names: Iterable[str] | None = None, **settings: Any) -> Plan:
    """The plan with these components (all of them unless named) loaded otherwise, such as prefetch=0, keep="none".

    What stays loaded as long as the app lives goes on doing so.
    """
    own = components_of(prepared)
    names = list(own if names is None else names)
    stays = {name for name in names if own[name].keep == "always"}
    plan = with_settings(prepared, [name for name in names if name not in stays], **settings)
    return with_settings(prepared, stays, plan, **{**settings, "keep": "always"})


def with_settings(prepared: Prepared, names: Iterable[str], plan: Plan | None = None, **settings: Any) -> Plan:
    """The plan (its own unless given) with these settings of some components, under the keys that it has for them.

    Stages that share the entry of their family go on sharing it, if all of them are changed.
    """
    plan, names = plan or prepared.plan, list(names)
    model = [component.name for component in prepared.model.components]
    components = dict(plan.components)
    for name in names:
        entry = plan.entry(name)
        key = entry if all(other in names for other in model if plan.entry(other) == entry) else name
        components[key] = replace(plan.component(name), **settings)
    return replace(plan, components=components)
