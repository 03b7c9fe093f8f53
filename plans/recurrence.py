"""When each pass of a schedule finishes, and the highest footprint: the engine's arithmetic without the engine.

Same semantics as simulator/engine.py (loader and runner, gates, mutual slowing, heat, ledger), without spans and SimPy.
It does the engine's arithmetic in the engine's order, also where a load and a run end at the same instant, since that
decides which bytes are charged together. Passes that provably repeat (the schedule does the same in them, loader,
runner and ledger stand as they stood a pass ago, and no two ends came so close that rounding could swap them) are not
replayed. Tests hold the two equal: seconds to 1e-9, bytes exactly.

Plain functions over columns (base/compiled.py), for a single evaluation as they are and for a search compiled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ondevice_sora.base.compiled import floats, ints
from ondevice_sora.plans.heat import HELPERS as HEAT_HELPERS
from ondevice_sora.plans.heat import Heat, after, seconds_for, work_in
from ondevice_sora.plans.loading import Ints, Sizes, VisitColumns

CLOSE_S = 1e-7
"""Ends nearer than this may come in either order in a later pass, where the clock rounds otherwise."""
SAME_S = 1e-12

Floats = Sequence[float]


class Seconds(NamedTuple):
    """Of each block: undisturbed seconds of its loads, runs and unloading; speeds while a load and a run overlap."""

    warm: Floats
    cold: Floats
    run: Floats
    first: Floats
    unload: Floats
    load_rate: Floats
    run_rate: Floats


class Blocks(NamedTuple):
    seconds: Seconds
    sizes: Sizes


class Samples(NamedTuple):
    """Many samples of Seconds and Heat: for each sample a column by block, and a figure."""

    warm: Sequence[Floats]
    cold: Sequence[Floats]
    run: Sequence[Floats]
    first: Sequence[Floats]
    unload: Sequence[Floats]
    load_rate: Sequence[Floats]
    run_rate: Sequence[Floats]
    is_hot: bool
    floor: Floats
    time_constant_s: Floats


class _Loads(NamedTuple):
    """The loads in order: visit, gate, block. Beyond the last stands one whose gate never opens."""

    visit: Ints
    gate: Ints
    block: Ints


class _Stand(NamedTuple):
    """How loader and ledger stand at the end of a pass, relative to the runner.

    lead      how many visits the load under way (or the next one) is ahead of the next run
    loaded    the same of the last load that has ended, -1 if that is not ahead
    to_load   seconds until the load under way ends
    """

    lead: int
    loaded: int
    is_loading: bool
    to_load: float
    total: int


def retimed(left: float, elapsed: float, rate: float, now: float, new_rate: float) -> tuple[float, float]:
    """Of a load that changes its rate: the seconds left of it if it were alone, and when it ends."""
    left -= elapsed * rate
    if left < 0.0:
        left = 0.0
    return left, now + left / new_rate


def retimed_run(
    left: float, elapsed: float, rate: float, now: float, new_rate: float, heat: Heat, warmth: float
) -> tuple[float, float, float]:
    """The same of a run that has been at a heat: the seconds of work left, when it ends, and the heat now."""
    if not heat.is_on:
        left -= elapsed * rate
        if left < 0.0:
            left = 0.0
        return left, now + left / new_rate, 0.0
    left = max(0.0, left - work_in(heat, warmth, elapsed) * rate)
    warmth = after(heat, warmth, elapsed, True)
    return left, now + seconds_for(heat, warmth, left / new_rate), warmth


def finish_times(columns: VisitColumns, blocks: Blocks, baseline: int, heat: Heat) -> tuple[list[float], int]:
    """Seconds at which each pass has finished, and the peak in bytes, if nothing is killed.

    Long, because calling a function with columns at each visit or pass costs compiled code a third of its speed.
    """
    block_of, loads_at, cold_at, first_at, _, evicts, leaves, pass_length, pass_loads, same_after, is_held, is_left = (
        columns
    )
    warm, cold, run, first, unload, load_rates, run_rates = blocks.seconds
    resident, working, transient, residual = blocks.sizes
    load_visit, load_gate, load_block_of = _loads_of(columns)
    count = len(block_of)
    finish_s = floats(len(pass_length))
    total = baseline
    for number in range(len(is_held)):
        total += is_held[number] * resident[number] + is_left[number] * residual[number]
    peak = total
    current = number = position = 0
    pass_end = pass_length[0] if len(pass_length) > 0 else 0
    loaded = -1
    next_load, gate, load_block = load_visit[0], load_gate[0], load_block_of[0]
    # What is under way: seconds left alone when last updated, the rate since then, and when it ends. Equal ends
    # come in the order in which they were set; the second of them is due, whatever the first one changes.
    is_loading = is_running = is_evicting = load_is_due = run_is_due = is_close = run_was_set_last = False
    load_left = load_updated = run_left = run_updated = now = warmth = cools_from = 0.0
    load_rate = load_slowed = run_rate = run_slowed = 1.0
    load_at = run_at = math.inf
    ends_load, has_before = True, False
    before = _Stand(0, 0, False, 0.0, 0)
    while current < count:
        block = block_of[current]
        starts_run = not is_running and not is_evicting and (loads_at[current] == 0 or loaded >= current)
        if starts_run:
            is_running = run_was_set_last = True
            total += working[block]
            run_left = first[block] if first_at[current] != 0 else run[block]
            if heat.is_on:
                warmth = after(heat, warmth, now - cools_from, False)
            load_slowed, run_slowed = load_rates[block], run_rates[block]
            run_updated, run_rate = now, run_slowed if is_loading else 1.0
            run_at = now + (seconds_for(heat, warmth, run_left / run_rate) if heat.is_on else run_left / run_rate)
            if is_loading and not load_is_due and load_rate != load_slowed:
                load_left, load_at = retimed(load_left, now - load_updated, load_rate, now, load_slowed)
                load_updated, load_rate, run_was_set_last = now, load_slowed, False
        if not is_loading and gate < current:
            is_loading, run_was_set_last = True, False
            total += resident[load_block] + transient[load_block]
            load_left = cold[load_block] if cold_at[next_load] != 0 else warm[load_block]
            load_updated, load_rate = now, load_slowed if is_running else 1.0
            load_at = now + load_left / load_rate
            if is_running and not run_is_due and run_rate != run_slowed:
                run_left, run_at, warmth = retimed_run(
                    run_left, now - run_updated, run_rate, now, run_slowed, heat, warmth
                )
                run_updated, run_rate, run_was_set_last = now, run_slowed, True
            if starts_run and ends_load:
                # The engine's loader goes on before its runner wakes, whose start then sets the load's end anew.
                run_was_set_last = load_slowed == 1.0
        if total > peak:
            peak = total
        if load_is_due or run_is_due:
            ends_load = load_is_due
        else:
            ends_load = load_at < run_at
            if -CLOSE_S < load_at - run_at < CLOSE_S:
                is_close = True
                if load_at == run_at:
                    # An eviction follows its end at once, a completion when those noticed before have had their turn.
                    ends_load = run_was_set_last and not is_evicting
                    run_is_due = ends_load
                    load_is_due = not ends_load and (not is_evicting or run_was_set_last)
        if ends_load:
            now, load_at = load_at, math.inf
            is_loading = load_is_due = False
            total -= transient[load_block]
            if is_running and not run_is_due and run_rate != 1.0:
                run_left, run_at, warmth = retimed_run(run_left, now - run_updated, run_rate, now, 1.0, heat, warmth)
                run_updated, run_rate, run_was_set_last = now, 1.0, True
            loaded, position = next_load, position + 1
            next_load, gate, load_block = load_visit[position], load_gate[position], load_block_of[position]
            continue
        now, run_at = run_at, math.inf
        run_is_due = False
        if is_running:
            is_running = False
            total -= working[block]
            if is_loading and not load_is_due and load_rate != 1.0:
                load_left, load_at = retimed(load_left, now - load_updated, load_rate, now, 1.0)
                load_updated, load_rate, run_was_set_last = now, 1.0, False
            if heat.is_on:
                warmth, cools_from = after(heat, warmth, now - run_updated, True), now
            if evicts[current] != 0 and unload[block] > 0.0:
                is_evicting = run_was_set_last = True
                run_at = now + unload[block]
                continue
        is_evicting = False
        if evicts[current] != 0:
            total -= resident[block]
            if leaves[current] != 0:
                total += residual[block]
        current += 1
        if current < pass_end:
            continue
        finish_s[number] = now
        length, skipped = pass_length[number], same_after[number] - 1
        to_load = load_at - now if is_loading else 0.0
        stand = _Stand(next_load - current, max(loaded - current, -1), is_loading, to_load, total)
        can_repeat = has_before and not is_close and not heat.is_on and same_after[number - 1] > 0
        has_before = not (can_repeat and skipped > 0 and stand.lead < length and _stand_alike(stand, before))
        if not has_before:
            later = _repeat(finish_s, number, skipped)
            now, load_at, load_updated = now + later, load_at + later, load_updated + later
            current, loaded = current + skipped * length, loaded + skipped * length
            position += skipped * pass_loads[number]
            number += skipped
            next_load, gate, load_block = load_visit[position], load_gate[position], load_block_of[position]
        before, is_close = stand, False
        number += 1
        if current < count:
            pass_end = current + pass_length[number]
    return finish_s, max(peak, total)


def sampled_totals(columns: VisitColumns, samples: Samples, sizes: Sizes, baseline: int) -> list[float]:
    """Seconds of the whole generation for each sample."""
    totals = floats(len(samples.run))
    for number in range(len(totals)):
        seconds = Seconds(
            samples.warm[number],
            samples.cold[number],
            samples.run[number],
            samples.first[number],
            samples.unload[number],
            samples.load_rate[number],
            samples.run_rate[number],
        )
        heat = Heat(samples.is_hot, samples.floor[number], samples.time_constant_s[number])
        finish_s, _ = finish_times(columns, Blocks(seconds, sizes), baseline, heat)
        if len(finish_s) > 0:
            totals[number] = finish_s[-1]
    return totals


def _loads_of(columns: VisitColumns) -> _Loads:
    count = len(columns.block)
    visit, gate, block = ints(count + 1, count), ints(count + 1, count), ints(count + 1, 0)
    number = 0
    for index in range(count):
        if columns.loads[index] != 0:
            visit[number], gate[number], block[number] = index, columns.gate[index], columns.block[index]
            number += 1
    return _Loads(visit, gate, block)


def _stand_alike(one: _Stand, other: _Stand) -> bool:
    return (
        one.lead == other.lead
        and one.loaded == other.loaded
        and one.is_loading == other.is_loading
        and one.total == other.total
        and abs(one.to_load - other.to_load) <= SAME_S
    )


def _repeat(finish_s: list[float], number: int, times: int) -> float:
    """Enter the ends of further passes that take as long as this one. Returns the seconds of all of them."""
    now = finish_s[number]
    seconds = now - finish_s[number - 1]
    for further in range(1, times + 1):
        finish_s[number + further] = now + further * seconds
    return times * seconds


HELPERS = (*HEAT_HELPERS, retimed, retimed_run, _loads_of, _stand_alike, _repeat)
"""What `finish_times` calls."""
