"""Which buffer every load of a schedule goes to, worked out before the run.

A schedule fixes what may be in memory together, so buffers can be assigned like registers: a load takes one whose last
block has been evicted by the load's gate, whatever the two threads' timing. All buffers then exist before the first
load, no thread ever waits for one, and each block finds the same few buffers again in every step.

Both variants of a block find the same file's weights in the same holding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ondevice_sora.plans.schedule import Schedule, Visit


@dataclass
class Holding:
    """One block file in one buffer, from the load at visit `start` until the eviction at visit `until`.

    start    -1 if it is there before the first visit
    until    the number of visits if the schedule never evicts it
    keep     bytes of the buffer worth keeping afterwards: what the buffer's next holding needs
    """

    file: str
    size: int
    start: int
    buffer: int
    until: int
    keep: int = 0


@dataclass(frozen=True)
class Assignment:
    """`holdings[i]` is what visit i's block lies in; `held` are those before the first visit, each with its block."""

    holdings: tuple[Holding, ...]
    buffer_bytes: tuple[int, ...]
    held: tuple[tuple[int, Holding], ...] = ()


def assign(schedule: Schedule, file_of: Callable[[int], str], size_of: Callable[[int], int]) -> Assignment:
    """Buffers for all loads. `file_of` and `size_of` take a block's index in the schedule.

    Packages of their own have files of their own: a name for each is enough.
    """
    files = [file_of(visit.block) for visit in schedule.visits]
    evicted_at = _evictions(schedule.visits, files)
    capacities: list[int] = []
    free_from: list[int] = []
    last: list[Holding | None] = []
    live: dict[str, Holding] = {}
    holdings: list[Holding] = []
    held: list[tuple[int, Holding]] = []
    for block in schedule.held:
        file, size = file_of(block), size_of(block)
        live[file] = Holding(file, size, -1, len(capacities), len(schedule.visits))
        held.append((block, live[file]))
        capacities.append(size)
        free_from.append(len(schedule.visits))
        last.append(live[file])
    for index, (visit, file) in enumerate(zip(schedule.visits, files, strict=True)):
        if visit.loads:
            size, until = size_of(visit.block), evicted_at[index]
            buffer = _choose(capacities, free_from, visit.gate, size)
            if buffer == len(capacities):
                capacities.append(size)
                free_from.append(until)
                last.append(None)
            capacities[buffer] = max(capacities[buffer], size)
            free_from[buffer] = until
            previous = last[buffer]
            if previous is not None:
                previous.keep = size
            last[buffer] = live[file] = Holding(file, size, index, buffer, until)
        holdings.append(live[file])
    return Assignment(tuple(holdings), tuple(capacities), tuple(held))


def _choose(capacities: Sequence[int], free_from: Sequence[int], gate: int, size: int) -> int:
    """The smallest free buffer that is large enough, else the largest free one, to be made larger, else a new one."""
    free = [buffer for buffer, since in enumerate(free_from) if since <= gate]
    enough = [buffer for buffer in free if capacities[buffer] >= size]
    if enough:
        return min(enough, key=lambda buffer: (capacities[buffer], buffer))
    return max(free, key=lambda buffer: (capacities[buffer], -buffer), default=len(capacities))


def _evictions(visits: Sequence[Visit], files: Sequence[str]) -> list[int]:
    """For each visit, the visit at which its file is evicted next; the number of visits if it never is."""
    result = [len(visits)] * len(visits)
    following: dict[str, int] = {}
    for index in range(len(visits) - 1, -1, -1):
        if visits[index].evicts:
            following[files[index]] = index
        result[index] = following.get(files[index], len(visits))
    return result
