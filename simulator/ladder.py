"""Simulate a plan on one device after another, each under its limit without and with the memory entitlement."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.interrupts import check
from ondevice_sora.plans.plan_file import LoadedPlan
from ondevice_sora.profiles.devices import Device
from ondevice_sora.records.ladder import Ladder, Rung
from ondevice_sora.simulator.core_ai import assumptions
from ondevice_sora.simulator.prepare import model_of
from ondevice_sora.simulator.simulate import simulate
from ondevice_sora.simulator.unpriced import unpriced_in


def rung_of(device: Device, entitlement: bool) -> Rung:
    """A device's limit, with nothing tried on it yet. Raises UserError if no such limit is known."""
    limit = device.memory_limit(entitlement)
    return Rung(device.name, device.key, entitlement, round(limit.limit_bytes.value), limit.limit_bytes.mark)


def ladder(
    plan: str, devices: Sequence[Device], attempt: Callable[[Device, Rung], Rung], notes: Sequence[str] = ()
) -> Ladder:
    """Every device under both limits, from the lowest limit and the slowest chip up; what fails says why."""
    rungs = []
    for entitlement in (False, True):
        found = []
        for device in devices:
            check()
            gpu = device.hardware.gpu_flops_per_s
            try:
                rung = rung_of(device, entitlement)
            except UserError:
                continue  # nobody has published a limit for it
            try:
                rung = attempt(device, rung)
            except UserError as error:
                rung = replace(rung, problem=error.what)
            found.append((rung.limit_bytes, 0.0 if gpu is None else gpu.value, rung))
        rungs += [rung for _, _, rung in sorted(found, key=lambda each: each[:2])]
    return Ladder(plan, rungs, list(notes))


def simulated(
    loaded: LoadedPlan, profile: str, rung: Rung, os_version: str | None = None, is_thermal: bool = False
) -> Rung:
    """The rung with what a plan comes to there; `profile` is a device's key or a profile file. Raises UserError."""
    memory = replace(loaded.plan.memory, entitlement=rung.entitlement)
    result = simulate(
        loaded.changed(memory=memory), profile, os_version=os_version, is_thermal=is_thermal, with_advice=False
    ).result
    return replace(
        rung,
        limit_bytes=result.limit_bytes,
        verdict=result.verdict,
        total_s=result.total_s,
        unlimited_s=result.unlimited_s,
        peak_bytes=result.needed_bytes,
        kill_share=result.kill_share,
        interval_s=None if result.unpriced else result.interval_s,
        is_unpriced=bool(result.unpriced),
    )


def which_phones(
    loaded: LoadedPlan, devices: Sequence[Device], os_version: str | None = None, is_thermal: bool = False
) -> Ladder:
    """A plan on several devices. Raises UserError for a plan that none could be tried with."""
    return ladder(
        loaded.plan.name,
        devices,
        lambda device, rung: simulated(loaded, device.key, rung, os_version, is_thermal),
        notes_of(loaded),
    )


def notes_of(loaded: LoadedPlan) -> list[str]:
    """What the figures of a plan assume. Raises UserError where its model cannot be had."""
    unpriced = unpriced_in(model_of(loaded).model)
    return [*([] if unpriced is None else [unpriced]), *assumptions(loaded.plan)]
