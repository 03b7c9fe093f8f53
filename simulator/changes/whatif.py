"""The same plan with one thing changed: another limit, another device, a technique less or more."""

from __future__ import annotations

from collections.abc import Iterator

from ondevice_sora.base.errors import UserError
from ondevice_sora.profiles.devices import load_device
from ondevice_sora.profiles.profile import load_profile
from ondevice_sora.records.result import Verdict, WhatIf
from ondevice_sora.simulator.changes.change import (
    LEAP_STEP,
    Change,
    budget_of,
    components_of,
    leaping,
    loading,
    merging,
    tried,
    with_entitlement,
    within,
    without_leap,
    without_merging,
)
from ondevice_sora.simulator.prepare import Prepared, setting_of

OLDER_AND_NEWER = ("iphone14pro", "iphone15pro", "iphone16pro", "iphone17pro")
WITH_TDTM = "With TDTM"
FITS: Verdict = "fits"
KILLED: Verdict = "killed"


def what_ifs(prepared: Prepared) -> list[WhatIf]:
    """One row for each change that applies. A change whose plan is refused is left out.

    So is TDTM where it takes longer: the cost of a merge was fitted to Open-Sora and is the same for a model of any
    size, so that of a small model it says nothing.
    """
    rows = []
    for change, other in tried(prepared, _changes(prepared)):
        if change.title == WITH_TDTM and other.finish().total_s > prepared.finish().total_s:
            continue
        outcome = other.play()
        total, verdict = (None, KILLED) if outcome.kill else (outcome.total_s, FITS)
        limit = change.setting.limit_bytes
        rows.append(WhatIf(change.title, change.detail, verdict, total, outcome.peak_bytes, limit))
    return rows


def _changes(prepared: Prepared) -> Iterator[Change]:
    yield from _entitlement(prepared)
    yield from _devices(prepared)
    plan, setting = prepared.plan, prepared.setting
    if changed := leaping(prepared):
        yield Change("With LPL", changed, setting, f"leap at step {LEAP_STEP}")
    if changed := without_leap(plan):
        yield Change("Without LPL", changed, setting, f"all {plan.sampler.evaluations} steps")
    if changed := merging(prepared):
        yield Change(WITH_TDTM, changed, setting, "tokens merged on all steps")
    if changed := without_merging(plan):
        yield Change("Without TDTM", changed, setting, "no tokens merged")
    components = components_of(prepared).values()
    if any(component.prefetch != 0 or component.keep != "none" for component in components):
        changed = loading(prepared, prefetch=0, keep="none")
        yield Change("Without CI-DL", changed, setting, "loads when needed, nothing kept")
    if all(component.keep != "optimal" for component in components):
        budget = budget_of(prepared)
        ours = within(loading(prepared, prefetch=2, keep="optimal"), budget)
        detail = f"prefetch 2, residents chosen within {budget / 1e9:.2f} GB"
        yield Change("With our schedule", ours, setting, detail)


def _entitlement(prepared: Prepared) -> Iterator[Change]:
    wanted = not prepared.plan.memory.entitlement
    if changed := with_entitlement(prepared.plan, prepared.setting, wanted):
        title = "With the entitlement" if wanted else "Without the entitlement"
        yield Change(title, *changed, f"limit {changed[1].limit_bytes / 1e9:.1f} GB")


def _devices(prepared: Prepared) -> Iterator[Change]:
    """The models of a year before and a year after."""
    setting = prepared.setting
    if setting.device.key not in OLDER_AND_NEWER:
        return
    at = OLDER_AND_NEWER.index(setting.device.key)
    for index in (at - 1, at + 1):
        if 0 <= index < len(OLDER_AND_NEWER):
            device = load_device(OLDER_AND_NEWER[index])
            profile, _ = load_profile(device.key)
            try:
                place = setting_of(profile, device, prepared.plan, is_thermal=setting.is_thermal)
            except UserError:
                continue
            costs = "scaled" if "scaled from" in profile.conditions else "fitted"
            detail = f"{device.chip}, {costs} costs, limit {place.limit_bytes / 1e9:.1f} GB"
            yield Change(f"On {device.name}", prepared.plan, place, detail)
