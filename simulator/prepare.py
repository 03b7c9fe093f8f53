"""Simulate one plan on one device: from files to verdict, trace and interval."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from msgspec.structs import replace

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.documents import Document
from ondevice_sora.plans.schedule import MemoryModel, Pricer, Schedule, build_schedule
from ondevice_sora.plans.schema import BlockEntry, Plan, Tdtm, check_merging_units
from ondevice_sora.profiles.blocks import PROCESSORS
from ondevice_sora.profiles.costs import BlockCosts, Costs, price
from ondevice_sora.profiles.devices import Device
from ondevice_sora.profiles.models.catalogue import Reference, architecture, described_model, listed_model
from ondevice_sora.profiles.models.model import Component, Model
from ondevice_sora.profiles.profile import Profile
from ondevice_sora.simulator.machine import Machine, machine_of


@dataclass(frozen=True)
class Setting:
    """Where a plan is simulated: the device's costs, the limit on memory, and whether heat is applied."""

    profile: Profile
    device: Device
    limit_bytes: int
    limit_source: str
    limit_spread: float = 0.0
    is_thermal: bool = False


@dataclass(frozen=True)
class Prepared:
    """A plan made ready for one setting: model, schedule and prices."""

    plan: Plan
    model: Model
    setting: Setting
    schedule: Schedule
    costs: BlockCosts
    machine: Machine
    num_evaluations: int


def setting_of(
    profile: Profile,
    device: Device,
    plan: Plan,
    *,
    memory_limit: int | None = None,
    os_version: str | None = None,
    is_thermal: bool = False,
) -> Setting:
    """The setting for a plan: its entitlement decides the device's limit unless a limit is given."""
    if memory_limit is not None:
        return Setting(profile, device, memory_limit, "given with the command", 0.0, is_thermal)
    row = device.memory_limit(plan.memory.entitlement, os_version)
    limit = row.limit_bytes
    return Setting(profile, device, round(limit.value), limit.source, limit.spread, is_thermal)


def model_of(plan: Plan, document: Document) -> tuple[Model, Reference]:
    """The plan's model at the plan's shape, with TDTM variants of the units that the plan chooses.

    Raises UserError where a listed model is asked for another shape.
    """
    model, reference = _whole_model_of(plan, document)
    return _merging_as_planned(model, plan, document), reference


def _merging_as_planned(model: Model, plan: Plan, document: Document) -> Model:
    """Raises UserError for a pattern of units that chooses none."""
    if plan.tdtm.units == Tdtm().units:
        return model
    units = [unit for component in model.components for unit in component.units if unit.tdtm is not None]
    names = [unit.name for unit in units]
    check_merging_units(plan, document, names)
    chosen = set(plan.tdtm.chosen(names))

    def masked(component: Component) -> Component:
        return replace(
            component,
            units=tuple(unit if unit.name in chosen else replace(unit, tdtm=None) for unit in component.units),
        )

    return replace(model, components=tuple(map(masked, model.components)))


def _whole_model_of(plan: Plan, document: Document) -> tuple[Model, Reference]:
    described = architecture(plan.model)
    if described is not None:
        video = plan.video or described.video
        tokens = plan.text_tokens if plan.text_tokens is not None else described.text_tokens
        branches = 2 if plan.sampler.guidance != 1.0 else 1
        try:
            shape = video.width, video.height, video.frames
            return described_model(described, *shape, tokens, plan.encoder_tokens, branches)
        except UserError as error:
            about = error.what.partition(" ")[0]  # the message begins with it
            where = f"$.{about}" if about.endswith("_tokens") else f"$.video.{about}"
            raise document.error(where, error.what, error.mend) from None
    for key in ("video", "text_tokens", "encoder_tokens"):
        if getattr(plan, key) is not None:
            raise document.error(f"$.{key}", f"has no effect: {plan.model} lists its units for one shape", "Remove it.")
    if "$.sampler.guidance" in document.lines:
        what = f"has no effect: {plan.model} lists its units for the branches it has"
        raise document.error("$.sampler.guidance", what, "Remove it.")
    try:
        return listed_model(plan.model, document.file_of("$.model").parent)
    except UserError as error:
        if error.where is None:
            raise document.error("$.model", error.what, error.mend) from None
        raise


def _check_processors(plan: Plan, component: str, profile: Profile, document: Document) -> None:
    """Raises UserError if a block is to run where the profile knows no costs."""
    settings, pointer = plan.component(component), f"$.components.{plan.entry(component)}"
    chosen = {f"{pointer}.compute_units": settings.compute_units}
    for row, entry in enumerate(settings.blocks if isinstance(settings.blocks, tuple) else ()):
        if isinstance(entry, BlockEntry) and entry.compute_units is not None:
            chosen[f"{pointer}.blocks[{row}].compute_units"] = entry.compute_units
    for where, compute_units in chosen.items():
        if PROCESSORS[compute_units] not in profile.costs.processors:
            known = [units for units, processor in PROCESSORS.items() if processor in profile.costs.processors]
            raise document.error(
                where,
                f"profile {profile.name} has no costs for '{compute_units}'",
                f"It has some for: {', '.join(known)}.",
            )


def memory_model(costs: Costs, limit_bytes: int) -> MemoryModel:
    return MemoryModel(
        baseline=round(costs.baseline_bytes.value),
        available=limit_bytes,
        transient=costs.loads.transient_share.value,
        residual=costs.loads.residual_share.value,
    )


def pricer(profile: Profile, device: Device) -> Pricer:
    """A function that prices blocks on this device at the figures' values."""
    return partial(
        price,
        costs=profile.costs,
        measurements=profile.measurements,
        dram_bytes_per_s=device.hardware.dram_bytes_per_s.value,
    )


def prepare(plan: Plan, document: Document, setting: Setting, evaluations: int | None = None) -> Prepared:
    """Everything that is settled before the first second: model, schedule, prices. Raises UserError."""
    model, reference = model_of(plan, document)
    evaluations = evaluations if evaluations is not None else plan.evaluations()
    if plan.lpl.mode != "off" and not model.is_rectified_flow:
        raise document.error("$.lpl", f"LPL leaps along a rectified flow, which {model.name} is not", "Remove `lpl`.")
    if plan.tdtm.steps != "none" and not model.merges_tokens:
        raise document.error("$.tdtm", f"has no effect: no unit of {model.name} merges tokens", "Remove `tdtm`.")
    if plan.lpl.mode == "dynamic" and not plan.lpl.stop_steps:
        what = "a simulation of dynamic LPL needs stop_steps: it does not see the video that the rule looks at"
        raise document.error("$.lpl", what, "Add `stop_steps: {17: 0.6, 18: 0.4}`, for instance.")
    profile, device = setting.profile, setting.device
    for component in model.components:
        _check_processors(plan, component.name, profile, document)
    memory = memory_model(profile.costs, setting.limit_bytes)
    schedule, costs = build_schedule(plan, model, reference, pricer(profile, device), memory, document, evaluations)
    machine = machine_of(profile.costs, setting.limit_bytes, is_thermal=setting.is_thermal)
    return Prepared(plan, model, setting, schedule, costs, machine, evaluations)
