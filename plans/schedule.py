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

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from plans.partition import Block, partition
from plans.policies import APP_LPL_STEP, FirstPass, Kept, app_window, kept_positions
from plans.schema import Plan
from profiles.costs import BlockCosts, BlockSpec
from profiles.documents import Document
from profiles.errors import nearest
from profiles.models import Model, Variant
from profiles.units import format_bytes


class Visit(NamedTuple):
    """One use of a block in a pass.

    block        index into Schedule.blocks (a block in one variant)
    step         denoising step, or pass of any other component
    loads        whether the block must be loaded for this visit
    cold         the load is the package's first in this generation
    first_run    the block runs for the first time
    gate         the visit that must have finished before the load may start; -1 for none
    evicts       whether the block is evicted after the run
    ends_pass    whether it is the last visit of its pass
    """

    block: int
    step: int
    loads: bool
    cold: bool
    first_run: bool
    gate: int
    evicts: bool
    ends_pass: bool


class Pass(NamedTuple):
    """One walk over a component's blocks; `num_same_after` counts the passes right after it that do just the same."""

    first: int
    length: int
    num_loads: int
    num_same_after: int


@dataclass(frozen=True)
class Schedule:
    """The visits and the blocks they use. `needed_bytes` bounds the footprint that playing it can reach."""

    plan: Plan
    blocks: tuple[BlockSpec, ...]
    visits: tuple[Visit, ...]
    passes: tuple[Pass, ...]
    needed_bytes: int


class MemoryModel(NamedTuple):
    """What a schedule needs to know of a device: bytes, and shares of a block's resident bytes.

    available    what the policies fill when the plan has no budget: the device's limit
    transient    charged only while a load is under way
    residual     still charged after the first unload
    """

    baseline: int
    available: int
    transient: float
    residual: float


MAX_VISITS = 100_000
Pricer = Callable[[Sequence[BlockSpec]], BlockCosts]
Reference = dict[str, tuple[tuple[str, ...], ...]]


class _Use(NamedTuple):
    """A visit before anything is decided about loading."""

    block: int
    step: int
    position: int
    length: int


def build_schedule(
    plan: Plan,
    model: Model,
    reference: Reference,
    price: Pricer,
    memory: MemoryModel,
    document: Document,
    evaluations: int | None = None,
) -> tuple[Schedule, BlockCosts]:
    """The schedule of one generation, and the prices of its blocks.

    `evaluations` overrides the number of network evaluations (dynamic LPL's outcomes). Raises UserError if the plan
    names what the model does not have, or if the budget cannot be kept: then with the block and the bytes missing.
    """
    known = [component.name for component in model.components]
    families = {component.family for component in model.components}
    for name in plan.components:
        if name not in families and name not in known:
            raise document.error(f"$.components.{name}", f"{model.name} has no such component", nearest(name, known))
    cuts = [
        partition(
            component,
            plan.component(component.name),
            reference.get(component.name),
            document,
            f"$.components.{plan.entry(component.name)}.blocks",
        )
        for component in model.components
    ]
    stepped = {component.name for component in model.components if component.passes == "steps"}
    evaluations = evaluations if evaluations is not None else plan.evaluations()
    count = sum(
        len(cut) * (evaluations if component.passes == "steps" else component.passes)
        for component, cut in zip(model.components, cuts, strict=True)
    )
    if count > MAX_VISITS:
        what = f"{count:,} visits of blocks; at most {MAX_VISITS:,} are simulated"
        raise document.error("$", what, "Cut fewer blocks, or take fewer steps.")
    blocks, uses = _walk(plan, model, cuts, evaluations)
    costs = price(blocks)
    planner = _LoadPlanner(plan, blocks, uses, costs, memory, document, stepped)
    return planner.schedule(), costs


def _walk(
    plan: Plan, model: Model, cuts: list[tuple[Block, ...]], evaluations: int
) -> tuple[tuple[BlockSpec, ...], list[_Use]]:
    """Every block in every variant used, and the uses in order."""
    blocks: list[BlockSpec] = []
    uses: list[_Use] = []
    for component, cut in zip(model.components, cuts, strict=True):
        precision = plan.component(component.name).precision
        numbers: dict[tuple[int, Variant], int] = {}
        stepped = component.passes == "steps"
        for step in range(evaluations if component.passes == "steps" else component.passes):
            merging = stepped and plan.merges(step)
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
                uses.append(_Use(number, step, block.index, len(cut)))
    return tuple(blocks), uses


class _LoadPlanner:
    """Decides for every use: how far the loader may be ahead, what is kept, and thereby each gate.

    One sweep over the uses in order. `kept` holds the blocks that stay resident for a later use; where the budget is
    crossed, a plan with fixed residents gives up prefetching there, and an `optimal` one gives up the resident whose
    next use is farthest away (Belady's MIN), back to its last use.
    """

    def __init__(
        self,
        plan: Plan,
        blocks: tuple[BlockSpec, ...],
        uses: list[_Use],
        costs: BlockCosts,
        memory: MemoryModel,
        document: Document,
        stepped: set[str],
    ) -> None:
        self.plan, self.blocks, self.uses, self.costs = plan, blocks, uses, costs
        self.memory, self.document, self.stepped = memory, document, stepped
        self.budget = plan.memory.budget
        self.size = costs.resident_bytes
        self.packages = [self._package(block) for block in blocks]
        self.next_use = _next_uses(uses)
        self.reach = self._reach()
        self.residual = self._residual()

    def schedule(self) -> Schedule:
        keep = {}
        for name in dict.fromkeys(block.component for block in self.blocks):
            keep[name] = self._kept_positions(name)
        ahead, keeps, needed = self._sweep(keep)
        visits = tuple(self._visits(ahead, keeps))
        return Schedule(self.plan, self.blocks, visits, _passes(visits), needed)

    def _package(self, block: BlockSpec) -> tuple[str, ...]:
        separate = self.plan.tdtm.packages == "separate"
        return (block.component, str(block.index), block.variant if separate else "")

    def _reach(self) -> list[int]:
        """For each use, the last use that may be loaded or loading before this one has finished, budget aside."""
        reach = list(range(len(self.uses)))
        for index, use in enumerate(self.uses):
            component = self.blocks[use.block].component
            prefetch = self.plan.component(component).prefetch
            if prefetch == "app":
                prefetch = app_window(use.position, use.length, use.step, component in self.stepped)
            for earlier in range(max(0, index - prefetch), index):
                reach[earlier] = index
        return reach

    def _residual(self) -> list[int]:
        """Bytes left behind by unloaded blocks before each use, at most."""
        seen: set[int] = set()
        left, total = [], 0
        for use in self.uses:
            left.append(total)
            if use.block not in seen:
                seen.add(use.block)
                total += round(self.size[use.block] * self.memory.residual)
        return left

    def _demand(self, index: int, last: int) -> int:
        """Footprint, at most, until use `index` has finished, with the uses up to `last` loaded or loading."""
        window = {self.uses[i].block for i in range(index, last + 1)}
        transient = round(max(self.size[block] for block in window) * self.memory.transient)
        fixed = self.memory.baseline + self.residual[index] + self.costs.working_bytes[self.uses[index].block]
        return fixed + transient + sum(self.size[block] for block in window)

    def _kept_positions(self, component: str) -> Kept:
        settings = self.plan.component(component)
        indices = [i for i, use in enumerate(self.uses) if self.blocks[use.block].component == component]
        first = indices[: self.uses[indices[0]].length]
        second = first[min(1, len(first) - 1)]
        first_pass = FirstPass(
            resident=tuple(self.size[self.uses[i].block] for i in first),
            demand=tuple(self._demand(i, self.reach[i]) for i in first),
            alone=self._demand(second, second),
            baseline=self.memory.baseline + self.residual[first[0]],
            available=self.budget if self.budget is not None else self.memory.available,
        )
        names = [tuple(unit.name for unit in self.blocks[self.uses[i].block].units) for i in first]
        pointer = f"$.components.{self.plan.entry(component)}.keep"
        return kept_positions(settings, names, first_pass, self.document, pointer)

    def _sweep(self, keep: dict[str, Kept]) -> tuple[list[int], list[bool], int]:
        """For each use, how far ahead loads may be and whether its block is kept for the next; the largest demand."""
        count = len(self.uses)
        keeps = [False] * count
        ahead = list(range(count))
        kept: dict[int, tuple[int, bool, int]] = {}
        """block -> (next use, may be given up, the use it is kept from)"""
        needed = 0
        soft_cap = self.budget if self.budget is not None else self.memory.available
        for index, use in enumerate(self.uses):
            kept.pop(use.block, None)
            fixed_bytes = sum(self.size[b] for b, (_, soft, _) in kept.items() if not soft)
            last = self._fitting(index, fixed_bytes, kept)
            ahead[index] = last
            demand = self._demand(index, last)
            window = {self.uses[i].block for i in range(index, last + 1)}
            later = {block: entry for block, entry in kept.items() if block not in window}
            extra = sum(self.size[block] for block in later)
            for block in sorted((b for b, e in later.items() if e[1]), key=lambda b: -later[b][0]):
                if demand + extra <= soft_cap:
                    break
                extra -= self.size[block]
                keeps[kept.pop(block)[2]] = False
            needed = max(needed, demand + extra)
            following = self.next_use[index]
            if following < count:
                positions = keep[self.blocks[use.block].component]
                soft = positions is None
                wanted = soft or (positions is not None and use.position in positions and not self._app_releases(use))
                if wanted or following <= last:
                    keeps[index] = True
                    kept[use.block] = (following, soft, index)
        return ahead, keeps, needed

    def _app_releases(self, use: _Use) -> bool:
        """The app releases what it kept on the step where LPL would have leapt, even with LPL off."""
        settings = self.plan.component(self.blocks[use.block].component)
        return settings.keep == "app" and self.plan.lpl.mode == "off" and use.step == APP_LPL_STEP

    def _fitting(self, index: int, fixed_bytes: int, kept: dict[int, tuple[int, bool, int]]) -> int:
        """The farthest use that may be loading before `index` has finished within the budget."""
        if self.budget is None:
            return self.reach[index]
        for last in range(self.reach[index], index - 1, -1):
            counted = sum(
                self.size[block]
                for block in {self.uses[i].block for i in range(index, last + 1)}
                if block in kept and not kept[block][1]
            )
            if self._demand(index, last) + fixed_bytes - counted <= self.budget:
                return last
        self._refuse(index, fixed_bytes)
        raise AssertionError("unreachable")

    def _refuse(self, index: int, kept_bytes: int) -> None:
        use = self.uses[index]
        block = self.blocks[use.block]
        needed = self._demand(index, index) + kept_bytes
        assert self.budget is not None
        parts = [
            f"{format_bytes(self.memory.baseline)} baseline",
            f"{format_bytes(self.size[use.block])} weights",
            f"{format_bytes(self.costs.working_bytes[use.block])} working memory",
        ]
        if kept_bytes:
            parts.append(f"{format_bytes(kept_bytes)} kept resident")
        raise self.document.error(
            "$.memory.budget",
            f"block '{block.name}' of {block.component} needs {format_bytes(needed)} ({', '.join(parts)}), "
            f"{format_bytes(needed - self.budget)} more than the budget of {format_bytes(self.budget)}",
            f"Allow {format_bytes(needed)}, cut the block smaller" + (", or keep fewer blocks." if kept_bytes else "."),
        )

    def _visits(self, ahead: list[int], keeps: list[bool]) -> list[Visit]:
        resident: set[int] = set()
        packages: set[tuple[str, ...]] = set()
        ran: set[int] = set()
        visits = []
        for index, use in enumerate(self.uses):
            loads = use.block not in resident
            gate = index - 1
            while gate >= 0 and ahead[gate] >= index:
                gate -= 1
            package = self.packages[use.block]
            visits.append(
                Visit(
                    block=use.block,
                    step=use.step,
                    loads=loads,
                    cold=loads and package not in packages,
                    first_run=use.block not in ran,
                    gate=gate,
                    evicts=not keeps[index],
                    ends_pass=use.position == use.length - 1,
                )
            )
            packages.add(package)
            ran.add(use.block)
            if keeps[index]:
                resident.add(use.block)
            else:
                resident.discard(use.block)
        return visits


def _passes(visits: Sequence[Visit]) -> tuple[Pass, ...]:
    """The passes, compared by what their visits do, with gates taken relative to the visit."""
    found: list[Pass] = []
    actions: list[tuple[tuple[int, ...], ...]] = []
    first = 0
    for index, visit in enumerate(visits):
        if visit.ends_pass:
            own = [(i - v.gate, *v[2:5], v.block, v.evicts) for i, v in enumerate(visits[first : index + 1], first)]
            actions.append(tuple(own))
            found.append(Pass(first, index + 1 - first, sum(v.loads for v in visits[first : index + 1]), 0))
            first = index + 1
    for number in range(len(found) - 2, -1, -1):
        if actions[number] == actions[number + 1]:
            found[number] = found[number]._replace(num_same_after=found[number + 1].num_same_after + 1)
    return tuple(found)


def _next_uses(uses: list[_Use]) -> list[int]:
    """For each use, the next use of the same block; the number of uses if there is none."""
    end = len(uses)
    following: dict[int, int] = {}
    result = [end] * end
    for index in range(end - 1, -1, -1):
        result[index] = following.get(uses[index].block, end)
        following[uses[index].block] = index
    return result
