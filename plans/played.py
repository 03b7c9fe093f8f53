"""A schedule read back from its file, as engines take it: for the plan and the model that it was made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.loading import VisitColumns, compare_passes
from ondevice_sora.plans.partition import cut
from ondevice_sora.plans.schedule import Pass, Schedule, Visit, packages_of
from ondevice_sora.plans.schedule_file import MAKE_AGAIN, ScheduledBlock, ScheduledVisit, ScheduleFile
from ondevice_sora.plans.schema import Plan, plan_hash
from ondevice_sora.profiles.blocks import PROCESSORS, UNBOUNDED, BlockSpec
from ondevice_sora.profiles.costs import BlockCosts
from ondevice_sora.profiles.models.catalogue import Reference
from ondevice_sora.profiles.models.model import Model


class Played(NamedTuple):
    """A schedule read back: as engines take it, and what its blocks cost."""

    file: ScheduleFile
    schedule: Schedule
    costs: BlockCosts


def played(file: ScheduleFile, plan: Plan, model: Model, reference: Reference) -> Played:
    """What a file says of this plan of this model. Raises UserError if it is another plan's, or cut otherwise."""
    if file.plan_sha256 != plan_hash(plan):
        raise UserError(f"this is a schedule of another plan: '{file.plan}'", mend=MAKE_AGAIN)
    cuts = cut(plan, model, reference)
    blocks = []
    for each in file.blocks:
        found = cuts.get(each.component, ())
        if each.number >= len(found) or found[each.number].name != each.name:
            what = f"the schedule has a block '{each.name}' of {each.component}, which the plan does not have"
            raise UserError(what, mend=MAKE_AGAIN)
        block = found[each.number]
        precision = plan.component(each.component).stored
        falls_back = PROCESSORS[block.compute_units] == "ane" and each.lane == "gpu"
        spec = BlockSpec(
            model=model.name,
            component=each.component,
            index=each.number,
            name=each.name,
            units=block.units,
            variant=each.variant,
            precision=precision,
            compute_units=block.compute_units,
            engine_bytes=0 if falls_back else UNBOUNDED,
        )
        if spec.processor != each.lane:
            what = f"block '{each.name}' of {each.component} on the lane {each.lane}; the plan has {spec.processor}"
            raise UserError(what, mend=MAKE_AGAIN)
        blocks.append(spec)
    _check_walk(file, plan, model, {name: len(found) for name, found in cuts.items()})
    visits = tuple(Visit(*visit) for visit in file.visits)
    passes = tuple(Pass(each.first, each.length) for each in file.passes)
    schedule = Schedule(plan, tuple(blocks), visits, passes, file.needed_bytes, _columns(file, blocks, plan))
    return Played(file, schedule, _costs(file))


def _check_walk(file: ScheduleFile, plan: Plan, model: Model, num_blocks: dict[str, int]) -> None:
    """Raises UserError unless the passes are those of a generation by this plan."""
    evaluations = plan.most_evaluations()
    wanted = [
        (component.name, step, num_blocks[component.name])
        for component in model.components
        for step in range(evaluations if component.passes == "steps" else component.passes)
    ]
    if [(each.component, each.step, each.length) for each in file.passes] != wanted:
        raise UserError("the schedule's passes are not those of the plan", mend=MAKE_AGAIN)


def _columns(file: ScheduleFile, blocks: Sequence[BlockSpec], plan: Plan) -> VisitColumns:
    package = packages_of(blocks, plan.tdtm.is_separate)

    def column(value: Callable[[ScheduledVisit], int]) -> list[int]:
        return [int(value(visit)) for visit in file.visits]

    lengths = [each.length for each in file.passes]
    is_held, is_left = ([0] * len(blocks) for _ in range(2))
    for flags, numbers in ((is_held, file.held), (is_left, file.left)):
        for number in numbers:
            flags[package[number]] = 1
    columns = VisitColumns(
        block=column(lambda v: v.block),
        loads=column(lambda v: v.loads),
        cold=column(lambda v: v.cold),
        first_run=column(lambda v: v.first_run),
        gate=column(lambda v: v.gate),
        evicts=column(lambda v: v.evicts),
        leaves=column(lambda v: v.leaves),
        pass_length=lengths,
        pass_loads=[0] * len(lengths),
        pass_same_after=[0] * len(lengths),
        is_held=is_held,
        is_left=is_left,
    )
    compare_passes(columns)
    return columns


def _costs(file: ScheduleFile) -> BlockCosts:
    def seconds(value: Callable[[ScheduledBlock], float]) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.array([[value(block)] for block in file.blocks])

    none: tuple[dict[Any, float], ...] = ({},) * len(file.blocks)
    return BlockCosts(
        load_warm_s=seconds(lambda block: block.load_s),
        load_cold_s=seconds(lambda block: block.first_load_s),
        run_s=seconds(lambda block: block.run_s),
        first_run_s=seconds(lambda block: block.first_run_s),
        unload_s=seconds(lambda block: block.unload_s),
        resident_bytes=tuple(block.resident_bytes for block in file.blocks),
        working_bytes=tuple(block.working_bytes for block in file.blocks),
        stored_bytes=tuple(block.stored_bytes for block in file.blocks),
        load_marks=none,
        run_marks=none,
    )
