"""Which buffer every load of a schedule goes to, worked out before the run.

A schedule fixes what may be in memory together, so buffers can be assigned like registers: a load takes one whose last
block has been evicted by the load's gate, whatever the two threads' timing. All buffers then exist before the first
load, no thread ever waits for one, and each block finds the same few buffers again in every step.

A block whose file another variant still holds needs no second copy: it shares that holding, and its load reads nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from plans.schedule import Schedule, Visit


@dataclass
class Holding:
    """One block file in one buffer, from the load at visit `start` until the evictions at all of `evictions`.

    until    the last of the evictions; the number of visits if there is none
    keep     bytes of the buffer worth keeping afterwards: what the buffer's next holding needs
    """

    file: str
    size: int
    start: int
    buffer: int
    evictions: set[int]
    until: int
    keep: int = 0


@dataclass(frozen=True)
class Assignment:
    """`holdings[i]` is what visit i's block lies in; `reads` are the visits whose load starts a holding."""

    holdings: tuple[Holding, ...]
    reads: frozenset[int]
    buffer_bytes: tuple[int, ...]


def assign(schedule: Schedule, file_of: Callable[[int], str], size_of: Callable[[int], int]) -> Assignment:
    """Buffers for all loads. `file_of` and `size_of` take a block's index in the schedule."""
    visits = schedule.visits
    evicted_at = _evictions(visits)
    capacities: list[int] = []
    free_from: list[int] = []
    last: list[Holding | None] = []
    live: dict[str, Holding] = {}
    by_block: dict[int, Holding] = {}
    holdings: list[Holding] = []
    reads = set()
    for index, visit in enumerate(visits):
        if visit.loads:
            file, size = file_of(visit.block), size_of(visit.block)
            end = evicted_at[index]
            shared = live.get(file)
            if shared is not None and shared.until > visit.gate:
                shared.evictions.add(end)
                shared.until = max(shared.until, end)
                free_from[shared.buffer] = shared.until
                by_block[visit.block] = shared
            else:
                buffer = _choose(capacities, free_from, visit.gate, size)
                if buffer == len(capacities):
                    capacities.append(size)
                    free_from.append(end)
                    last.append(None)
                capacities[buffer] = max(capacities[buffer], size)
                free_from[buffer] = end
                previous = last[buffer]
                if previous is not None:
                    previous.keep = size
                last[buffer] = live[file] = by_block[visit.block] = Holding(file, size, index, buffer, {end}, end)
                reads.add(index)
        holdings.append(by_block[visit.block])
    return Assignment(tuple(holdings), frozenset(reads), tuple(capacities))


def _choose(capacities: Sequence[int], free_from: Sequence[int], gate: int, size: int) -> int:
    """The smallest free buffer that is large enough, else the largest free one, to be made larger, else a new one."""
    free = [buffer for buffer, since in enumerate(free_from) if since <= gate]
    enough = [buffer for buffer in free if capacities[buffer] >= size]
    if enough:
        return min(enough, key=lambda buffer: (capacities[buffer], buffer))
    return max(free, key=lambda buffer: (capacities[buffer], -buffer), default=len(capacities))


def _evictions(visits: Sequence[Visit]) -> list[int]:
    """For each visit, the visit at which its block is evicted next; the number of visits if it never is."""
    result = [len(visits)] * len(visits)
    following: dict[int, int] = {}
    for index in range(len(visits) - 1, -1, -1):
        if visits[index].evicts:
            following[visits[index].block] = index
        result[index] = following.get(visits[index].block, len(visits))
    return result
