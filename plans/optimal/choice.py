"""Choose which blocks stay, how far loads run ahead, and how much of the budget to use: `keep: optimal`.

The plan's windows and budget are upper bounds here. A candidate says which blocks of the components with `optimal` are
kept from pass to pass, a window for each of these components, and a budget; what it takes is the recurrence's answer,
heat aside. Of all candidates the fastest is taken, and of equally fast ones that which loads the fewest bytes.

few blocks   every set of blocks, with every narrower window and every smaller budget that makes a difference: what is
             chosen is the best of them, and more budget or more window only adds candidates
more blocks  component by component: the first blocks, some in equal distances, the smallest, those whose loads cost
             most a byte; then one block more or less. A long generation is played with equal passes left out first, and
             only the best candidates in full

Besides, whatever fits may be kept at every moment (MAY_KEEP, as `belady` does). A candidate that cannot be better than
the best so far, by what it takes at least, is not played.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, combinations, product
from typing import NamedTuple

from ondevice_sora.plans.loading import DROP, KEEP, MAY_KEEP
from ondevice_sora.plans.optimal.least import Least
from ondevice_sora.plans.optimal.question import Candidate, Flags, Played, Player, Question, shortened

SETS = 5_000
"""Up to so many combinations of the components' sets, every one is a candidate."""
EVERY_SET = 512
"""A component with so many sets of blocks, or fewer, has every one among the candidates."""
EXACT = 400
"""Generations of more visits are played with equal passes left out, to sort the candidates."""
WORK, WORK_OF_LONG = 1_000_000, 100_000
"""Visits played for one choice, at most; of generations so long that candidates are sorted first, fewer."""
HELD_BACK = 6
"""Of a generation with more sets: so many of the best candidates are tried with narrower windows."""
FINALISTS = 4
"""Of a long generation: so many of the best candidates are then played whole."""
SAME = 1e-9
"""Relative: times that differ by less are equal."""


class Part(NamedTuple):
    """A component of which something is to be chosen: its slots, its widest window, how often it is walked."""

    slots: range
    window: int
    num_passes: int


def choose(question: Question, parts: Sequence[Part]) -> Candidate:
    """The best candidate. If the budget refuses every one, or none fits in what is available, the one of `belady`."""
    is_long = len(question.walk.block) > EXACT
    search = _Search(shortened(question) if is_long else question, parts, WORK_OF_LONG if is_long else WORK)
    search.run(with_soft=not is_long)
    if is_long:
        # Fixed sets do the same in every pass, so that what is left out is known. Others may not, and are played whole.
        exact = _Search(question, parts, WORK_OF_LONG)
        exact.play_again(search.ranked()[:FINALISTS])
        search = exact
    windows = tuple(part.window for part in parts)
    soft = Candidate((MAY_KEEP,) * parts[-1].slots.stop, windows, question.room.budget)
    return soft if search.best is None else search.best[0]


class _Search:
    """Plays candidates and keeps what each of them comes to; the most promising first, until the work is done."""

    def __init__(self, question: Question, parts: Sequence[Part], most_visits: int) -> None:
        self.question, self.parts, self.visits_left = question, parts, most_visits
        self.player = Player(question)
        self.played: dict[Candidate, Played | None] = {}
        self.refused: set[Flags] = set()
        self.best: tuple[Candidate, Played] | None = None
        self.widest = tuple(part.window for part in parts)

    def play(self, candidate: Candidate) -> Played | None:
        if candidate in self.played:
            return self.played[candidate]
        if candidate.flags in self.refused and candidate.budget >= 0:  # whatever the windows: they give way to a budget
            return None
        self.visits_left -= len(self.question.walk.block)
        self.played[candidate] = played = self.player(candidate)
        if played is None and candidate.budget == self.question.room.budget:
            self.refused.add(candidate.flags)
        if played is not None and (self.best is None or _is_better(_told(played), _told(self.best[1]))):
            self.best = candidate, played
        return played

    def ranked(self) -> list[Candidate]:
        """Those that fit, the best first."""
        order = {candidate: _told(played) for candidate, played in self.played.items() if played is not None}
        return sorted(order, key=lambda candidate: order[candidate])

    def run(self, with_soft: bool) -> None:
        """Look for the best candidate, whatever fits being kept among them or not."""
        sets = [_sets_of(self.question, part, with_soft) for part in self.parts]
        if math.prod(map(len, sets)) <= SETS:
            least = Least(self.question)
            every = [tuple(chain.from_iterable(flags)) for flags in product(*sets)]
            for flags in self._promising(every, least):
                self.play(Candidate(flags, self.widest, self.question.room.budget))
            for flags in self._promising(every, least):
                self._hold_back(flags)
        else:
            self._play_in_turn(sets)

    def play_again(self, candidates: Sequence[Candidate]) -> None:
        """These, and with all that fits kept, in one component or in all, with the windows of the best or narrower."""
        for candidate in candidates:
            self.play(candidate)
        flags, windows = (MAY_KEEP,) * self.parts[-1].slots.stop, self.widest
        if self.best is not None:
            (best, windows, _), _ = self.best
            for part in self.parts:
                slots = part.slots
                own = (*best[: slots.start], *flags[slots.start : slots.stop], *best[slots.stop :])
                self.play(Candidate(own, windows, self.question.room.budget))
        for each in dict.fromkeys((windows, self.widest)):
            self.play(Candidate(flags, each, self.question.room.budget))
        if self.best is not None and MAY_KEEP in self.best[0].flags:
            self._narrow(self.best[0])

    def _promising(self, every: Iterable[Flags], least: Least) -> Iterator[Flags]:
        """Those that may still be better than the best, by what they take at least; until the work is done."""
        for least_s, least_bytes, flags in sorted([(*least.of(flags), flags) for flags in every]):
            if self.visits_left <= 0:
                return
            if self.best is None or _is_better((least_s, least_bytes), _told(self.best[1], least.part)):
                yield flags

    def _hold_back(self, flags: Flags) -> None:
        """Every narrower window, and every smaller budget that makes a difference: the largest below what is needed."""
        for windows in product(*(range(part.window, -1, -1) for part in self.parts)):
            budget = self.question.room.budget
            while self.visits_left > 0:
                played = self.play(Candidate(flags, windows, budget))
                if played is None or budget < 0:
                    break
                budget = played.needed - 1

    def _play_in_turn(self, sets: Sequence[Sequence[Flags]]) -> None:
        """One component's blocks at a time, the others' as they are best so far, until none is better."""
        flags, budget = (DROP,) * self.parts[-1].slots.stop, self.question.room.budget
        self.play(Candidate(flags, self.widest, budget))
        for slots in [part.slots for part in self.parts]:  # all of a component, where that fits
            kept = (*flags[: slots.start], *[KEEP] * len(slots), *flags[slots.stop :])
            flags = flags if self.play(Candidate(kept, self.widest, budget)) is None else kept
        before = None
        while self.best is not None and self.best != before and self.visits_left > 0:
            before = self.best
            for number, own in enumerate(sets):
                least = Least(self.question, number)
                if self.best[1].part_bytes[number] > least.of((KEEP,) * self.parts[-1].slots.stop)[1]:
                    self._change(number, own, least)
            for candidate in self.ranked()[:HELD_BACK]:
                self._narrow(candidate)

    def _narrow(self, candidate: Candidate) -> None:
        """The same with the window of one component narrower."""
        for number, part in enumerate(self.parts):
            for window in _fewer(part.window):
                windows = (*candidate.windows[:number], window, *candidate.windows[number + 1 :])
                self.play(candidate._replace(windows=windows))

    def _change(self, number: int, sets: Sequence[Flags], least: Least) -> None:
        """One component's blocks: these sets, and the best so far with one block more or less."""
        assert self.best is not None
        here, slots = self.best[0], self.parts[number].slots
        before, after = here.flags[: slots.start], here.flags[slots.stop :]
        own = here.flags[slots.start : slots.stop]
        single = [(*own[:row], KEEP - own[row], *own[row + 1 :]) for row in range(len(own)) if own[row] in (DROP, KEEP)]
        for flags in self._promising([(*before, *each, *after) for each in (*sets, *single)], least):
            self.play(here._replace(flags=flags))


def _told(played: Played, part: int | None = None) -> tuple[float, int]:
    """Seconds and bytes loaded, of a part or of the whole."""
    return (
        (sum(played.part_s), sum(played.part_bytes)) if part is None else (played.part_s[part], played.part_bytes[part])
    )


def _is_better(one: tuple[float, int], other: tuple[float, int]) -> bool:
    """By seconds, or of equal ones by bytes."""
    if abs(one[0] - other[0]) <= SAME * other[0]:
        return one[1] < other[1]
    return one[0] < other[0]


def _fewer(window: int) -> Iterator[int]:
    """A window, half of it, and so on down to none."""
    yield window
    while window > 0:
        window //= 2
        yield window


def _sets_of(question: Question, part: Part, with_soft: bool) -> list[Flags]:
    """What may be kept of a component: all sets of its blocks if they are few, else those that come of an order."""
    count = len(part.slots)
    if part.num_passes == 1:
        return [(DROP,) * count]
    rows = range(count)
    sets: list[Iterable[int]] = []
    if 2**count <= EVERY_SET:
        sets = [chosen for many in range(count + 1) for chosen in combinations(rows, many)]
    else:
        size, cost = [0] * count, [0.0] * count
        for slot, block in zip(question.slot, question.walk.block, strict=True):
            if slot in part.slots:
                size[slot - part.slots.start] = question.blocks.sizes.resident[block]
                cost[slot - part.slots.start] = question.blocks.seconds.warm[block]
        small = sorted(rows, key=lambda row: size[row])
        dear = sorted(rows, key=lambda row: -cost[row] / max(1, size[row]))
        for many in range(count + 1):
            evenly = [row for row in rows if (row + 1) * many // count > row * many // count]
            sets += [rows[:many], evenly, small[:many], dear[:many]]
    kept = [tuple(KEEP if row in set(each) else DROP for row in rows) for each in sets]
    return list(dict.fromkeys([*kept, *[(MAY_KEEP,) * count] * with_soft]))
