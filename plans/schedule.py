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
from itertools import accumulate
from typing import NamedTuple

from plans.partition import Block, partition
from plans.policies import APP_LPL_STEP, OPTIMAL, FirstPass, Kept, app_window, kept_positions
from plans.schema import Plan
from profiles.costs import BlockCosts, BlockSpec
from profiles.documents import Document
from profiles.errors import UserError, nearest
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


class _Walk(NamedTuple):
    """Every use in order, before anything is decided about loading: parallel lists, and the passes they form.

    A walk is long (a thousand uses) and a search makes many, hence lists instead of a record a use.
    """

    block: list[int]
    step: list[int]
    position: list[int]
    passes: list[_WalkedPass]


class _WalkedPass(NamedTuple):
    """Passes with the same `pattern` use the same blocks in the same order."""

    component: str
    step: int
    first: int
    length: int
    pattern: int


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
    blocks, walk = _walk(plan, model, cuts, evaluations)
    costs = price(blocks)
    planner = _LoadPlanner(plan, blocks, walk, costs, memory, document, stepped)
    return planner.schedule(), costs


def _walk(
    plan: Plan, model: Model, cuts: list[tuple[Block, ...]], evaluations: int
) -> tuple[tuple[BlockSpec, ...], _Walk]:
    """Every block in every variant used, and the uses in order."""
    blocks: list[BlockSpec] = []
    walk = _Walk([], [], [], [])
    num_patterns = 0
    for component, cut in zip(model.components, cuts, strict=True):
        precision = plan.component(component.name).precision
        numbers: dict[tuple[int, Variant], int] = {}
        patterns: dict[bool, tuple[int, list[int]]] = {}
        stepped = component.passes == "steps"
        positions = list(range(len(cut)))
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
                patterns[merging] = (num_patterns, used)
                num_patterns += 1
            pattern, used = patterns[merging]
            walk.passes.append(_WalkedPass(component.name, step, len(walk.block), len(cut), pattern))
            walk.block.extend(used)
            walk.step.extend([step] * len(cut))
            walk.position.extend(positions)
    return tuple(blocks), walk


class _LoadPlanner:
    """Decides for every use: how far the loader may be ahead, what is kept, and thereby each gate.

    One sweep over the uses in order. `kept` holds the blocks that stay resident for a later use; where the budget is
    crossed, a plan with fixed residents gives up prefetching there, and an `optimal` one gives up the resident whose
    next use is farthest away (Belady's MIN), back to its last use. A pass that starts as the one before it started,
    with the same uses ahead, ends the same: the sweep copies it.
    """

    def __init__(
        self,
        plan: Plan,
        blocks: tuple[BlockSpec, ...],
        walk: _Walk,
        costs: BlockCosts,
        memory: MemoryModel,
        document: Document,
        stepped: set[str],
    ) -> None:
        self.plan, self.blocks, self.walk, self.costs = plan, blocks, walk, costs
        self.memory, self.document, self.stepped = memory, document, stepped
        self.budget = plan.memory.budget
        self.size = costs.resident_bytes
        self.settings = {name: plan.component(name) for name in dict.fromkeys(p.component for p in walk.passes)}
        self.packages = _packages(blocks, plan.tdtm.packages == "separate")
        self.uses = [self.packages[block] for block in walk.block]
        """for each use, its package: what is loaded, kept and evicted. Variants that share one share all of that"""
        self.next_use = _next_uses(self.uses)
        self.reach, self.window = self._reach()
        self.residual = self._residual()
        fixed = memory.baseline
        self.alone = [fixed + left + costs.working_bytes[b] for left, b in zip(self.residual, walk.block, strict=True)]
        """for each use, its footprint without any weights"""
        self.sums = list(accumulate((self.size[package] for package in self.uses), initial=0))
        """bytes of all uses before each"""
        self.repeats = list(accumulate(reversed(self.next_use), min))[::-1]
        """for each use, the first use after it at which a package of it or of a later use comes back"""

    def schedule(self) -> Schedule:
        keep = {}
        for walked in self.walk.passes:
            if walked.component not in keep:
                keep[walked.component] = self._kept_positions(walked)
        ahead, keeps, needed = self._sweep(keep)
        visits = tuple(self._visits(ahead, keeps))
        return Schedule(self.plan, self.blocks, visits, self._passes(visits), needed)

    def _reach(self) -> tuple[list[int], int]:
        """For each use, the last use that may be loaded or loading before this one has finished, budget aside.

        And the longest window of any use.
        """
        windows: list[int] = []
        for walked in self.walk.passes:
            prefetch = self.settings[walked.component].prefetch
            if prefetch == "app":
                stepped, length = walked.component in self.stepped, walked.length
                windows += [app_window(position, length, walked.step, stepped) for position in range(length)]
            else:
                windows += [prefetch] * walked.length
        reach = list(range(len(windows)))
        unset = len(windows)
        for index in range(len(windows) - 1, -1, -1):
            earliest = max(0, index - windows[index])
            for earlier in range(earliest, min(unset, index)):
                reach[earlier] = index
            unset = min(unset, earliest)
        return reach, max(windows, default=0)

    def _residual(self) -> list[int]:
        """Bytes left behind by unloaded blocks before each use, at most."""
        share = self.memory.residual
        if share == 0.0:
            return [0] * len(self.walk.block)
        seen: set[int] = set()
        left, total = [], 0
        for block in self.walk.block:
            left.append(total)
            if block not in seen:
                seen.add(block)
                total += round(self.size[block] * share)
        return left

    def demand(self, index: int, last: int) -> int:
        """Footprint, at most, until use `index` has finished, with the uses up to `last` loaded or loading."""
        size, uses = self.size, self.uses
        if self.repeats[index] > last:
            held = self.sums[last + 1] - self.sums[index]
        else:
            held = sum([size[package] for package in set(uses[index : last + 1])])
        if self.memory.transient:
            held += round(max([size[package] for package in uses[index : last + 1]]) * self.memory.transient)
        return self.alone[index] + held

    def _kept_positions(self, walked: _WalkedPass) -> Kept:
        settings = self.settings[walked.component]
        if settings.keep in ("none", "optimal"):
            return frozenset() if settings.keep == "none" else OPTIMAL
        first = range(walked.first, walked.first + walked.length)
        second = first[min(1, len(first) - 1)]
        first_pass = FirstPass(
            resident=tuple(self.size[self.walk.block[i]] for i in first),
            demand=tuple(self.demand(i, self.reach[i]) for i in first),
            alone=self.demand(second, second),
            baseline=self.memory.baseline + self.residual[first[0]],
            available=self.budget if self.budget is not None else self.memory.available,
        )
        names = [tuple(unit.name for unit in self.blocks[self.walk.block[i]].units) for i in first]
        pointer = f"$.components.{self.plan.entry(walked.component)}.keep"
        return kept_positions(settings, names, first_pass, self.document, pointer)

    def _sweep(self, keep: dict[str, Kept]) -> tuple[list[int], list[bool], int]:
        """For each use, how far ahead loads may be and whether its block is kept for the next; the largest demand."""
        sweep = _Sweep(self, keep)
        started: object = None
        number = 0
        while number < len(self.walk.passes):
            walked = self.walk.passes[number]
            copies = self._num_copies(number)
            state = sweep.state(walked.first) if copies >= 0 else None
            if copies > 0 and state is not None and state == started:
                sweep.copy_pass(self.walk.passes[number - 1], copies)
                number += copies
                started = None
                continue
            started = state
            sweep.sweep_pass(walked)
            number += 1
        return sweep.ahead, sweep.keeps, sweep.needed

    def _num_copies(self, number: int) -> int:
        """How many passes, from this one on, look at the same as the pass before this one; -1 if none ever will.

        They are those in the same run of equal passes, from its third on, up to where a window reaches beyond the run.
        """
        passes = self.walk.passes
        walked = passes[number]
        settings = self.settings[walked.component]
        if settings.keep == "app" or settings.prefetch == "app":
            return -1
        before = 0
        while before < 2 and number - before > 0 and passes[number - before - 1].pattern == walked.pattern:
            before += 1
        if before == 0:
            return -1
        last = number
        while last + 1 < len(passes) and passes[last + 1].pattern == walked.pattern:
            last += 1
        if before == 1:
            return 0
        beyond = -(-max(1, self.window) // walked.length)
        return max(0, last - number + 1 - beyond)

    def refuse(self, index: int, kept_bytes: int) -> UserError:
        """The complaint that a use cannot be kept to the budget, with its block and the bytes missing."""
        number = self.walk.block[index]
        block = self.blocks[number]
        needed = self.demand(index, index) + kept_bytes
        assert self.budget is not None
        parts = [
            f"{format_bytes(self.memory.baseline)} baseline",
            f"{format_bytes(self.size[number])} weights",
            f"{format_bytes(self.costs.working_bytes[number])} working memory",
        ]
        if kept_bytes:
            parts.append(f"{format_bytes(kept_bytes)} kept resident")
        return self.document.error(
            "$.memory.budget",
            f"block '{block.name}' of {block.component} needs {format_bytes(needed)} ({', '.join(parts)}), "
            f"{format_bytes(needed - self.budget)} more than the budget of {format_bytes(self.budget)}",
            f"Allow {format_bytes(needed)}, cut the block smaller" + (", or keep fewer blocks." if kept_bytes else "."),
        )

    def _visits(self, ahead: list[int], keeps: list[bool]) -> list[Visit]:
        resident: set[int] = set()
        loaded: set[int] = set()
        ran: set[int] = set()
        visits = []
        block, step = self.walk.block, self.walk.step
        for walked in self.walk.passes:
            last = walked.first + walked.length - 1
            for index in range(walked.first, last + 1):
                used, package = block[index], self.uses[index]
                loads = package not in resident
                cold = False
                gate = index - 1
                while gate >= 0 and ahead[gate] >= index:
                    gate -= 1
                first_run = used not in ran
                if loads:
                    cold = package not in loaded
                    loaded.add(package)
                if first_run:
                    ran.add(used)
                visits.append(Visit(used, step[index], loads, cold, first_run, gate, not keeps[index], index == last))
                if keeps[index]:
                    resident.add(package)
                else:
                    resident.discard(package)
        return visits

    def _passes(self, visits: Sequence[Visit]) -> tuple[Pass, ...]:
        """The passes, compared by what their visits do, with gates taken relative to the visit."""
        found: list[Pass] = []
        num_same = 0
        following: tuple[tuple[int, ...], ...] = ()
        for walked in reversed(self.walk.passes):
            own = visits[walked.first : walked.first + walked.length]
            actions = tuple(
                (i - v.gate, v.loads, v.cold, v.first_run, v.block, v.evicts) for i, v in enumerate(own, walked.first)
            )
            num_same = num_same + 1 if actions == following else 0
            following = actions
            found.append(Pass(walked.first, walked.length, sum(v.loads for v in own), num_same))
        return tuple(reversed(found))


class _Kept(NamedTuple):
    """A package held for a later use; the use it is held from; whether that may be given up."""

    after: int
    use: int
    package: int
    is_soft: bool


class _Sweep:
    """The sweep under way: what is decided so far, and which packages are kept for a later use.

    A package lies in the window of a use exactly if its next use does; nothing else is asked of `kept`, by package,
    and of the bytes it comes to.
    """

    def __init__(self, planner: _LoadPlanner, keep: dict[str, Kept]) -> None:
        self.planner = planner
        self.keep = keep
        count = len(planner.uses)
        self.ahead = list(range(count))
        self.keeps = [False] * count
        self.needed = 0
        self.kept: dict[int, _Kept] = {}
        self.kept_bytes = 0
        self.hard_bytes = 0
        self.given_up: list[int] = []
        """uses whose package was given up after all, by the pass swept last"""

    def state(self, start: int) -> object:
        """What the sweep carries into a pass, relative to where it starts."""
        return {entry._replace(after=entry.after - start, use=entry.use - start) for entry in self.kept.values()}

    def sweep_pass(self, walked: _WalkedPass) -> None:
        """Raises UserError if the budget cannot be kept."""
        planner, kept, keeps, ahead = self.planner, self.kept, self.keeps, self.ahead
        size, uses, next_use, reach = planner.size, planner.uses, planner.next_use, planner.reach
        demand_of = planner.demand
        budget = planner.budget
        soft_cap = budget if budget is not None else planner.memory.available
        positions = self.keep[walked.component]
        if self._app_releases(walked):
            positions = frozenset()
        is_soft = positions is None
        count = len(uses)
        self.given_up = []
        for position, index in enumerate(range(walked.first, walked.first + walked.length)):
            package = uses[index]
            if package in kept:
                self._drop(package)
            last = reach[index]
            demand = demand_of(index, last)
            if budget is not None:
                while (
                    demand + self.hard_bytes - (self._in_window(index, last, True) if self.hard_bytes else 0) > budget
                ):
                    if last == index:
                        raise planner.refuse(index, self.hard_bytes)
                    last -= 1
                    demand = demand_of(index, last)
            ahead[index] = last
            if kept:
                demand += self.kept_bytes - (self._in_window(index, last) if last > index else 0)
                if demand > soft_cap:
                    later = [entry for entry in kept.values() if entry.is_soft and entry.after > last]
                    later.sort()
                    while demand > soft_cap and later:
                        _, use, other, _ = later.pop()
                        demand -= size[other]
                        self._drop(other)
                        keeps[use] = False
                        self.given_up.append(use)
            if demand > self.needed:
                self.needed = demand
            following = next_use[index]
            if following < count and (positions is None or position in positions or following <= last):
                keeps[index] = True
                kept[package] = _Kept(following, index, package, is_soft)
                self.kept_bytes += size[package]
                if not is_soft:
                    self.hard_bytes += size[package]

    def _drop(self, package: int) -> None:
        size = self.planner.size[package]
        self.kept_bytes -= size
        if not self.kept.pop(package).is_soft:
            self.hard_bytes -= size

    def _in_window(self, index: int, last: int, only_hard: bool = False) -> int:
        """Bytes of the kept packages that uses index + 1 .. last take."""
        uses, kept, size = self.planner.uses, self.kept, self.planner.size
        held = 0
        for use in range(index + 1, last + 1):
            entry = kept.get(uses[use])
            if entry is not None and entry.after == use and not (only_hard and entry.is_soft):
                held += size[entry.package]
        return held

    def copy_pass(self, walked: _WalkedPass, copies: int) -> None:
        """Decide the `copies` passes after `walked`, the pass swept last, as that one was decided."""
        start, length = walked.first, walked.length
        ahead = [last - start for last in self.ahead[start : start + length]]
        keeps = self.keeps[start : start + length]
        # What a pass gives up of the pass before it, it gives up of each copy before it too.
        settled = keeps.copy()
        for use in self.given_up:
            if use < start:
                settled[use - start + length] = False
        self.keeps[start : start + length] = settled
        for copy in range(1, copies + 1):
            first = start + copy * length
            self.ahead[first : first + length] = [first + offset for offset in ahead]
            self.keeps[first : first + length] = settled if copy < copies else keeps
        shift = copies * length
        self.kept = {
            entry.package: entry._replace(after=entry.after + shift, use=entry.use + shift)
            for entry in self.kept.values()
        }

    def _app_releases(self, walked: _WalkedPass) -> bool:
        """The app releases what it kept on the step where LPL would have leapt, even with LPL off."""
        planner = self.planner
        is_app = planner.settings[walked.component].keep == "app"
        return is_app and planner.plan.lpl.mode == "off" and walked.step == APP_LPL_STEP


def _packages(blocks: Sequence[BlockSpec], are_separate: bool) -> list[int]:
    """For each block, the first block whose package it shares: itself, or its variant that came first."""
    first: dict[tuple[str, int, str], int] = {}
    return [
        first.setdefault((block.component, block.index, block.variant if are_separate else ""), number)
        for number, block in enumerate(blocks)
    ]


def _next_uses(packages: list[int]) -> list[int]:
    """For each use, the next use of the same package; the number of uses if there is none."""
    end = len(packages)
    following: dict[int, int] = {}
    result = [end] * end
    for index in range(end - 1, -1, -1):
        package = packages[index]
        result[index] = following.get(package, end)
        following[package] = index
    return result
