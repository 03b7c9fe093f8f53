"""The loading policy, decided for a whole generation in one sweep: how far loads run ahead, and what stays resident.

Plain functions over columns (base/compiled.py), with one entry per visit, or one per block. A visit's window says how
many visits the loader may be ahead of it; where the budget is crossed, fixed residents make the window give way, and
residents that are `MAY_KEEP` are given up, the one whose next use is farthest away first (Belady's MIN), back to its
last use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ondevice_sora.base.compiled import ints

DROP, KEEP, MAY_KEEP = 0, 1, 2
"""Between a use and the next: evict (unless a window reaches the next), keep, keep while there is room."""

Ints = Sequence[int]


class Uses(NamedTuple):
    """What is done at every use, and what each pass comes to; columns, flags as 0 and 1. See Visit and Pass."""

    block: Ints
    loads: Ints
    cold: Ints
    first_run: Ints
    gate: Ints
    evicts: Ints
    pass_length: Ints
    pass_loads: Ints
    pass_same_after: Ints


def packages_of(block: Ints, package: Ints) -> list[int]:
    """For each use its package, named by the first block that has it. `package` is by block.

    What is loaded, kept and evicted is a package: variants that share one share all of that.
    """
    found = ints(len(block), 0)
    for use in range(len(block)):
        found[use] = package[block[use]]
    return found


def links(package: Ints, window: Ints, num_blocks: int) -> tuple[list[int], list[int], list[int]]:
    """For each use: the last use that may be loading before it has finished, budget aside; the next use of its package

    (the number of uses if there is none); the previous one (-1).
    """
    count = len(package)
    reach, following, previous = ints(count, 0), ints(count, count), ints(count, -1)
    latest = ints(num_blocks, -1)
    for use in range(count):
        reach[use] = use
        before = latest[package[use]]
        previous[use] = before
        if before >= 0:
            following[before] = use
        latest[package[use]] = use
    unset = count
    for use in range(count - 1, -1, -1):
        earliest = max(0, use - window[use])
        for earlier in range(earliest, min(unset, use)):
            reach[earlier] = use
        unset = min(unset, earliest)
    return reach, following, previous


def without_weights(block: Ints, working: Ints, residual: Ints, baseline: int) -> list[int]:
    """For each use, its footprint at most without any weights: `residual` bytes of each block used before remain."""
    alone, is_left = ints(len(block), 0), ints(len(working), 0)
    left = baseline
    for use in range(len(block)):
        own = block[use]
        alone[use] = left + working[own]
        if is_left[own] == 0:
            is_left[own] = 1
            left += residual[own]
    return alone


def demand(package: Ints, previous: Ints, alone: Ints, size: Ints, transient: Ints, use: int, last: int) -> int:
    """Footprint, at most, until a use has finished, with the uses up to `last` loaded or loading and nothing kept."""
    held = 0
    most = 0
    for other in range(use, last + 1):
        number = package[other]
        if previous[other] < use:
            held += size[number]
            most = max(most, transient[number])
    return alone[use] + held + most


def decide(
    package: Ints,
    keep: Ints,
    reach: Ints,
    following: Ints,
    previous: Ints,
    alone: Ints,
    size: Ints,
    transient: Ints,
    budget: int,
    room: int,
) -> tuple[list[int], list[int], int, int, int]:
    """For each use how far ahead loads may be, and whether its package is kept for the next; the largest demand.

    `keep` holds DROP, KEEP or MAY_KEEP for each use. `budget` -1 is none; optional residents fill `room` bytes. And
    the use that the budget refuses, -1 if none, with the bytes of residents that cannot be given up there.
    """
    count = len(package)
    ahead, keeps = ints(count, 0), ints(count, 0)
    # The packages held for a later use: that use, the use they are held from, and whether that may be given up.
    held_for, held_since, is_soft = ints(len(size), -1), ints(len(size), -1), ints(len(size), 0)
    # They stand in the order of those uses, from `first` to `end`: the first is the next one to be used.
    held = ints(count, 0)
    first = end = held_bytes = hard_bytes = needed = 0
    for use in range(count):
        own = package[use]
        if held_for[own] >= 0:
            first += 1
            held_for[own] = -1
            held_bytes -= size[own]
            if is_soft[own] == 0:
                hard_bytes -= size[own]
        last = reach[use]
        while True:
            total = demand(package, previous, alone, size, transient, use, last)
            elsewhere, hard_elsewhere = held_bytes, hard_bytes
            if held_bytes > 0:
                for other in range(use + 1, last + 1):
                    number = package[other]
                    if held_for[number] == other:
                        elsewhere -= size[number]
                        if is_soft[number] == 0:
                            hard_elsewhere -= size[number]
            if budget < 0 or total + hard_elsewhere <= budget:
                break
            if last == use:
                return ahead, keeps, needed, use, hard_bytes
            last -= 1
        ahead[use] = last
        total += elsewhere
        index = end - 1
        while total > room and index >= first and held_for[held[index]] > last:
            number = held[index]
            if is_soft[number] == 1:
                end -= 1
                for later in range(index, end):
                    held[later] = held[later + 1]
                keeps[held_since[number]] = 0
                held_for[number] = -1
                held_bytes -= size[number]
                total -= size[number]
            index -= 1
        needed = max(needed, total)
        if following[use] < count and (keep[use] != 0 or following[use] <= last):
            keeps[use] = 1
            held_for[own], held_since[own] = following[use], use
            is_soft[own] = 1 if keep[use] == 2 else 0
            index = end
            while index > first and held_for[held[index - 1]] > following[use]:
                held[index] = held[index - 1]
                index -= 1
            held[index] = own
            end += 1
            held_bytes += size[own]
            if is_soft[own] == 0:
                hard_bytes += size[own]
    return ahead, keeps, needed, -1, 0


def uses_of(block: Ints, package: Ints, pass_length: Ints, ahead: Ints, keeps: Ints, num_blocks: int) -> Uses:
    """What every use does, given what was decided. `package` is by block: the first load of each is cold."""
    count = len(block)
    loads, cold, first_run = ints(count, 0), ints(count, 0), ints(count, 0)
    gate, evicts = ints(count, 0), ints(count, 1)
    is_resident, is_known, has_run = ints(num_blocks, 0), ints(num_blocks, 0), ints(num_blocks, 0)
    for use in range(count):
        own = block[use]
        holder = package[own]
        if is_resident[holder] == 0:
            loads[use] = 1
            cold[use] = 1 - is_known[holder]
            is_known[holder] = 1
        first_run[use] = 1 - has_run[own]
        has_run[own] = 1
        start = use - 1
        while start >= 0 and ahead[start] >= use:
            start -= 1
        gate[use] = start
        is_resident[holder] = keeps[use]
        evicts[use] = 1 - keeps[use]
    # Passes are compared from the last to the first, gates relative to their uses.
    num_passes = len(pass_length)
    pass_loads, same_after = ints(num_passes, 0), ints(num_passes, 0)
    end = count
    for number in range(num_passes - 1, -1, -1):
        length = pass_length[number]
        first = end - length
        is_same = number + 1 < num_passes and pass_length[number + 1] == length
        for use in range(first, end):
            pass_loads[number] += loads[use]
            if is_same:
                other = use + length
                is_same = (
                    block[use] == block[other]
                    and loads[use] == loads[other]
                    and cold[use] == cold[other]
                    and first_run[use] == first_run[other]
                    and evicts[use] == evicts[other]
                    and use - gate[use] == other - gate[other]
                )
        if is_same:
            same_after[number] = same_after[number + 1] + 1
        end = first
    return Uses(block, loads, cold, first_run, gate, evicts, pass_length, pass_loads, same_after)


def load_plan_of(
    block: Ints,
    window: Ints,
    keep: Ints,
    package: Ints,
    pass_length: Ints,
    size: Ints,
    working: Ints,
    transient: Ints,
    residual: Ints,
    baseline: int,
    budget: int,
    room: int,
) -> tuple[Uses, int, int]:
    """All of the above, for a search: the uses, the largest demand, and the use that the budget refuses, -1 if none."""
    packages = packages_of(block, package)
    reach, following, previous = links(packages, window, len(size))
    alone = without_weights(block, working, residual, baseline)
    ahead, keeps, needed, refused, _ = decide(
        packages, keep, reach, following, previous, alone, size, transient, budget, room
    )
    return uses_of(block, package, pass_length, ahead, keeps, len(size)), needed, refused


HELPERS = (packages_of, links, without_weights, demand, decide, uses_of)
"""What `load_plan_of` calls."""
