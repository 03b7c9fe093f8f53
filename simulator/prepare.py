"""Make a plan ready to be simulated on a device: its model, its schedule, and what each block costs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.checks import check_merging_units, loaded_by_core_ai
from ondevice_sora.plans.optimal.question import Candidate
from ondevice_sora.plans.own_policy import Policy
from ondevice_sora.plans.plan_file import LoadedPlan, load_plan
from ondevice_sora.plans.schedule import Schedule
from ondevice_sora.plans.scheduling import build_schedule
from ondevice_sora.plans.schema import BlockEntry, Plan, Sampler, Tdtm
from ondevice_sora.profiles.blocks import PROCESSORS
from ondevice_sora.profiles.costs import BlockCosts, Sample
from ondevice_sora.profiles.devices import Device
from ondevice_sora.profiles.models.catalogue import (
    Architecture,
    Reference,
    architecture,
    configured_model,
    described_model,
    listed_model,
)
from ondevice_sora.profiles.models.configured import ConfiguredModel, Shape
from ondevice_sora.profiles.models.model import Component, Model, weight_bytes
from ondevice_sora.profiles.profile import Profile, load_profile
from ondevice_sora.simulator.engine import Outcome, play
from ondevice_sora.simulator.fast import Finish, finish
from ondevice_sora.simulator.machine import Machine, machine_of

HEADROOM = 0.92
"""A proposed budget stays this far within the limit."""
GIVEN = "given with the command"
"""The source of a limit that somebody has named."""


@dataclass(frozen=True)
class Setting:
    """Where a plan is simulated: the device's costs, the limit on memory, and whether heat is applied."""

    profile: Profile
    device: Device
    limit_bytes: int
    limit_source: str
    limit_spread: float = 0.0
    is_thermal: bool = False
    os_version: str | None = None

    @property
    def is_limit_given(self) -> bool:
        """Whether somebody said what the limit is, whatever the device and the entitlement."""
        return self.limit_source == GIVEN


class Described(NamedTuple):
    """A model at a plan's shape, and the partition of the reference app."""

    model: Model
    reference: Reference


@dataclass(frozen=True)
class Prepared:
    """A plan made ready for one setting: model (with the TDTM variants that the plan chooses), schedule and prices.

    `described` is the model with all its variants. A `policy` says what stays in memory, in place of the plan's `keep`.
    """

    plan: Plan
    described: Described
    model: Model
    setting: Setting
    schedule: Schedule
    costs: BlockCosts
    machine: Machine
    num_evaluations: int
    policy: Policy | None = None

    def changed(
        self, plan: Plan | None = None, setting: Setting | None = None, evaluations: int | None = None
    ) -> Prepared:
        """The same model with another plan, setting or number of network evaluations, where they differ.

        Raises UserError as `prepare`, about keys without lines.
        """
        plan, setting = plan or self.plan, setting or self.setting
        count = evaluations if evaluations is not None else plan.evaluations()
        if (plan, setting) != (self.plan, self.setting):
            return ready(plan, self.described, setting, count, policy=self.policy)
        # A generation that ends early or late goes by what was chosen before it began.
        if count == self.num_evaluations:
            return self
        return ready(plan, self.described, setting, count, self.schedule.chosen, self.policy)

    def num_passes(self, component: str) -> int:
        """How often a component is walked in the generation."""
        known = {each.name: each.passes for each in self.model.components}[component]
        return self.num_evaluations if known == "steps" else known

    def price(self, sample: Sample) -> BlockCosts:
        """What the schedule's blocks cost at samples of the profile's figures."""
        profile, device = self.setting.profile, self.setting.device
        is_cached = profile.fits_page_cache(device, stored_bytes(self.plan, self.model))
        return profile.pricer(device, sample, is_cached)(self.schedule.blocks)

    def play(self, is_limited: bool = True) -> Outcome:
        """The generation in virtual time. With is_limited=False the limit ends nothing."""
        return play(self.schedule, self.costs, self.machine, is_limited=is_limited)

    def finish(self) -> Finish:
        """Total, component times and peak without a limit, by the recurrence."""
        return finish(self.schedule, self.costs, self.machine)

    def outcomes(self) -> list[tuple[float, Prepared]]:
        """How likely each number of network evaluations is, and the plan made ready for it."""
        counts = self.plan.evaluation_odds().items()
        return [(probability, self.changed(evaluations=count)) for count, probability in counts]


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
        return Setting(profile, device, memory_limit, GIVEN, 0.0, is_thermal, os_version)
    row = device.memory_limit(plan.memory.entitlement, os_version)
    limit = row.limit_bytes
    return Setting(profile, device, round(limit.value), limit.source, limit.spread, is_thermal, os_version)


def load_inputs(
    plan: str | Path | LoadedPlan,
    device: str = "iphone15pro",
    *,
    memory_limit: int | None = None,
    os_version: str | None = None,
    is_thermal: bool = False,
) -> tuple[LoadedPlan, Setting]:
    """What a user names: a plan by path or name and a device by key or profile file, loaded. Raises UserError."""
    loaded = plan if isinstance(plan, LoadedPlan) else load_plan(plan)
    profile, facts = load_profile(device)
    return loaded, setting_of(
        profile, facts, loaded.plan, memory_limit=memory_limit, os_version=os_version, is_thermal=is_thermal
    )


def model_of(loaded: LoadedPlan) -> Described:
    """The plan's model at the plan's shape. Raises UserError where a listed model is asked for another shape."""
    with loaded.locating("$.model"):
        return described_in(loaded)


def described_in(loaded: LoadedPlan) -> Described:
    """The same; what is wrong is said of the setting, not of its line."""
    if loaded.listed is not None:
        return _listed_model_of(loaded)
    if isinstance(loaded.plan.model, ConfiguredModel):
        return _configured_model_of(loaded, loaded.plan.model)
    described = architecture(loaded.plan.model)
    return _listed_model_of(loaded) if described is None else described_as(loaded.plan, described)


def described_as(plan: Plan, described: Architecture) -> Described:
    """An architecture's model at the plan's shape."""
    video = plan.video or described.video
    tokens = plan.text_tokens if plan.text_tokens is not None else described.text_tokens
    shape = video.width, video.height, video.frames
    runs = plan.sampler.branch_runs
    batch = plan.sampler.num_branches // runs
    return Described(*described_model(described, *shape, tokens, plan.encoder_tokens, batch, runs))


def _configured_model_of(loaded: LoadedPlan, model: ConfiguredModel) -> Described:
    plan, video = loaded.plan, loaded.plan.video
    if plan.encoder_tokens is not None:
        what = "has no effect on a model that is described from a config"
        raise UserError(what, mend="Write text_tokens.", field="$.encoder_tokens")
    shape = None if video is None else Shape(video.width, video.height, video.frames)
    sampler = plan.sampler
    described = configured_model(model, loaded.folder, shape, sampler.num_branches, plan.text_tokens, sampler.branches)
    return Described(*described)


def _listed_model_of(loaded: LoadedPlan) -> Described:
    plan = loaded.plan
    # a name that nobody knows is told before what has no effect
    described = Described(loaded.listed, {}) if loaded.listed is not None else _model_in_a_file(loaded)
    for key in ("video", "text_tokens", "encoder_tokens"):
        if getattr(plan, key) is not None:
            what = f"has no effect: {plan.model} lists its units for one shape"
            raise UserError(what, mend="Remove it.", field=f"$.{key}")
    for field in ("$.sampler.guidance", "$.sampler.branches"):
        if loaded.says(field) or (field.endswith("branches") and plan.sampler.branches != "batch"):
            what = f"has no effect: {plan.model} lists its units for the branches it has"
            raise UserError(what, mend="Remove it.", field=field)
    return described


def _model_in_a_file(loaded: LoadedPlan) -> Described:
    assert isinstance(loaded.plan.model, str)
    return Described(*listed_model(loaded.plan.model, loaded.folder))


def merging_as_planned(model: Model, plan: Plan) -> Model:
    """The model with TDTM variants of the units that the plan chooses.

    Raises UserError for a pattern of units that chooses none.
    """
    if plan.tdtm.units == Tdtm().units:
        return model
    units = [unit for component in model.components for unit in component.units if unit.tdtm is not None]
    names = [unit.name for unit in units]
    check_merging_units(plan, names)
    chosen = set(plan.tdtm.chosen(names))

    def masked(component: Component) -> Component:
        return replace(
            component,
            units=tuple(unit if unit.name in chosen else replace(unit, tdtm=None) for unit in component.units),
        )

    return replace(model, components=tuple(map(masked, model.components)))


def _check_techniques(plan: Plan, model: Model) -> None:
    """Raises UserError for a technique that the model cannot have."""
    if plan.lpl.mode != "off" and not model.is_rectified_flow:
        what = f"LPL leaps along a rectified flow, which {model.name} is not"
        raise UserError(what, mend="Remove `lpl`.", field="$.lpl")
    if not model.is_rectified_flow:
        for key in ("grid", "solver"):
            if getattr(plan.sampler, key) != getattr(Sampler(), key):
                what = f"this is for rectified flows, and {model.name} is none"
                raise UserError(what, mend="Remove it.", field=f"$.sampler.{key}")
    if plan.tdtm.steps != "none" and not model.merges_tokens:
        what = f"has no effect: no unit of {model.name} merges tokens"
        raise UserError(what, mend="Remove `tdtm`.", field="$.tdtm")


def _check_processors(plan: Plan, component: str, profile: Profile) -> None:
    """Raises UserError if a block is to run where the profile knows no costs."""
    settings, pointer = plan.component(component), f"$.components.{plan.entry(component)}"
    chosen = {f"{pointer}.compute_units": settings.compute_units}
    for row, entry in enumerate(settings.blocks if isinstance(settings.blocks, tuple) else ()):
        if isinstance(entry, BlockEntry) and entry.compute_units is not None:
            chosen[f"{pointer}.blocks[{row}].compute_units"] = entry.compute_units
    for field, compute_units in chosen.items():
        if PROCESSORS[compute_units] not in profile.costs.processors:
            known = [units for units, processor in PROCESSORS.items() if processor in profile.costs.processors]
            what = f"profile {profile.name} has no costs for '{compute_units}'"
            raise UserError(what, mend=f"It has some for: {', '.join(known)}.", field=field)


def check_loading(plan: Plan, setting: Setting) -> None:
    """Raises UserError if Core AI is to load a component on a device that does not have it."""
    name = loaded_by_core_ai(plan)
    if name is None:
        return
    device, version = setting.device, setting.os_version
    field = f"$.components.{name}.loading"
    if not device.has_core_ai(version):
        what = "Core AI runs models compiled ahead of time on an A17 Pro, an M1 or later chips, from system 27 on"
        here = device.chip if version is None else f"{device.chip}, {device.system} {version}"
        mend = f"Write loading: core_ml, or name another device than the {device.name} ({here})."
        raise UserError(what, mend=mend, field=field)
    if setting.profile.costs.core_ai is None:
        what = f"profile {setting.profile.name} has no figures for Core AI"
        raise UserError(what, mend="Write loading: core_ml, or give the profile costs.core_ai.", field=field)


def stored_bytes(plan: Plan, model: Model) -> int:
    """Bytes that the model's packages take on the device's storage, however it is cut.

    Where variants have packages of their own and both are used, units that merge are stored twice. One that does not,
    in a block with others that do, would be too.
    """
    variants = {plan.merges(step) for step in range(plan.most_evaluations())}
    times = 2 if plan.tdtm.is_separate and len(variants) == 2 else 1
    total = 0.0
    for component in model.components:
        numbers = sum(unit.stored * (times if unit.tdtm is not None else 1) for unit in component.units)
        total += numbers * weight_bytes(plan.component(component.name).stored)
    return round(total)


def prepare(loaded: LoadedPlan, setting: Setting, policy: Policy | None = None) -> Prepared:
    """Everything that is settled before the first second: model, schedule, prices.

    Raises UserError for a plan that cannot be kept on this device, naming the plan's line.
    """
    described = model_of(loaded)
    with loaded.locating():
        return ready(loaded.plan, described, setting, policy=policy)


def ready(
    plan: Plan,
    described: Described,
    setting: Setting,
    evaluations: int | None = None,
    chosen: Candidate | None = None,
    policy: Policy | None = None,
) -> Prepared:
    """`prepare` for a model that is there already. `evaluations` is the plan's own number unless given.

    `chosen` is what `keep: optimal` came to, if that is not to be decided anew. Raises UserError about keys of
    the plan without lines.
    """
    model = merging_as_planned(described.model, plan)
    _check_techniques(plan, model)
    if plan.lpl.mode == "dynamic" and not plan.lpl.stop_steps and evaluations is None:
        what = "a simulation of dynamic LPL needs stop_steps: it does not see the video that the rule looks at"
        raise UserError(what, mend="Add `stop_steps: {17: 0.6, 18: 0.4}`, for instance.", field="$.lpl")
    profile, device = setting.profile, setting.device
    for component in model.components:
        _check_processors(plan, component.name, profile)
    check_loading(plan, setting)
    evaluations = evaluations if evaluations is not None else plan.evaluations()
    machine = machine_of(profile.costs, setting.limit_bytes, is_thermal=setting.is_thermal)
    is_cached = profile.fits_page_cache(device, stored_bytes(plan, model))
    price = profile.pricer(device, is_cached=is_cached)

    def scheduled(count: int, chosen: Candidate | None) -> tuple[Schedule, BlockCosts]:
        return build_schedule(
            plan,
            model,
            described.reference,
            price,
            machine.memory,
            count,
            device.engine_bytes,
            machine.speeds,
            chosen,
            policy,
        )

    schedule, costs = scheduled(evaluations, chosen)
    most = plan.most_evaluations()
    if chosen is None and schedule.chosen is not None and evaluations < most:
        # What is kept must fit however late the generation ends: a variant that comes back is kept until then.
        try:
            scheduled(most, schedule.chosen)
        except UserError:
            schedule, costs = scheduled(evaluations, scheduled(most, None)[0].chosen)
    return Prepared(plan, described, model, setting, schedule, costs, machine, evaluations, policy)
