"""A generation with something to be chosen in it, and what it comes to with one of the choices.

Plain functions over columns (base/compiled.py): compiled where that pays, to the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import accumulate, groupby
from typing import Any, NamedTuple

import numpy as np

from ondevice_sora.base.compiled import arrays, compiled, floats, ints, pays
from ondevice_sora.plans import loading, recurrence
from ondevice_sora.plans.heat import NO_HEAT
from ondevice_sora.plans.loading import Ints, Order, Room, Walk, columns_of, decide, order_of
from ondevice_sora.plans.recurrence import Blocks, finish_times

PLAYED_PASSES = 4
"""Of passes that are equal: the first ones, and the last."""

Flags = tuple[int, ...]
"""What is to become of each block: DROP, KEEP or MAY_KEEP of plans/loading.py."""


class Question(NamedTuple):
    """A generation of which something is to be chosen.

    walk      what is given: where something is chosen, windows at most
    package   by block, as plans/loading.py takes it
    stored    by block: bytes that a load reads
    slot      by visit: its block's place in a candidate's flags; -1 where nothing is to be chosen
    part      by visit: its component's place in a candidate's windows; -1 as well
    weight    by pass: how many passes of the generation it stands for
    """

    walk: Walk
    package: Ints
    blocks: Blocks
    stored: Ints
    room: Room
    slot: Ints
    part: Ints
    weight: Ints


class Candidate(NamedTuple):
    """Flags by slot, windows at most by part, and the budget to keep to (-1 without one)."""

    flags: Flags
    windows: tuple[int, ...]
    budget: int


class Played(NamedTuple):
    """What a candidate comes to: seconds and bytes loaded of each part, last of all else, and the largest footprint."""

    part_s: tuple[float, ...]
    part_bytes: tuple[int, ...]
    needed: int

    @property
    def seconds(self) -> float:
        return sum(self.part_s)

    @property
    def loaded_bytes(self) -> int:
        return sum(self.part_bytes)


def played_walk(
    question: Question, order: Order, flags: Ints, num_parts: int, budget: int
) -> tuple[list[float], list[int], int, bool]:
    """What a candidate comes to, see Played, and whether the budget refuses it. `order` has its windows."""
    walk, package, blocks, stored, room, slot, part, weight = question
    part_s, part_bytes = floats(num_parts + 1), ints(num_parts + 1, 0)
    keep = asked_keep(walk, slot, flags)
    decision = decide(order, keep, blocks.sizes, Room(room.baseline, budget, room.available))
    if decision.refused >= 0:
        return part_s, part_bytes, decision.needed, True
    columns = columns_of(Walk(walk.block, walk.window, keep, walk.pass_length, walk.start), package, decision)
    finish_s, _ = finish_times(columns, blocks, room.baseline, NO_HEAT)
    before, visit = 0.0, 0
    for number in range(len(weight)):
        own = part[visit] if part[visit] >= 0 else num_parts
        part_s[own] += weight[number] * (finish_s[number] - before)
        before = finish_s[number]
        for _ in range(walk.pass_length[number]):
            if columns.loads[visit] != 0:
                part_bytes[own] += weight[number] * stored[walk.block[visit]]
            visit += 1
    return part_s, part_bytes, decision.needed, False


def asked_keep(walk: Walk, slot: Ints, flags: Ints) -> list[int]:
    """What is to become of the block after each visit, with a candidate's flags."""
    keep = ints(len(slot), 0)
    for visit in range(len(slot)):
        keep[visit] = flags[slot[visit]] if slot[visit] >= 0 else walk.keep[visit]
    return keep


def asked_walk(question: Question, candidate: Candidate) -> Walk:
    """The walk that a candidate asks for: with its flags, and with windows no wider than its own."""
    walk, parts = question.walk, zip(question.walk.window, question.part, strict=True)
    window = [min(own, candidate.windows[part]) if part >= 0 else own for own, part in parts]
    return walk._replace(window=window, keep=asked_keep(walk, question.slot, candidate.flags))


HELPERS = (*loading.HELPERS, *recurrence.HELPERS, finish_times, asked_keep)
"""What `played_walk` calls."""


@cache
def _compiled() -> Callable[..., Any]:
    return compiled(played_walk, *HELPERS)


SECONDS_A_VISIT = 6e-6
"""What a visit of a candidate takes uncompiled, about."""


class Player:
    """Plays candidates of one question; compiled from when the compiler runs, or would have paid for those before."""

    uncompiled_visits = 0
    """of all questions so far"""

    def __init__(self, question: Question) -> None:
        self.question: Question = question
        self.asked = question
        self.is_compiled = False
        self.orders: dict[tuple[int, ...], Order] = {}
        """by windows"""
        if pays(0.0):
            self._compile()

    def _compile(self) -> None:
        self.is_compiled, self.asked, self.orders = True, arrays(self.question), {}

    def __call__(self, candidate: Candidate) -> Played | None:
        """What it comes to; None if the budget refuses it, or if it needs more than is available without one."""
        if not self.is_compiled:
            Player.uncompiled_visits += len(self.question.walk.block)
            if pays(Player.uncompiled_visits * SECONDS_A_VISIT):
                self._compile()
        flags: Any = candidate.flags
        play: Callable[..., Any] = played_walk
        if self.is_compiled:
            play, flags = _compiled(), np.array(flags)
        order, num_parts, budget = self._order(candidate), len(candidate.windows), candidate.budget
        part_s, part_bytes, needed, is_refused = play(self.asked, order, flags, num_parts, budget)
        if is_refused or (budget < 0 and needed > self.question.room.available):
            return None
        return Played(tuple(part_s), tuple(part_bytes), needed)

    def _order(self, candidate: Candidate) -> Order:
        if candidate.windows not in self.orders:
            question, walk = self.question, asked_walk(self.question, candidate)
            order = order_of(walk, question.package, question.blocks.sizes, question.room.baseline)
            self.orders[candidate.windows] = arrays(order) if self.is_compiled else order
        return self.orders[candidate.windows]


def shortened(question: Question) -> Question:
    """The same generation with passes left out that equal the ones before and after; others stand for them."""
    walk = question.walk
    firsts = [0, *accumulate(walk.pass_length)]
    columns = (walk.block, walk.window, walk.keep, question.slot, question.part)

    def told(number: int) -> list[Sequence[int]]:
        return [column[firsts[number] : firsts[number + 1]] for column in columns]

    kept, weight = [], []
    for _, group in groupby(range(len(walk.pass_length)), key=told):
        run = list(group)
        if len(run) <= PLAYED_PASSES:
            kept += run
            weight += [1] * len(run)
        else:
            kept += [*run[: PLAYED_PASSES - 1], run[-1]]
            weight += [*[1] * (PLAYED_PASSES - 2), len(run) - PLAYED_PASSES + 1, 1]
    taken = [[value for number in kept for value in column[firsts[number] : firsts[number + 1]]] for column in columns]
    block, window, keep, slot, part = taken
    lengths = [walk.pass_length[number] for number in kept]
    cut = Walk(block, window, keep, lengths, walk.start)
    return question._replace(walk=cut, slot=slot, part=part, weight=weight)
