"""The schedule: the one linear sequence of block visits of a generation, with all loading decided beforehand.

Every engine plays it the same way and decides nothing itself:

    loader   takes the visits that load, in order; starts one when visit `gate` has finished
    runner   takes all visits in order; runs one when its block is loaded, then evicts what the visit lists

A visit has finished when its evictions have. Since each gate lies before its own visit, no schedule can deadlock, and
since gates are worked out from the budget, a schedule that could exceed it does not exist: it is refused up front.

Memory while visit i is the next to finish: baseline + residual of what was unloaded + working memory of i + the blocks
of visits i .. i + window(i), loaded or being loaded + whatever is kept for later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.units import format_bytes
from ondevice_sora.plans.loading import (
    DROP,
    Uses,
    decide,
    demand,
    links,
    packages_of,
    uses_of,
    without_weights,
)
from ondevice_sora.plans.partition import Block
from ondevice_sora.plans.partition import cut as cut_model
from ondevice_sora.plans.policies import APP_LPL_STEP, FirstPass, app_window, flags, flags_after
from ondevice_sora.plans.schema import Plan
from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.profiles.costs import BlockCosts, Costs, Pricer
from ondevice_sora.profiles.models.catalogue import Reference
from ondevice_sora.profiles.models.model import Model, Variant


class Visit(NamedTuple):
    """One use of a block in a pass.

    block        index into Schedule.blocks (a block in one variant)
    step         denoising step, or pass of any other component
    loads        whether the block must be loaded for this visit
    cold         the load is the package's first in this generation
    first_run    the block runs for the first time
    gate         the visit that must have finished before the load may start; -1 for none
    evicts       whether the block is evicted after the run
    """

    block: int
    step: int
    loads: bool
    cold: bool
    first_run: bool
    gate: int
    evicts: bool


class Pass(NamedTuple):
    """One walk over a component's blocks: its first visit and how many there are."""

    first: int
    length: int


@dataclass(frozen=True)
class Schedule:
    """The visits and the blocks they use. `needed_bytes` bounds the footprint that playing it can reach.

    `uses` holds the visits once more, as columns.
    """

    plan: Plan
    blocks: tuple[BlockSpec, ...]
    visits: tuple[Visit, ...]
    passes: tuple[Pass, ...]
    needed_bytes: int
    uses: Uses = field(repr=False, compare=False)

    def stored(self, costs: BlockCosts) -> tuple[int, int]:
        """Bytes that its packages take on the device's storage, and how many packages there are."""
        is_separate = self.plan.tdtm.packages == "separate"
        sizes = zip(self.blocks, costs.stored_bytes, strict=True)
        packages = {block.package(is_separate): size for block, size in sizes}
        return sum(packages.values()), len(packages)


UNLIMITED = 10**15


class MemoryModel(NamedTuple):
    """What a schedule needs to know of a device: bytes, and shares of a block's resident bytes.

    available    the device's limit, which the policies fill when the plan has no budget
    transient    charged only while a load is under way
    residual     still charged after the first unload
    """

    baseline: int = 0
    available: int = UNLIMITED
    transient: float = 0.0
    residual: float = 0.0

    @classmethod
    def of(cls, costs: Costs, available: int = UNLIMITED) -> MemoryModel:
        """At the figures' values."""
        loads = costs.loads
        return cls(
            round(costs.baseline_bytes.value), available, loads.transient_share.value, loads.residual_share.value
        )

    def shares_of(self, size: Sequence[int]) -> tuple[list[int], list[int]]:
        """Transient and residual bytes of blocks of these sizes."""
        return [round(held * self.transient) for held in size], [round(held * self.residual) for held in size]


MAX_VISITS = 100_000


class _Walk(NamedTuple):
    """Every use in order, before anything is decided about loading: parallel lists, and the passes they form.

    A walk is long (a thousand uses) and a search makes many, hence lists instead of a record a use.
    """

    block: list[int]
    step: list[int]
    passes: list[_WalkedPass]


class _WalkedPass(NamedTuple):
    component: str
    step: int
    first: int
    length: int


def build_schedule(
    plan: Plan,
    model: Model,
    reference: Reference,
    price: Pricer,
    memory: MemoryModel,
    evaluations: int | None = None,
) -> tuple[Schedule, BlockCosts]:
    """The schedule of one generation, and the prices of its blocks.

    `evaluations` overrides the number of network evaluations (dynamic LPL's outcomes). Raises UserError if the plan
    names what the model does not have, or if the budget cannot be kept: then with the block and the bytes missing.
    """
    cuts = list(cut_model(plan, model, reference).values())
    stepped = {component.name for component in model.components if component.passes == "steps"}
    evaluations = evaluations if evaluations is not None else plan.evaluations()
    count = sum(
        len(blocks) * (evaluations if component.passes == "steps" else component.passes)
        for component, blocks in zip(model.components, cuts, strict=True)
    )
    if count > MAX_VISITS:
        what = f"{count:,} visits of blocks; at most {MAX_VISITS:,} are simulated"
        raise UserError(what, mend="Cut fewer blocks, or take fewer steps.", field="$")
    blocks, walk = _walk(plan, model, cuts, evaluations)
    costs = price(blocks)
    planner = _LoadPlanner(plan, blocks, walk, costs, memory, stepped)
    return planner.schedule(), costs


def _walk(
    plan: Plan, model: Model, cuts: list[tuple[Block, ...]], evaluations: int
) -> tuple[tuple[BlockSpec, ...], _Walk]:
    """Every block in every variant used, and the uses in order."""
    blocks: list[BlockSpec] = []
    walk = _Walk([], [], [])
    for component, cut in zip(model.components, cuts, strict=True):
        precision = plan.component(component.name).precision
        numbers: dict[tuple[int, Variant], int] = {}
        patterns: dict[bool, list[int]] = {}
        stepped = component.passes == "steps"
        for step in range(evaluations if component.passes == "steps" else component.passes):
            merging = stepped and plan.merges(step)
            if merging not in patterns:
                used = []
                for block in cut:
                    variant: Variant = "tdtm" if merging and any(unit.tdtm for unit in block.units) else "plain"
                    number = numbers.setdefault((block.index, variant), len(blocks))
                    if number == len(blocks):
                        blocks.append(
                            BlockSpec(
                                model.name, component.name, block.index, block.name, block.units, variant, precision,
                                block.compute_units,
                            )
                        )  # fmt: skip
                    used.append(number)
                patterns[merging] = used
            walk.passes.append(_WalkedPass(component.name, step, len(walk.block), len(cut)))
            walk.block.extend(patterns[merging])
            walk.step.extend([step] * len(cut))
    return tuple(blocks), walk


class _LoadPlanner:
    """Puts a plan's settings into columns, has plans/loading.py decide, and words its refusal."""

    def __init__(
        self,
        plan: Plan,
        blocks: tuple[BlockSpec, ...],
        walk: _Walk,
        costs: BlockCosts,
        memory: MemoryModel,
        stepped: set[str],
    ) -> None:
        self.plan, self.blocks, self.walk, self.costs = plan, blocks, walk, costs
        self.memory, self.stepped = memory, stepped
        self.size = costs.resident_bytes
        self.settings = {name: plan.component(name) for name in dict.fromkeys(p.component for p in walk.passes)}
        self.transient, residual = memory.shares_of(self.size)
        self.package = _packages(blocks, plan.tdtm.packages == "separate")
        self.packages = packages_of(walk.block, self.package)
        self.reach, self.following, self.previous = links(self.packages, self._windows(), len(blocks))
        self.alone = without_weights(walk.block, costs.working_bytes, residual, memory.baseline)

    def schedule(self) -> Schedule:
        budget = -1 if self.plan.memory.budget is None else int(self.plan.memory.budget)
        room = budget if budget >= 0 else self.memory.available
        ahead, keeps, needed, refused, kept_bytes = decide(
            self.packages, self._keep(), self.reach, self.following, self.previous, self.alone, self.size,
            self.transient, budget, room,
        )  # fmt: skip
        if refused >= 0:
            raise self._refusal(refused, kept_bytes, budget)
        lengths = [walked.length for walked in self.walk.passes]
        uses = uses_of(self.walk.block, self.package, lengths, ahead, keeps, len(self.blocks))
        passes = tuple(Pass(walked.first, walked.length) for walked in self.walk.passes)
        return Schedule(self.plan, self.blocks, self._visits(uses), passes, needed, uses)

    def _windows(self) -> list[int]:
        """How many uses the loader may be ahead, for each use."""
        windows: list[int] = []
        for walked in self.walk.passes:
            prefetch = self.settings[walked.component].prefetch
            if prefetch == "app":
                stepped, length = walked.component in self.stepped, walked.length
                windows += [app_window(position, length, walked.step, stepped) for position in range(length)]
            else:
                windows += [prefetch] * walked.length
        return windows

    def _keep(self) -> list[int]:
        """What is to become of the block after each use."""
        known: dict[str, list[int]] = {}
        column: list[int] = []
        for walked in self.walk.passes:
            name = walked.component
            if name not in known:
                known[name] = self._flags(walked)
            column += [DROP] * walked.length if self._app_releases(walked) else known[name]
        return column

    def _flags(self, walked: _WalkedPass) -> list[int]:
        keep = self.settings[walked.component].keep
        uses = range(walked.first, walked.first + walked.length)
        if keep == "app" or keep == "paper":
            return flags_after(keep, self._first_pass(uses))
        names = [self.blocks[self.walk.block[use]].units[0].name for use in uses]
        return flags(keep, names, f"$.components.{self.plan.entry(walked.component)}.keep")

    def _first_pass(self, uses: range) -> FirstPass:
        second = uses[min(1, len(uses) - 1)]
        budget = self.plan.memory.budget
        return FirstPass(
            resident=tuple(self.size[self.walk.block[use]] for use in uses),
            demand=tuple(self._demand(use, self.reach[use]) for use in uses),
            alone=self._demand(second, second),
            baseline=self.alone[uses[0]] - self.costs.working_bytes[self.walk.block[uses[0]]],
            available=budget if budget is not None else self.memory.available,
        )

    def _demand(self, use: int, last: int) -> int:
        return demand(self.packages, self.previous, self.alone, self.size, self.transient, use, last)

    def _app_releases(self, walked: _WalkedPass) -> bool:
        """The app releases what it kept on the step where LPL would have leapt, even with LPL off."""
        is_app = self.settings[walked.component].keep == "app"
        return is_app and self.plan.lpl.mode == "off" and walked.step == APP_LPL_STEP

    def _refusal(self, use: int, kept_bytes: int, budget: int) -> UserError:
        """The complaint that a use cannot be kept to the budget, with its block and the bytes missing."""
        number = self.walk.block[use]
        block = self.blocks[number]
        needed = self._demand(use, use) + kept_bytes
        parts = [
            f"{format_bytes(self.memory.baseline)} baseline",
            f"{format_bytes(self.size[number])} weights",
            f"{format_bytes(self.costs.working_bytes[number])} working memory",
        ]
        if kept_bytes:
            parts.append(f"{format_bytes(kept_bytes)} kept resident")
        return UserError(
            f"block '{block.name}' of {block.component} needs {format_bytes(needed)} ({', '.join(parts)}), "
            f"{format_bytes(needed - budget)} more than the budget of {format_bytes(budget)}",
            mend=f"Allow {format_bytes(needed)}, cut the block smaller"
            + (", or keep fewer blocks." if kept_bytes else "."),
            field="$.memory.budget",
        )

    def _visits(self, uses: Uses) -> tuple[Visit, ...]:
        flags = [map(bool, column) for column in (uses.loads, uses.cold, uses.first_run)]
        return tuple(map(Visit, uses.block, self.walk.step, *flags, uses.gate, map(bool, uses.evicts)))


def _packages(blocks: Sequence[BlockSpec], is_separate: bool) -> list[int]:
    """For each block, the first block whose package it shares: itself, or its variant that came first."""
    first: dict[tuple[str, str, str], int] = {}
    return [first.setdefault(block.package(is_separate), number) for number, block in enumerate(blocks)]
