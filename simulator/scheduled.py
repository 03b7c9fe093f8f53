"""The schedule that is simulated, as data for whoever plays it (plans/schedule_file.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ondevice_sora.base.hashing import hash_of
from ondevice_sora.plans.leap import resolved
from ondevice_sora.plans.schedule_file import (
    FORMAT,
    Predicted,
    ProfileName,
    ScheduledBlock,
    ScheduledPass,
    ScheduledVisit,
    ScheduleFile,
)
from ondevice_sora.plans.schema import Plan, plan_hash
from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.profiles.profile import profile_data
from ondevice_sora.simulator.prepare import Described, Prepared, Setting, ready


class Function(NamedTuple):
    """Where a block in a variant is found: a package, and a function of it."""

    package: str
    function: str


def to_play(plan: Plan, described: Described, setting: Setting) -> Prepared:
    """The plan made ready as it is played: under dynamic LPL with every step, of which the last may not come.

    What `keep: optimal` comes to is what it comes to in a simulation, where `stop_steps` say how a run ends. Raises
    UserError as `ready`.
    """
    most = plan.most_evaluations()
    if plan.lpl.mode == "dynamic" and not plan.lpl.stop_steps:
        return ready(plan, described, setting, most)
    return ready(plan, described, setting).changed(evaluations=most)


def schedule_file(prepared: Prepared, function_of: Callable[[BlockSpec], Function], manifest: str) -> ScheduleFile:
    """The schedule with prices and prediction. `manifest` is the hash of the export's, which has the packages.

    Raises UserError for dynamic LPL without a rule to play by.
    """
    plan, setting, schedule, costs = prepared.plan, prepared.setting, prepared.schedule, prepared.costs
    memory = prepared.machine.memory
    outcome = prepared.play(is_limited=False)
    seconds = zip(*(array[:, 0].tolist() for array in costs.seconds), strict=True)
    blocks = tuple(
        ScheduledBlock(
            component=spec.component,
            number=spec.index,
            name=spec.name,
            variant=spec.variant,
            package=function_of(spec).package,
            function=function_of(spec).function,
            lane=spec.processor,
            resident_bytes=costs.resident_bytes[index],
            working_bytes=costs.working_bytes[index],
            stored_bytes=costs.stored_bytes[index],
            load_s=warm_s,
            first_load_s=cold_s,
            run_s=run_s,
            first_run_s=first_run_s,
            unload_s=unload_s,
        )
        for index, (spec, (warm_s, cold_s, run_s, first_run_s, unload_s)) in enumerate(
            zip(schedule.blocks, seconds, strict=True)
        )
    )
    first = [schedule.visits[each.first] for each in schedule.passes]
    return ScheduleFile(
        format=FORMAT,
        plan=plan.name,
        plan_sha256=plan_hash(plan),
        manifest_sha256=manifest,
        device=setting.device.name,
        profile=ProfileName(setting.profile.name, hash_of(profile_data(setting.profile))),
        limit_bytes=setting.limit_bytes,
        limit_source=setting.limit_source,
        budget_bytes=None if plan.memory.budget is None else int(plan.memory.budget),
        baseline_bytes=memory.baseline,
        needed_bytes=schedule.needed_bytes,
        transient_share=memory.transient,
        residual_share=memory.residual,
        predicted=Predicted(outcome.total_s, outcome.peak_bytes),
        leap=resolved(plan.lpl, plan.sampler.evaluations),
        blocks=blocks,
        held=schedule.held,
        left=tuple(number for number, is_left in enumerate(schedule.columns.is_left) if is_left),
        passes=tuple(
            ScheduledPass(schedule.blocks[visit.block].component, visit.step, each.first, each.length)
            for each, visit in zip(schedule.passes, first, strict=True)
        ),
        visits=tuple(ScheduledVisit(*visit) for visit in schedule.visits),
    )
