"""From a plan to its schedule: the walk over all blocks, then what is loaded when, and what stays.

plans/partition.py cuts the blocks, plans/loading.py decides about loads and residents, plans/optimal/ chooses where
`keep: optimal` leaves something to choose. Here a plan's settings become what those take, and a refusal words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.units import format_bytes
from ondevice_sora.plans.loading import (
    DROP,
    KNOWN,
    LOADED,
    NEW,
    STAY,
    Decision,
    Room,
    Walk,
    columns_of,
    decide,
    demand,
    order_of,
)
from ondevice_sora.plans.optimal.choice import Part, choose
from ondevice_sora.plans.optimal.question import Candidate, Question, asked_walk
from ondevice_sora.plans.own_policy import Policy, PolicyVisit, decided, policy_name, refuse_what_stays
from ondevice_sora.plans.partition import Block, cut
from ondevice_sora.plans.policies import APP_LPL_STEP, FirstPass, app_window, flags, flags_after
from ondevice_sora.plans.recurrence import Blocks, Seconds
from ondevice_sora.plans.schedule import MAX_VISITS, MemoryModel, Pass, Schedule, Visit, packages_of, sizes_of
from ondevice_sora.plans.schema import Plan, Start
from ondevice_sora.profiles.blocks import UNBOUNDED, BlockSpec, Processor, stored_bytes_of
from ondevice_sora.profiles.costs import BlockCosts, Costs, Pricer
from ondevice_sora.profiles.models.catalogue import Reference
from ondevice_sora.profiles.models.model import Component, Model, Variant

Speeds = Callable[[Processor], tuple[float, float]]
"""Of loads and of runs on a processor while both go on, relative to being alone."""
STARTS: dict[Start, int] = {"first": NEW, "cached": KNOWN, "loaded": LOADED}
"""How a plan's start finds its packages."""


class _Pass(NamedTuple):
    component: str
    step: int
    first: int
    length: int


class _Walked(NamedTuple):
    """Every visit in order, before anything is decided about loading: parallel lists, and the passes they form.

    A walk is long (a thousand visits) and a search makes many, hence lists instead of a record per visit.
    """

    block: list[int]
    step: list[int]
    passes: list[_Pass]


def build_schedule(
    plan: Plan,
    model: Model,
    reference: Reference,
    price: Pricer,
    memory: MemoryModel | None = None,
    evaluations: int | None = None,
    engine_bytes: int = UNBOUNDED,
    speeds: Speeds | None = None,
    chosen: Candidate | None = None,
    policy: Policy | None = None,
) -> tuple[Schedule, BlockCosts]:
    """The schedule of one generation, and the prices of its blocks.

    `memory` is what the device adds to the blocks' bytes, nothing unless given. `engine_bytes` is the largest package
    that the Neural Engine takes; larger blocks fall back to the GPU. `evaluations` overrides the number of network
    evaluations (dynamic LPL's outcomes). What `keep: optimal` comes to depends on `speeds`, full speed unless given,
    and is `chosen` if that is: another schedule's. A `policy` says what stays, in place of the plan's `keep`.

    Raises UserError if the plan names what the model does not have, or if the budget cannot be kept: then with the
    block and the bytes missing.
    """
    cuts, memory = cut(plan, model, reference), memory or MemoryModel()
    evaluations = evaluations if evaluations is not None else plan.evaluations()
    num_passes = {c.name: evaluations if c.passes == "steps" else c.passes for c in model.components}
    count = sum(len(blocks) * num_passes[name] for name, blocks in cuts.items())
    if count > MAX_VISITS:
        what = f"{count:,} visits of blocks; at most {MAX_VISITS:,} are simulated"
        raise UserError(what, mend="Cut fewer blocks, or take fewer steps.", field="$")
    blocks: list[BlockSpec] = []
    walked = _Walked([], [], [])
    for component in model.components:
        walk = _ComponentWalk(plan, model.name, component, cuts[component.name], engine_bytes)
        for step in range(num_passes[component.name]):
            numbers = walk.blocks_on(step, blocks)
            walked.passes.append(_Pass(component.name, step, len(walked.block), len(numbers)))
            walked.block.extend(numbers)
            walked.step.extend([step] * len(numbers))
    costs = price(blocks)
    stepped = frozenset(component.name for component in model.components if component.passes == "steps")
    planner = _LoadPlanner(plan, tuple(blocks), walked, costs, memory, stepped, policy)
    return planner.schedule(costs, speeds or _at_full_speed, chosen), costs


class _ComponentWalk:
    """The blocks of a component by step: a block has a number in `blocks` for each variant that is used."""

    def __init__(self, plan: Plan, model: str, component: Component, cut: tuple[Block, ...], engine_bytes: int) -> None:
        self.plan, self.model, self.component, self.cut, self.engine_bytes = plan, model, component, cut, engine_bytes
        settings = plan.component(component.name)
        self.precision, self.loading = settings.stored, settings.loading
        self.component_bytes = stored_bytes_of(component.units, self.precision)
        self.numbers: dict[tuple[int, Variant], int] = {}
        self.patterns: dict[bool, list[int]] = {}

    def blocks_on(self, step: int, blocks: list[BlockSpec]) -> list[int]:
        """Numbers of the blocks visited on a step; those that are new are added to `blocks`."""
        merges = self.component.passes == "steps" and self.plan.merges(step)
        if merges not in self.patterns:
            self.patterns[merges] = [self._number(block, merges, blocks) for block in self.cut]
        return self.patterns[merges]

    def _number(self, block: Block, merges: bool, blocks: list[BlockSpec]) -> int:
        variant: Variant = "tdtm" if merges and any(unit.tdtm for unit in block.units) else "plain"
        number = self.numbers.setdefault((block.index, variant), len(blocks))
        if number == len(blocks):
            blocks.append(
                BlockSpec(
                    model=self.model,
                    component=block.component,
                    index=block.index,
                    name=block.name,
                    units=block.units,
                    variant=variant,
                    precision=self.precision,
                    compute_units=block.compute_units,
                    engine_bytes=self.engine_bytes,
                    loading=self.loading,
                    component_bytes=self.component_bytes,
                )
            )
        return number


class _LoadPlanner:
    """Puts a plan's settings into columns, has plans/loading.py decide, and words its refusal."""

    def __init__(
        self,
        plan: Plan,
        blocks: tuple[BlockSpec, ...],
        walked: _Walked,
        costs: BlockCosts,
        memory: MemoryModel,
        stepped: frozenset[str],
        policy: Policy | None,
    ) -> None:
        self.plan, self.blocks, self.walked, self.memory, self.stepped = plan, blocks, walked, memory, stepped
        self.policy = policy
        self.sizes = sizes_of(costs, memory)
        self.settings = {name: plan.component(name) for name in dict.fromkeys(p.component for p in walked.passes)}
        self.package = packages_of(blocks, plan.tdtm.is_separate)
        lengths = [each.length for each in walked.passes]
        stays = [STAY if self._stays(each) else DROP for each in walked.passes for _ in range(each.length)]
        self.walk = Walk(walked.block, self._windows(), stays, lengths, STARTS[plan.start])
        self.order = order_of(self.walk, self.package, self.sizes, memory.baseline)

    def schedule(self, costs: BlockCosts, speeds: Speeds, chosen: Candidate | None) -> Schedule:
        budget = -1 if self.plan.memory.budget is None else int(self.plan.memory.budget)
        room = Room(self.memory.baseline, budget, self.memory.available)
        keep = self._keep() if self.policy is None else self._decided(self.policy, costs)
        walk, order = self.walk._replace(keep=keep), self.order
        slot, part, parts = self._slots() if self.policy is None else ([], [], [])
        if parts:
            rates = zip(*(speeds(block.processor) for block in self.blocks), strict=True)
            seconds = Seconds(*(array[:, 0].tolist() for array in costs.seconds), *map(list, rates))
            question = Question(
                walk=walk,
                package=self.package,
                blocks=Blocks(seconds, self.sizes),
                stored=costs.stored_bytes,
                room=room,
                slot=slot,
                part=part,
                weight=[1] * len(walk.pass_length),
            )
            chosen = chosen or choose(question, parts)
            walk = asked_walk(question, chosen)
            room = room._replace(budget=chosen.budget)
            order = order_of(walk, self.package, self.sizes, self.memory.baseline)
        decision = decide(order, walk.keep, self.sizes, room)
        if decision.refused >= 0:
            raise self._refusal(decision, room.budget)
        columns = columns_of(walk, self.package, decision)
        flags = [map(bool, column) for column in (columns.loads, columns.cold, columns.first_run)]
        ends = [map(bool, column) for column in (columns.evicts, columns.leaves)]
        visits = map(Visit, columns.block, self.walked.step, *flags, columns.gate, *ends)
        passes = tuple(Pass(each.first, each.length) for each in self.walked.passes)
        return Schedule(self.plan, self.blocks, tuple(visits), passes, decision.needed, columns, chosen)

    def _decided(self, policy: Policy, costs: BlockCosts) -> list[int]:
        """What a policy says. Raises UserError, also where the plan has components stay as long as the app lives."""
        refuse_what_stays(self.plan, self.settings, policy_name(policy))
        limit = self.memory.available if self.plan.memory.budget is None else int(self.plan.memory.budget)
        visits = []
        for visit, (number, step) in enumerate(zip(self.walked.block, self.walked.step, strict=True)):
            block = self.blocks[number]
            room = limit - demand(self.order, self.sizes, visit, self.order.reach[visit])
            visits.append(
                PolicyVisit(
                    self.package[number],
                    block.component,
                    block.name,
                    step,
                    self.sizes.resident[number],
                    room,
                    float(costs.load_warm_s[number, 0]),
                    float(costs.run_s[number, 0]),
                )
            )
        return decided(policy, tuple(visits))

    def _slots(self) -> tuple[list[int], list[int], list[Part]]:
        """What is to be chosen: for each visit its block's and its component's place, -1 for none; the components."""
        slot: list[int] = []
        number: list[int] = []
        parts: dict[str, Part] = {}
        end = 0
        for each in self.walked.passes:
            if self.settings[each.component].keep != "optimal":
                slot += [-1] * each.length
                number += [-1] * each.length
                continue
            if each.component not in parts:
                parts[each.component] = Part(range(end, end + each.length), 0, 0)
                end += each.length
            part = parts[each.component]
            widest = max(part.window, *self.walk.window[each.first : each.first + each.length])
            parts[each.component] = Part(part.slots, widest, part.num_passes + 1)
            slot += part.slots
            number += [list(parts).index(each.component)] * each.length
        return slot, number, list(parts.values())

    def _windows(self) -> list[int]:
        """How many visits the loader may be ahead, for each visit."""
        windows: list[int] = []
        for each in self.walked.passes:
            prefetch = self.settings[each.component].prefetch
            if prefetch == "app":
                stepped, length = each.component in self.stepped, each.length
                windows += [app_window(position, length, each.step, stepped) for position in range(length)]
            else:
                windows += [prefetch] * each.length
        return windows

    def _keep(self) -> list[int]:
        """What is to become of the block after each visit."""
        known: dict[str, list[int]] = {}
        column: list[int] = []
        for each in self.walked.passes:
            name = each.component
            if name not in known:
                known[name] = self._flags(each)
            column += [DROP] * each.length if self._app_releases(each) else known[name]
        return column

    def _flags(self, walked: _Pass) -> list[int]:
        keep = self.settings[walked.component].keep
        if keep == "optimal":
            return [DROP] * walked.length
        visits = range(walked.first, walked.first + walked.length)
        if keep == "app" or keep == "paper":
            return flags_after(keep, self._first_pass(visits))
        names = [self.blocks[self.walked.block[visit]].units[0].name for visit in visits]
        return flags(keep, names, f"$.components.{self.plan.entry(walked.component)}.keep")

    def _first_pass(self, visits: range) -> FirstPass:
        second = visits[min(1, len(visits) - 1)]
        own = [self.walked.block[visit] for visit in visits]
        budget = self.plan.memory.budget
        available = budget if budget is not None else self.memory.available
        return FirstPass(
            resident=tuple(self.sizes.resident[block] for block in own),
            demand=tuple(demand(self.order, self.sizes, visit, self.order.reach[visit]) for visit in visits),
            alone=demand(self.order, self.sizes, second, second),
            baseline=self.order.alone[visits[0]] - self.sizes.working[own[0]],
            available=available - self._bytes_that_stay(visits[0]),
        )

    def _stays(self, walked: _Pass) -> bool:
        return self.settings[walked.component].keep == "always"

    def _bytes_that_stay(self, first: int) -> int:
        """Bytes of the components that stay loaded and are in memory before a visit."""
        until = len(self.walked.block) if self.walk.start == LOADED else first
        visits = (visit for visit in range(until) if self.walk.keep[visit] == STAY)
        held = {self.package[self.walked.block[visit]] for visit in visits}
        return sum(self.sizes.resident[number] for number in held)

    def _app_releases(self, walked: _Pass) -> bool:
        """The app releases what it kept on the step where LPL would have leapt, even with LPL off."""
        is_app = self.settings[walked.component].keep == "app"
        return is_app and self.plan.lpl.mode == "off" and walked.step == APP_LPL_STEP

    def _refusal(self, decision: Decision, budget: int) -> UserError:
        """The complaint that a visit cannot be kept to the budget, with its block and the bytes missing."""
        visit, kept_bytes = decision.refused, decision.kept_bytes
        number = self.walked.block[visit]
        block = self.blocks[number]
        needed = demand(self.order, self.sizes, visit, visit) + kept_bytes
        parts = [
            f"{format_bytes(self.memory.baseline)} baseline",
            f"{format_bytes(self.sizes.resident[number])} weights",
            f"{format_bytes(self.sizes.working[number])} working memory",
        ]
        if kept_bytes:
            parts.append(f"{format_bytes(kept_bytes)} kept resident")
        return UserError(
            f"block '{block.name}' of {block.component} needs {format_bytes(needed)} ({', '.join(parts)}), "
            f"{format_bytes(needed - budget)} more than the budget of {format_bytes(budget)}",
            mend=f"Allow {format_bytes(needed)}"
            + (", cut the block smaller, or keep fewer blocks." if kept_bytes else ", or cut the block smaller."),
            field="$.memory.budget",
        )


def speeds_of(costs: Costs) -> Speeds:
    """Speeds on a device, at the figures' values."""

    def speeds(processor: Processor) -> tuple[float, float]:
        known = costs.processors[processor]
        return min(1.0, known.load_rate.value), min(1.0, known.run_rate.value)

    return speeds


def _at_full_speed(processor: Processor) -> tuple[float, float]:
    return 1.0, 1.0
