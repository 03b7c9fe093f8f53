"""The loading policy, decided for a whole generation in one sweep: how far loads run ahead, and what stays resident.

Plain functions over columns (base/compiled.py), with one entry per visit, or one per block. A visit's window says how
many visits before it its own load may begin. Loads are made in the order of their visits, so a load also waits for
those before it, whatever its own window; visits whose block is kept load nothing and hold nothing up. Where the budget
is crossed, fixed residents make the window give way, and residents that are `MAY_KEEP` are given up, the one whose next
visit is farthest away first (Belady's MIN), back to its last visit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ondevice_sora.base.compiled import ints

DROP, KEEP, MAY_KEEP, STAY = 0, 1, 2, 3
"""After a visit: evict (unless a window reaches the next), keep for the next, the same while there is room, keep for
good."""
NEW, KNOWN, LOADED = 0, 1, 2
"""A package before the first visit: never loaded on this device, loaded in an earlier launch, or in this one: what
stays is in memory then, anything else has been unloaded."""

Ints = Sequence[int]


class Sizes(NamedTuple):
    """Bytes of each block.

    resident    while it is loaded, or being loaded
    working     besides, while it runs
    transient   besides, while it is being loaded
    residual    left behind by its package's first unload
    """

    resident: Ints
    working: Ints
    transient: Ints
    residual: Ints


class Room(NamedTuple):
    """Bytes of memory.

    baseline    charged before anything is loaded
    budget      what the plan may use; -1 without a budget
    available   what optional residents may fill without a budget
    """

    baseline: int
    budget: int
    available: int


class Walk(NamedTuple):
    """What a plan wants, by visit: the block, its window, what is to become of it after. And each pass's length.

    A load may begin once all but `window` of the visits before its own have finished.

    start    how packages are found: NEW, KNOWN or LOADED
    """

    block: Ints
    window: Ints
    keep: Ints
    pass_length: Ints
    start: int


class Order(NamedTuple):
    """How visits follow each other, by visit.

    package     what is loaded, kept and evicted, named by the first block that has it: variants may share one
    earliest    the first visit that this one's load, by its own window, may be under way at
    reach       the last visit whose load may have begun before this one has finished, if all visits load, budget aside
    following   the next visit of the package; the number of visits if there is none
    previous    the one before; -1 if there is none
    alone       the footprint, at most, without any weights
    start       as in Walk
    """

    package: Ints
    earliest: Ints
    reach: Ints
    following: Ints
    previous: Ints
    alone: Ints
    start: int


class Decision(NamedTuple):
    """What is decided, by visit: how far loads may be ahead, and whether the package is kept for its next visit.

    needed        the largest footprint that can be reached
    refused       the visit that the budget refuses, -1 if none
    kept_bytes    of residents that cannot be given up there
    """

    ahead: Ints
    keeps: Ints
    needed: int
    refused: int
    kept_bytes: int


class VisitColumns(NamedTuple):
    """What is done at every visit, and what each pass comes to; flags as 0 and 1. See Visit in plans/schedule.py.

    cold              a load is the package's first on this device
    first_run         a run is the block's first since its package was loaded
    leaves            whether the visit's eviction is the first of its package
    pass_loads        how many loads a pass has
    pass_same_after   how many passes right after it do just the same
    is_held           by package: whether it is in memory before the first visit
    is_left           by package: whether it was unloaded before the first visit and left its residual bytes
    """

    block: Ints
    loads: Ints
    cold: Ints
    first_run: Ints
    gate: Ints
    evicts: Ints
    leaves: Ints
    pass_length: Ints
    pass_loads: list[int]
    pass_same_after: list[int]
    is_held: Ints
    is_left: Ints


def order_of(walk: Walk, package: Ints, sizes: Sizes, baseline: int) -> Order:
    """How the visits of a walk follow each other. `package` is by block."""
    packages = ints(len(walk.block), 0)
    for visit in range(len(walk.block)):
        packages[visit] = package[walk.block[visit]]
    earliest, reach = reaches(walk.window)
    following, previous = links(packages, len(package))
    alone = without_weights(walk, packages, package, sizes, baseline)
    return Order(packages, earliest, reach, following, previous, alone, walk.start)


def reaches(window: Ints) -> tuple[list[int], list[int]]:
    """For each visit the earliest visit that its load may be under way at, and its reach, see Order."""
    count = len(window)
    earliest, reach = ints(count, 0), ints(count, 0)
    last = -1
    for visit in range(count):
        if window[visit] < visit:
            earliest[visit] = visit - window[visit]
    for visit in range(count):
        if last < visit:
            last = visit
        while last + 1 < count and earliest[last + 1] <= visit:
            last += 1
        reach[visit] = last
    return earliest, reach


def links(package: Ints, num_blocks: int) -> tuple[list[int], list[int]]:
    """For each visit its package's next visit and the one before, see Order."""
    count = len(package)
    following, previous = ints(count, count), ints(count, -1)
    latest = ints(num_blocks, -1)
    for visit in range(count):
        before = latest[package[visit]]
        previous[visit] = before
        if before >= 0:
            following[before] = visit
        latest[package[visit]] = visit
    return following, previous


def without_weights(walk: Walk, packages: Ints, package: Ints, sizes: Sizes, baseline: int) -> list[int]:
    """For each visit, its footprint at most without any weights: what packages visited before left behind remains.

    `packages` is by visit, `package` by block.
    """
    resident, working, residual = sizes.resident, sizes.working, sizes.residual
    block = walk.block
    alone, (_, is_left) = ints(len(block), 0), found_before(walk, package)
    left = baseline
    for number in range(len(is_left)):
        left += is_left[number] * residual[number]
    for visit in range(len(block)):
        own = packages[visit]
        alone[visit] = left + working[block[visit]]
        if is_left[own] == 0 and walk.keep[visit] != STAY:
            is_left[own] = 1
            left += residual[own]
            # After the last visit, too: a package may leave more behind than it held.
            if left - resident[own] > alone[visit]:
                alone[visit] = left - resident[own]
    return alone


def found_before(walk: Walk, package: Ints) -> tuple[list[int], list[int]]:
    """By package: whether it is in memory before the first visit, and whether it has been unloaded by then."""
    is_held, is_left = ints(len(package), 0), ints(len(package), 0)
    if walk.start == LOADED:
        for visit in range(len(walk.block)):
            holder = package[walk.block[visit]]
            if walk.keep[visit] == STAY:
                is_held[holder] = 1
            else:
                is_left[holder] = 1
    return is_held, is_left


def demand(order: Order, sizes: Sizes, visit: int, last: int) -> int:
    """Footprint, at most, until a visit has finished, with those up to `last` loaded or loading and nothing kept."""
    return order.alone[visit] + _weights(order.package, order.previous, sizes.resident, sizes.transient, visit, last)


def _weights(package: Ints, previous: Ints, resident: Ints, transient: Ints, visit: int, last: int) -> int:
    """Bytes of the packages of some visits, each once, and the most that a load of one of them needs besides."""
    held = 0
    most = 0
    for other in range(visit, last + 1):
        number = package[other]
        if previous[other] < visit:
            held += resident[number]
            if transient[number] > most:
                most = transient[number]
    return held + most


def decide(order: Order, keep: Ints, sizes: Sizes, room: Room) -> Decision:
    """The sweep over all visits. `keep` holds DROP, KEEP, MAY_KEEP or STAY for each."""
    package, earliest, reach, following, previous, alone, start = order
    resident, _, transient, _ = sizes
    count, budget = len(package), room.budget
    widest = 0
    for visit in range(count):
        if visit - earliest[visit] > widest:
            widest = visit - earliest[visit]
    limit = budget if budget >= 0 else room.available
    ahead, keeps = ints(count, 0), ints(count, 0)
    # The packages held for a later visit: that visit, the visit they are held from, and whether that may be given up.
    held_for, held_since, is_soft = ints(len(resident), -1), ints(len(resident), -1), ints(len(resident), 0)
    # They stand in the order of those visits, from `first` to `end`: the first is the next one to be visited.
    queue = ints(count + len(resident), 0)
    first = end = held_bytes = hard_bytes = needed = 0
    if start == LOADED:
        for visit in range(count):
            if previous[visit] < 0 and keep[visit] == STAY:
                own = package[visit]
                held_for[own], queue[end] = visit, own
                end += 1
                held_bytes += resident[own]
                hard_bytes += resident[own]
    for visit in range(count):
        own = package[visit]
        if held_for[own] >= 0:
            first += 1
            held_for[own] = -1
            held_bytes -= resident[own]
            hard_bytes -= resident[own] * (1 - is_soft[own])
        last = reach[visit]
        # Further loads may begin by now if all visits before them load nothing, their blocks being kept until then.
        other = last + 1
        while other < count and other - widest <= visit:
            if earliest[other] <= visit:
                last = other
            elif held_for[package[other]] != other:
                before = previous[other]
                if before < visit or (keep[before] != KEEP and keep[before] != STAY):
                    break
            other += 1
        # The window, as far as the budget goes: a further load never makes the footprint smaller.
        loaded, most, waiting, hard_waiting = resident[own], transient[own], held_bytes, hard_bytes
        if budget >= 0 and alone[visit] + loaded + most + hard_waiting > budget:
            return Decision(ahead, keeps, needed, visit, hard_bytes)
        for other in range(visit + 1, last + 1):
            number = package[other]
            if previous[other] >= visit:
                continue
            size = resident[number]
            is_held = held_for[number] == other
            hard_size = size * (1 - is_soft[number]) if is_held else 0
            further = transient[number] if transient[number] > most else most
            if budget >= 0 and alone[visit] + loaded + size + further + hard_waiting - hard_size > budget:
                last = other - 1
                break
            loaded, most, hard_waiting = loaded + size, further, hard_waiting - hard_size
            waiting -= size if is_held else 0
        ahead[visit] = last
        total = alone[visit] + loaded + most + waiting
        index = end - 1
        while total > limit and index >= first and held_for[queue[index]] > last:
            number = queue[index]
            if is_soft[number] == 1:
                end -= 1
                for later in range(index, end):
                    queue[later] = queue[later + 1]
                keeps[held_since[number]] = 0
                held_for[number] = -1
                held_bytes -= resident[number]
                total -= resident[number]
            index -= 1
        if total > needed:
            needed = total
        if keep[visit] == STAY or (following[visit] < count and (keep[visit] != DROP or following[visit] <= last)):
            keeps[visit] = 1
            held_for[own], held_since[own] = following[visit], visit
            # What only a window holds gives way to a budget too: a wider window never makes a plan impossible.
            is_soft[own] = 1 if keep[visit] == MAY_KEEP or (keep[visit] == DROP and budget >= 0) else 0
            index = end
            while index > first and held_for[queue[index - 1]] > following[visit]:
                queue[index] = queue[index - 1]
                index -= 1
            queue[index] = own
            end += 1
            held_bytes += resident[own]
            hard_bytes += resident[own] * (1 - is_soft[own])
    return Decision(ahead, keeps, needed, -1, 0)


def columns_of(walk: Walk, package: Ints, decision: Decision) -> VisitColumns:
    """What every visit does, given what was decided. `package` is by block."""
    block, ahead, keeps = walk.block, decision.ahead, decision.keeps
    count, num_blocks = len(block), len(package)
    loads, cold, first_run = ints(count, 0), ints(count, 0), ints(count, 0)
    gate, evicts, leaves = ints(count, 0), ints(count, 1), ints(count, 0)
    is_held, is_left = found_before(walk, package)
    is_resident, is_known = ints(num_blocks, 0), ints(num_blocks, 0 if walk.start == NEW else 1)
    loaded_at, ran_at, has_left = ints(num_blocks, -1), ints(num_blocks, -1), ints(num_blocks, 0)
    for number in range(num_blocks):
        is_resident[number] = is_held[number]
        has_left[number] = is_left[number]
    for visit in range(count):
        own = block[visit]
        holder = package[own]
        if is_resident[holder] == 0:
            loads[visit] = 1
            cold[visit] = 1 - is_known[holder]
            is_known[holder] = 1
            loaded_at[holder] = visit
        first_run[visit] = 1 if ran_at[own] < loaded_at[holder] else 0
        ran_at[own] = visit
        start = visit - 1
        while start >= 0 and ahead[start] >= visit:
            start -= 1
        gate[visit] = start
        is_resident[holder] = keeps[visit]
        if keeps[visit] == 1:
            evicts[visit] = 0
        elif has_left[holder] == 0:
            has_left[holder] = leaves[visit] = 1
    num_passes = len(walk.pass_length)
    pass_loads, same_after = ints(num_passes, 0), ints(num_passes, 0)
    columns = VisitColumns(
        block, loads, cold, first_run, gate, evicts, leaves, walk.pass_length, pass_loads, same_after, is_held, is_left
    )
    compare_passes(columns)
    return columns


def compare_passes(columns: VisitColumns) -> None:
    """Fill in what passes come to. They are compared from the last to the first, gates relative to their visits."""
    block, loads, cold, first_run, gate, evicts, leaves, lengths, pass_loads, same_after, _, _ = columns
    end = len(block)
    for number in range(len(lengths) - 1, -1, -1):
        length = lengths[number]
        first = end - length
        is_same = number + 1 < len(lengths) and lengths[number + 1] == length
        for visit in range(first, end):
            pass_loads[number] += loads[visit]
            if is_same:
                other = visit + length
                is_same = (
                    block[visit] == block[other]
                    and loads[visit] == loads[other]
                    and cold[visit] == cold[other]
                    and first_run[visit] == first_run[other]
                    and evicts[visit] == evicts[other]
                    and leaves[visit] == leaves[other]
                    and visit - gate[visit] == other - gate[other]
                )
        if is_same:
            same_after[number] = same_after[number + 1] + 1
        end = first


def planned_loads(walk: Walk, package: Ints, sizes: Sizes, room: Room) -> tuple[VisitColumns, int, int]:
    """All of the above, for a search: the columns, the largest footprint, and the visit refused, -1 if none."""
    order = order_of(walk, package, sizes, room.baseline)
    decision = decide(order, walk.keep, sizes, room)
    return columns_of(walk, package, decision), decision.needed, decision.refused


HELPERS = (order_of, reaches, links, without_weights, found_before, _weights, decide, columns_of, compare_passes)
"""What `planned_loads` calls."""
