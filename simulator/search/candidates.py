"""Thousands of plans a second: candidates of one search, scored from columns that they share.

Candidates differ in cuts, windows and residents. Their blocks come from one table, in which each is priced once; their
visits from columns that are remembered by cut. What then remains is plans/loading.py and plans/recurrence.py,
compiled where numba is installed. Until that is done, beside the search, candidates are scored uncompiled. Tests hold
the answers equal to those of the schedule built whole and of the engine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import cache
from itertools import accumulate, chain
from typing import Any, NamedTuple

import numpy as np

from ondevice_sora.base.compiled import compiled, has_compiler
from ondevice_sora.plans import loading, recurrence
from ondevice_sora.plans.heat import NO_HEAT, Heat
from ondevice_sora.plans.loading import NEW, Ints, Room, Sizes, Walk, planned_loads
from ondevice_sora.plans.policies import flags
from ondevice_sora.plans.recurrence import Blocks, Seconds, finish_times
from ondevice_sora.plans.schedule import MAX_VISITS, sizes_of
from ondevice_sora.plans.scheduling import STARTS
from ondevice_sora.plans.schema import Packages, Plan
from ondevice_sora.simulator.search.choices import Choice, Choices, Part
from ondevice_sora.simulator.search.place import Place

Column = Any
"""A list, or an array where numba is installed."""


class Played(NamedTuple):
    """What a candidate comes to on one device; bytes and seconds."""

    total_s: float
    peak_bytes: int
    needed_bytes: int
    stored_bytes: int
    num_packages: int


class _Cut(NamedTuple):
    """A component cut into blocks: the table's row for each visit, the visits of each pass, and what is stored."""

    block: Column
    pass_length: Column
    stored_bytes: dict[Packages, int]
    num_packages: dict[Packages, int]


MOST_NUMBERS = 4_000_000
"""So many numbers of visits are remembered of cuts; then all are forgotten."""
MOST_BLOCKS = 100_000
"""The same of blocks and their prices."""


class _Table(NamedTuple):
    """The blocks of all cuts so far, and for each the first that shares its package, if variants share one or not."""

    blocks: Blocks
    shared: Column
    separate: Column


class _Part:
    """A component with the columns of its last candidate: a search changes one component at a time."""

    def __init__(self, part: Part, plan: Plan) -> None:
        self.part = part
        self.merging = [part.component.passes == "steps" and plan.merges(step) for step in range(part.num_passes)]
        self.mergeable = [0, *accumulate(bool(unit.tdtm) for unit in part.component.units)]
        """units before each that merge tokens"""
        self.names = [unit.name for unit in part.component.units]
        self.cuts: dict[tuple[int, ...], _Cut] = {}
        self.last: tuple[Choice, _Cut, Column, Column] | None = None


class Candidates:
    """The candidates of one plan on one device. `rows` numbers the table's blocks: component, start, end, merging.

    `is_brief` says that there are too few for a compiler to pay.
    """

    def __init__(self, plan: Plan, model: str, parts: Sequence[Part], place: Place, is_brief: bool = False) -> None:
        self.is_brief = is_brief
        self.model, self.place, self.start = model, place, STARTS[plan.start]
        self.parts = [_Part(part, plan) for part in parts]
        self.rows: dict[tuple[int, int, int, bool], int] = {}
        self.packages: dict[tuple[str, str, str], int] = {}
        self.stored: list[int] = []
        self.columns = _Columns(floats=7, ints=6)
        self.table: _Table | None = None
        self.num_kept = 0
        self.is_fast = False

    def can_play(self, choices: Choices) -> bool:
        """Whether nothing in them needs the plan's schedule to be built whole: rules that look at a first pass."""
        kept = [own.part.kept(choice) for own, choice in zip(self.parts, choices, strict=True)]
        return all(choice.prefetch != "app" for choice in choices) and not {"app", "paper"}.intersection(
            keep for keep in kept if isinstance(keep, str)
        )

    def play(self, choices: Choices, packages: Packages, budget: int) -> Played | None:
        """What the candidate comes to; None if the budget cannot be kept, or visits are too many to be played."""
        lengths = (len(choice.starts) * own.part.num_passes for choice, own in zip(choices, self.parts, strict=True))
        if sum(lengths) > MAX_VISITS:
            return None
        play = None if self.is_brief else compiled_play()
        if (play is not None) != self.is_fast or self.num_kept > MOST_NUMBERS or len(self.rows) > MOST_BLOCKS:
            self.is_fast = play is not None
            self._forget()
        chosen = [self._columns_of(index, choice) for index, choice in enumerate(choices)]
        cuts = [columns[1] for columns in chosen]
        block = self._join([cut.block for cut in cuts])
        walk = Walk(
            block,
            self._join([columns[2] for columns in chosen]),
            self._join([columns[3] for columns in chosen]),
            self._join([cut.pass_length for cut in cuts]),
            self.start,
        )
        if self.table is None:
            columns = self.columns.arrays() if self.is_fast else self.columns.lists
            self.table = _Table(Blocks(Seconds(*columns[:7]), Sizes(*columns[7:11])), *columns[11:])
        machine, blocks = self.place.machine, self.table.blocks
        package = self.table.separate if packages == "separate" else self.table.shared
        room = Room(machine.memory.baseline, budget, budget)
        total_s, peak, needed, is_refused = (play or play_walk)(walk, package, blocks, room, machine.heat)
        if is_refused:
            return None
        stored = sum([cut.stored_bytes[packages] for cut in cuts])
        return Played(total_s, peak, needed, stored, sum([cut.num_packages[packages] for cut in cuts]))

    def _columns_of(self, index: int, choice: Choice) -> tuple[Choice, _Cut, Column, Column]:
        """The component's cut, and for each visit its window and what is to become of the block after it."""
        own = self.parts[index]
        if own.last is None or own.last[0] is not choice:
            cut = own.cuts.get(choice.starts)
            if cut is None:
                cut = own.cuts[choice.starts] = self._cut(index, choice.starts)
                self.num_kept += len(cut.block)
            kept = flags(own.part.kept(choice), [own.names[start] for start in choice.starts])
            passes = own.part.num_passes
            window = self._column([choice.prefetch], len(kept) * passes)
            own.last = (choice, cut, window, self._column(kept, passes))
        return own.last

    def _cut(self, index: int, starts: tuple[int, ...]) -> _Cut:
        own = self.parts[index]
        bounds = own.part.bounds(starts)
        rows = {merges: self._rows(index, bounds, merges) for merges in dict.fromkeys(own.merging)}
        once, used = next(iter(rows.values())), set(chain.from_iterable(rows.values()))
        return _Cut(
            self._column([row for merges in own.merging for row in rows[merges]]),
            self._column([len(bounds)], len(own.merging)),
            {"shared": sum([self.stored[row] for row in once]), "separate": sum([self.stored[row] for row in used])},
            {"shared": len(bounds), "separate": len(used)},
        )

    def _rows(self, index: int, bounds: Sequence[tuple[int, int]], merges: bool) -> list[int]:
        """The table's rows of these blocks; those that are not there yet are priced."""
        own = self.parts[index]
        keys = [(index, start, end, merges and own.mergeable[end] > own.mergeable[start]) for start, end in bounds]
        missing = [key for key in dict.fromkeys(keys) if key not in self.rows]
        if missing:
            specs = [own.part.spec(self.model, start, end, merging) for _, start, end, merging in missing]
            costs = self.place.prices(specs)
            machine = self.place.machine
            numbers = range(len(self.rows), len(self.rows) + len(missing))
            self.rows.update(zip(missing, numbers, strict=True))
            added: tuple[Sequence[Any], ...] = (
                *(array[:, 0].tolist() for array in costs.seconds),
                *zip(*(machine.speeds(spec.processor) for spec in specs), strict=True),
                *sizes_of(costs, machine.memory),
                [
                    self.packages.setdefault(spec.package(False), number)
                    for spec, number in zip(specs, numbers, strict=True)
                ],
                numbers,
            )
            self.columns.extend(added)
            self.stored.extend(costs.stored_bytes)
            self.table = None
        return [self.rows[key] for key in keys]

    def _forget(self) -> None:
        """Let go of the columns: there are too many, or they are to be of another kind."""
        for own in self.parts:
            own.cuts.clear()
            own.last = None
        self.num_kept, self.table = 0, None
        if len(self.rows) > MOST_BLOCKS:
            self.rows.clear()
            self.packages.clear()
            self.stored.clear()
            self.columns.clear()
            self.place.prices.rows.clear()

    def _column(self, values: list[Any], times: int = 1) -> Column:
        if not self.is_fast:
            return values * times
        column = np.array(values)
        return column if times == 1 else np.tile(column, times)

    def _join(self, columns: list[Column]) -> Column:
        return np.concatenate(columns) if self.is_fast else list(chain.from_iterable(columns))


def play_walk(walk: Walk, package: Ints, blocks: Blocks, room: Room, heat: Heat) -> tuple[float, int, int, bool]:
    """Total, peak and needed bytes of a walk, and whether its budget cannot be kept."""
    columns, needed, refused = planned_loads(walk, package, blocks.sizes, room)
    if refused >= 0:
        return 0.0, 0, needed, True
    finish_s, peak = finish_times(columns, blocks, room.baseline, heat)
    return finish_s[-1], peak, needed, False


HELPERS = (*loading.HELPERS, planned_loads, *recurrence.HELPERS, finish_times)
"""What `play_walk` calls."""


class _Compiling(threading.Thread):
    """Compiles `play_walk` and plays one visit with it: that takes seconds, and a search need not wait for it."""

    def __init__(self) -> None:
        super().__init__(name="compile the search")
        self.play: Callable[..., Any] | None = None
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            if has_compiler():
                play = compiled(play_walk, *HELPERS)
                play(*_smallest_walk())
                self.play = play
        except Exception as error:  # it is raised where the search is
            self.error = error


def _smallest_walk() -> tuple[Any, ...]:
    """What `play_walk` is given, in arrays: one visit of one block."""
    visit, one, second = np.zeros(1, np.int64), np.ones(1, np.int64), np.zeros(1)
    seconds: Any = [second] * len(Seconds._fields)
    sizes: Any = [one] * len(Sizes._fields)
    walk: Any = (visit, visit, visit, one, NEW)
    return Walk(*walk), visit, Blocks(Seconds(*seconds), Sizes(*sizes)), Room(0, 10, 10), NO_HEAT


@cache
def _compiling() -> _Compiling:
    thread = _Compiling()
    thread.start()
    return thread


def compiled_play() -> Callable[..., Any] | None:
    """`play_walk` compiled; None without a compiler and as long as it is under way, which the first call begins."""
    thread = _compiling()
    if thread.error is not None:
        raise thread.error
    return thread.play


def wait_for_compiler() -> None:
    """Come back when `compiled_play` has its last answer."""
    _compiling().join()


class _Columns:
    """Columns that grow: as lists, and as arrays without being copied each time."""

    def __init__(self, floats: int, ints: int) -> None:
        self.lists: list[list[Any]] = [[] for _ in range(floats + ints)]
        self.kinds = [np.float64] * floats + [np.int64] * ints
        self.buffers: list[Any] = []
        self.num_copied = 0

    def extend(self, added: Sequence[Sequence[Any]]) -> None:
        for column, more in zip(self.lists, added, strict=True):
            column.extend(more)

    def arrays(self) -> list[Column]:
        """What is there now; arrays given before stay as they were."""
        count = len(self.lists[0])
        if not self.buffers or count > len(self.buffers[0]):
            self.buffers = [np.empty(2 * count, kind) for kind in self.kinds]
            self.num_copied = 0
        for buffer, column in zip(self.buffers, self.lists, strict=True):
            buffer[self.num_copied : count] = column[self.num_copied :]
        self.num_copied = count
        return [buffer[:count] for buffer in self.buffers]

    def clear(self) -> None:
        for column in self.lists:
            column.clear()
        self.buffers = []
