"""Simulate one plan on one device: from files to verdict, trace and interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from plans.schedule import MemoryModel, Pricer, Schedule, build_schedule
from plans.schema import Plan, Video
from profiles.catalogue import OPENSORA, Reference, listed_model, opensora_model
from profiles.costs import BlockCosts, BlockSpec, Costs, Sample, figures, price
from profiles.devices import Device
from profiles.documents import Document
from profiles.errors import UserError
from profiles.models import Model
from profiles.profile import Profile
from profiles.trace import Trace
from simulator.engine import Outcome, play
from simulator.evaluate import Finish, evaluate
from simulator.machine import Machine, machine_of

DEFAULT_VIDEO = Video(width=256, height=256, frames=68)
DEFAULT_TEXT_TOKENS = 300


@dataclass(frozen=True)
class Setting:
    """Where a plan is simulated: the device's costs, the limit on memory, and whether heat is applied."""

    profile: Profile
    device: Device
    limit_bytes: int
    limit_source: str
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


def setting_of(
    profile: Profile,
    device: Device,
    plan: Plan,
    *,
    memory_limit: int | None = None,
    os_version: str | None = None,
    is_thermal: bool = False,
    entitlement: bool | None = None,
) -> Setting:
    """The setting for a plan: its entitlement decides the device's limit unless a limit is given."""
    if memory_limit is not None:
        return Setting(profile, device, memory_limit, "given on the command line", is_thermal)
    wanted = plan.memory.entitlement if entitlement is None else entitlement
    row = device.memory_limit(wanted, os_version)
    return Setting(profile, device, round(row.limit_bytes.value), row.limit_bytes.source, is_thermal)


def model_of(plan: Plan, document: Document) -> tuple[Model, Reference]:
    """The plan's model at the plan's shape. Raises UserError where a listed model is asked for another shape."""
    if plan.model == OPENSORA:
        video = plan.video or DEFAULT_VIDEO
        tokens = plan.text_tokens if plan.text_tokens is not None else DEFAULT_TEXT_TOKENS
        branches = 2 if plan.sampler.guidance != 1.0 else 1
        try:
            return opensora_model(video.width, video.height, video.frames, tokens, branches)
        except UserError as error:
            raise document.error("$.video", error.what, error.mend) from None
    for key in ("video", "text_tokens"):
        if getattr(plan, key) is not None:
            raise document.error(
                f"$.{key}", f"has no effect: {plan.model} lists its units for one shape", "Remove it."
            )
    try:
        return listed_model(plan.model, document.path.parent)
    except UserError as error:
        if error.where is None:
            raise document.error("$.model", error.what, error.mend) from None
        raise


def memory_model(costs: Costs, limit_bytes: int) -> MemoryModel:
    return MemoryModel(
        baseline=round(costs.baseline_bytes.value),
        available=limit_bytes,
        transient=costs.loads.transient_share.value,
        residual=costs.loads.residual_share.value,
    )


def pricer(profile: Profile, device: Device, sample: Sample | None = None) -> Pricer:
    """A function that prices blocks on this device, for the figures' values or for a sample of them."""
    return partial(
        price,
        costs=profile.costs,
        sample=sample,
        measurements=profile.measurements,
        dram_bytes_per_s=device.hardware.dram_bytes_per_s.value,
    )


def prepare(plan: Plan, document: Document, setting: Setting, evaluations: int | None = None) -> Prepared:
    """Everything that is settled before the first second: model, schedule, prices. Raises UserError."""
    model, reference = model_of(plan, document)
    profile, device = setting.profile, setting.device
    memory = memory_model(profile.costs, setting.limit_bytes)
    schedule, costs = build_schedule(
        plan, model, reference, pricer(profile, device), memory, document, evaluations
    )
    machine = machine_of(profile.costs, setting.limit_bytes, is_thermal=setting.is_thermal)
    return Prepared(plan, model, setting, schedule, costs, machine)
