"""Single changes that may help a plan: more or less memory, other loading, other cuts, smaller weights, fewer steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from msgspec.structs import replace

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.units import format_bytes, format_count, format_seconds
from ondevice_sora.plans.schema import ComponentPlan, Lpl, Plan, UnitsPerBlock
from ondevice_sora.plans.step_file import PlannedGrid, StepFile, read_steps, shipped_steps
from ondevice_sora.plans.step_plan import Grid
from ondevice_sora.profiles.figures import ByteCount
from ondevice_sora.profiles.models.model import Component, Precision, WeightFormat, family, weight_format
from ondevice_sora.records.result import ComponentResult
from ondevice_sora.simulator.changes.change import Change, components_of, with_entitlement, with_settings, within
from ondevice_sora.simulator.limit import usual_budget
from ondevice_sora.simulator.prepare import Prepared, Setting

NOTICEABLE = 0.03
"""Waiting for loads is worth a word from this share of the total on."""
GRIDS = (8, 12)
"""Numbers of evaluations that are tried of a model with planned grids."""
FEWER_STEPS = 16
"""Steps that are tried of a model without."""
SMALLER: dict[Precision, Precision] = {
    "float32": "int8_float32", "float16": "int8", "mixed": "int8", "int8": "int4", "int8_float32": "int4_float32",
}  # fmt: skip
"""The next fewer bits for weights, with the arithmetic that there is."""
NOT_MEASURED = "what it does to the picture was not measured"


@dataclass(frozen=True)
class Proposal:
    """A change to try. Of those of one `kind` the best is told. `keys` stand in for the difference of the plans."""

    kind: str
    change: Change
    reason: str | None = None
    quality: str | None = None
    keys: tuple[str, ...] = ()


def budget_below(setting: Setting) -> ByteCount:
    """The most that a plan should allow itself on a device, in three figures, as one writes it."""
    most = usual_budget(setting)
    step = 10 ** max(0, len(str(most)) - 3)
    return ByteCount(most // step * step)


def to_fit(prepared: Prepared) -> Iterator[Proposal]:
    """What may bring a plan below the limit: a budget, other residents, smaller blocks, fewer bits; the entitlement."""
    plan, setting = prepared.plan, prepared.setting
    budget = budget_below(setting)
    yield Proposal("budget", Change("Give the plan a budget that fits", within(plan, budget), setting))
    kept = with_settings(prepared, components_of(prepared), within(plan, budget), keep="belady")
    kept = replace(kept, start="cached") if kept.start == "loaded" else kept  # nothing stays loaded any more
    yield Proposal("budget", Change("Give the plan a budget, and keep only what fits in it", kept, setting))
    too_large = list(_too_large(prepared, budget))
    if too_large:
        cut = within(plan, budget)
        for component in too_large:
            size = _largest_cut(prepared, component, budget)
            if size is not None:
                cut = with_settings(prepared, [component.name], cut, blocks=UnitsPerBlock(size))
        names = " and ".join(component.name for component in too_large)
        yield Proposal("blocks", Change(f"Cut {names} smaller, and give the plan a budget", cut, setting))
        yield from _with_fewer_bits(prepared, [component.name for component in too_large], budget)
    yield from _for_the_engine(prepared)
    if not plan.memory.entitlement and (changed := with_entitlement(plan, setting, True)):
        allowed = f"{setting.device.name} allows {format_bytes(changed[1].limit_bytes)} with it"
        yield Proposal("entitlement", Change("Ask for the increased-memory entitlement", *changed), reason=allowed)


def _too_large(prepared: Prepared, budget: int) -> Iterator[Component]:
    """The components that have a block which does not fit even alone."""
    for component in prepared.model.components:
        if _largest_need(prepared, component.name) > budget:
            yield component


def _largest_need(prepared: Prepared, component: str) -> int:
    """Bytes that the largest block of a component needs with nothing else in memory."""
    costs, memory = prepared.costs, prepared.machine.memory
    transient, _ = memory.shares_of(costs.resident_bytes)
    return memory.baseline + max(
        costs.resident_bytes[row] + max(costs.working_bytes[row], transient[row])
        for row, block in enumerate(prepared.schedule.blocks)
        if block.component == component
    )


def _largest_cut(prepared: Prepared, component: Component, budget: int) -> int | None:
    """The most units a block with which each block fits; None if single units do not."""
    size = _longest(prepared, component)
    while size > 1:
        size = ceil(size / 2)
        bare = replace(prepared.plan, memory=replace(prepared.plan.memory, budget=None))
        try:
            other = prepared.changed(
                with_settings(prepared, [component.name], bare, blocks=UnitsPerBlock(size), keep="none")
            )
        except UserError:
            return None
        if _largest_need(other, component.name) <= budget:
            return size
    return None


def _longest(prepared: Prepared, component: Component) -> int:
    """Units of the component's largest block."""
    return max(len(block.units) for block in prepared.schedule.blocks if block.component == component.name)


def to_be_faster(prepared: Prepared, results: dict[str, ComponentResult]) -> Iterator[Proposal]:
    """What may make a plan that fits faster."""
    yield from _more_memory(prepared)
    total = sum(result.total_s for result in results.values())
    waiting = [name for name, result in results.items() if result.stall_s > NOTICEABLE * total]
    yield from _other_loading(prepared, waiting, results)
    for name in waiting:
        reason = f"{name} waits {format_seconds(results[name].stall_s)} for loads"
        for component in prepared.model.components:
            if family(component.name) == name:
                yield from _other_cuts(prepared, component, reason)
        yield from _with_fewer_bits(prepared, _stages(prepared, name), None, reason)
    yield from _fewer_evaluations(prepared)


def _more_memory(prepared: Prepared) -> Iterator[Proposal]:
    plan, setting = prepared.plan, prepared.setting
    budget = budget_below(setting)
    if plan.memory.budget is not None and plan.memory.budget < budget:
        free = format_bytes(setting.limit_bytes - plan.memory.budget)
        reason = f"the budget of {format_bytes(plan.memory.budget)} leaves {free} under the limit unused"
        yield Proposal("budget", Change("Let the plan use more memory", within(plan, budget), setting), reason)
    if not plan.memory.entitlement and (changed := with_entitlement(plan, setting, True)):
        asking, place = changed
        asking = within(asking, budget_below(place))
        allowed = f"{setting.device.name} allows {format_bytes(place.limit_bytes)} with it"
        title = "Ask for the increased-memory entitlement"
        yield Proposal("entitlement", Change(title, asking, place), allowed)


def _other_loading(prepared: Prepared, waiting: list[str], results: dict[str, ComponentResult]) -> Iterator[Proposal]:
    budget = prepared.plan.memory.budget or budget_below(prepared.setting)
    plan, setting = within(prepared.plan, budget), prepared.setting
    sets = [(name, _stages(prepared, name)) for name in waiting]
    if len(prepared.model.components) > 1:
        sets.append(("every component", [component.name for component in prepared.model.components]))
    own = components_of(prepared)
    for what, names in sets:
        names = [name for name in names if own[name].keep != "always"]
        stalls = [results[what].stall_s] if what in results else [result.stall_s for result in results.values()]
        reason = f"{what if what in results else 'the plan'} waits {format_seconds(sum(stalls))} for loads"
        ahead = with_settings(prepared, names, plan, prefetch=2)
        yield Proposal("loading", Change(f"Load blocks of {what} two ahead", ahead, setting), reason)
        if any(prepared.num_passes(name) > 1 for name in names):  # else nothing comes back that could stay
            kept = with_settings(prepared, names, plan, prefetch=2, keep="optimal")
            title = f"Load blocks of {what} two ahead and keep those that fit"
            yield Proposal("loading", Change(title, kept, setting), reason)


def _other_cuts(prepared: Prepared, component: Component, reason: str) -> Iterator[Proposal]:
    """Half and twice as many units a block."""
    longest = _longest(prepared, component)
    for size in sorted({max(1, longest // 2), min(len(component.units), 2 * longest)} - {longest}):
        plan = _cut(prepared, component, size)
        how = "smaller" if size < longest else "larger"
        title = f"Cut {component.name} into {how} blocks ({format_count(size, 'unit')} each)"
        yield Proposal(f"blocks {component.name}", Change(title, plan, prepared.setting), reason)


def _for_the_engine(prepared: Prepared) -> Iterator[Proposal]:
    """Blocks that the Neural Engine is known to take, whose memory the app is hardly charged for."""
    for component in prepared.model.components:
        blocks = [block for block in prepared.schedule.blocks if block.component == component.name]
        if any(block.falls_back for block in blocks):
            most, largest = prepared.setting.device.engine_bytes, max(block.stored_bytes for block in blocks)
            size = int(_longest(prepared, component) * most / largest)
            if size >= 1:
                title = f"Cut {component.name} into blocks of {format_count(size, 'unit')}"
                change = Change(title, _cut(prepared, component, size), prepared.setting)
                reason = f"the Neural Engine is known to take packages of at most {format_bytes(most)}"
                yield Proposal(f"blocks {component.name}", change, reason)


def _cut(prepared: Prepared, component: Component, size: int) -> Plan:
    """The plan with so many units a block of a component; if it keeps all of them by number, it goes on doing so."""
    keep = prepared.plan.component(component.name).keep
    names = {block.name for block in prepared.schedule.blocks if block.component == component.name}
    if keep == len(names):
        keep = ceil(len(component.units) / size)
    return with_settings(prepared, [component.name], blocks=UnitsPerBlock(size), keep=keep)


def _with_fewer_bits(
    prepared: Prepared, names: list[str], budget: ByteCount | None, reason: str | None = None
) -> Iterator[Proposal]:
    """The components' weights in fewer bits, said as the plan says it."""
    own = components_of(prepared)
    smaller = {name: SMALLER[own[name].stored] for name in names if own[name].stored in SMALLER}
    if not smaller:
        return
    plan = prepared.plan if budget is None else within(prepared.plan, budget)
    for name, precision in smaller.items():
        plan = with_settings(prepared, [name], plan, **_stored(own[name], precision))
    formats = " and ".join(dict.fromkeys(weight_format(precision) for precision in smaller.values()))
    title = f"Store {' and '.join(smaller)} as {formats}"
    kind = f"storage {' '.join(smaller)}"
    yield Proposal(kind, Change(title, plan, prepared.setting), reason, NOT_MEASURED)


def _stored(own: ComponentPlan, precision: Precision) -> dict[str, Precision | WeightFormat]:
    return {"precision": precision} if own.weights is None else {"weights": weight_format(precision)}


def _fewer_evaluations(prepared: Prepared) -> Iterator[Proposal]:
    """Planned grids where the model has some, else fewer steps; nothing for a plan that has chosen already."""
    plan, setting = prepared.plan, prepared.setting
    sampler = plan.sampler
    if not prepared.model.is_rectified_flow or plan.lpl.mode != "off" or sampler.grid != "even":
        return
    if not isinstance(plan.tdtm.steps, str):
        return  # steps are named that would not be there
    path = shipped_steps(plan.model_name)
    file = None if path is None else read_steps(path)
    if file is None or file.steps != sampler.steps:
        if sampler.steps > FEWER_STEPS:
            fewer = replace(plan, sampler=replace(sampler, steps=FEWER_STEPS), lpl=Lpl())
            title = f"Walk {FEWER_STEPS} steps instead of {sampler.steps}"
            yield Proposal("steps", Change(title, fewer, setting), quality=NOT_MEASURED)
        return
    for count in GRIDS:
        if count < sampler.steps:
            yield _planned(prepared, file, file.front[count - 1])


def _planned(prepared: Prepared, file: StepFile, row: PlannedGrid) -> Proposal:
    plan, sampler = prepared.plan, prepared.plan.sampler
    grid = Grid(indices=row.indices, denoiser=file.denoiser)
    if row.measured_db is None:
        quality = NOT_MEASURED
    else:
        quality = f"measured: frames within {row.measured_db:.1f} dB of those of all {file.steps} steps"
    return Proposal(
        f"steps {row.evaluations}",
        Change(
            f"Evaluate {row.evaluations} planned steps of {file.steps}",
            replace(plan, sampler=replace(sampler, grid=grid)),
            prepared.setting,
        ),
        quality=quality,
        keys=(f"sampler: {{grid: {{planned: {{evaluations: {row.evaluations}}}}}}}",),
    )


def _stages(prepared: Prepared, name: str) -> list[str]:
    return [component.name for component in prepared.model.components if family(component.name) == name]
