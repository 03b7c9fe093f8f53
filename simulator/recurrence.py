"""When each pass of a schedule finishes, and the highest footprint: the engine's arithmetic without the engine.

Same semantics as simulator/engine.py (loader and runner, gates, mutual slowing, heat, ledger), without spans and SimPy.
It does the engine's arithmetic in the engine's order, also where a load and a run end at the same instant, since that
decides which bytes are charged together. Passes that provably repeat (the schedule does the same in them, loader,
runner and ledger stand as they stood a pass ago, and no two ends came so close that rounding could swap them) are not
replayed. Tests hold the two equal: seconds to 1e-9, bytes exactly.

A plain function over columns (base/compiled.py), for a single evaluation as it is and for a search compiled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ondevice_sora.base.compiled import floats, ints

CLOSE_S = 1e-7
"""Ends nearer than this may come in either order in a later pass, where the clock rounds otherwise."""
SAME_S = 1e-12

Ints = Sequence[int]
Floats = Sequence[float]


def after(heat: float, seconds: float, time_constant_s: float, is_busy: bool) -> float:
    """Heat after so many seconds of running or of rest; see machine.Thermal."""
    decay = math.exp(-seconds / time_constant_s)
    return 1.0 - (1.0 - heat) * decay if is_busy else heat * decay


def finish_times(
    use_block: Ints,
    use_loads: Ints,
    use_cold: Ints,
    use_first_run: Ints,
    use_gate: Ints,
    use_evicts: Ints,
    pass_length: Ints,
    pass_loads: Ints,
    pass_same_after: Ints,
    warm: Floats,
    cold: Floats,
    run: Floats,
    first: Floats,
    unload: Floats,
    load_rates: Floats,
    run_rates: Floats,
    size: Ints,
    working: Ints,
    transient: Ints,
    residual: Ints,
    baseline: int,
    is_thermal: bool,
    floor: float,
    time_constant_s: float,
) -> tuple[list[float], int]:
    """Seconds at which each pass has finished, and the peak in bytes, if nothing is killed.

    The first columns are those of plans.loading.Uses; from `warm` on they are by block, undisturbed seconds and bytes.
    """
    count, num_passes = len(use_block), len(pass_length)
    finish_s = floats(num_passes)
    is_left_over = ints(len(size), 0)  # residual bytes of a block are charged once
    # The uses that load, in order, and beyond the last a load that never starts.
    load_use = ints(count + 1, count)
    num_loads = 0
    for use in range(count):
        if use_loads[use] != 0:
            load_use[num_loads] = use
            num_loads += 1
    position = current = number = 0
    pass_end = pass_length[0] - 1 if num_passes > 0 else -1
    next_load = load_use[0]
    gate = use_gate[next_load] if next_load < count else count
    load_block = use_block[next_load] if next_load < count else 0
    # What is under way: seconds left alone when last `updated`, the rate since then, and when it is `at` its end. Equal
    # ends come in the `order` in which they were set; the second of them is `due`, whatever the first one changes.
    is_loading = is_running = is_evicting = load_is_due = run_is_due = is_close = False
    load_at = run_at = math.inf
    load_left = run_left = load_updated = run_updated = run_start = 0.0
    load_rate = run_rate = load_slowed = run_slowed = 1.0
    load_order = run_order = order = 0
    loaded = finished = -1
    now = heat = heat_s = 0.0
    total = peak = baseline
    # Where the loader stood relative to the runner a pass ago, and what was charged; heat never repeats exactly.
    has_before = was_loading = False
    before_lead = before_loaded = before_total = 0
    before_to_load = 0.0
    ends_load = True
    while current < count:
        block = use_block[current]
        starts_run = not is_running and not is_evicting and (use_loads[current] == 0 or loaded >= current)
        if starts_run:
            is_running = True
            total += working[block]
            peak = max(peak, total)
            run_left = first[block] if use_first_run[current] != 0 else run[block]
            if is_thermal:
                heat = after(heat, now - heat_s, time_constant_s, False)
                heat_s = run_start = now
                run_left /= 1.0 - (1.0 - floor) * heat
            load_slowed, run_slowed = load_rates[block], run_rates[block]
            run_rate = run_slowed if is_loading else 1.0
            run_updated = now
            run_at = now + run_left / run_rate
            order += 1
            run_order = order
            if is_loading and not load_is_due and load_rate != load_slowed:
                load_left = max(0.0, load_left - (now - load_updated) * load_rate)
                load_updated, load_rate = now, load_slowed
                load_at = now + load_left / load_rate
                order += 1
                load_order = order
        if not is_loading and gate <= finished:
            is_loading = True
            total += size[load_block] + transient[load_block]
            peak = max(peak, total)
            load_left = cold[load_block] if use_cold[next_load] != 0 else warm[load_block]
            load_rate = load_slowed if is_running else 1.0
            load_updated = now
            load_at = now + load_left / load_rate
            order += 1
            load_order = order
            if is_running and not run_is_due and run_rate != run_slowed:
                run_left = max(0.0, run_left - (now - run_updated) * run_rate)
                run_updated, run_rate = now, run_slowed
                run_at = now + run_left / run_rate
                order += 1
                run_order = order
            if starts_run and ends_load:
                # The engine's loader goes on before its runner wakes, whose start then sets the load's end anew.
                load_order, run_order = (order, order - 1) if load_slowed != 1.0 else (order - 1, order)
        if load_is_due or run_is_due:
            ends_load = load_is_due
        else:
            ends_load = load_at < run_at
            if -CLOSE_S < load_at - run_at < CLOSE_S:
                is_close = True
                if load_at == run_at:
                    # An eviction follows its end at once, a completion when those noticed before have had their turn.
                    ends_load = load_order < run_order and not is_evicting
                    run_is_due = ends_load
                    load_is_due = not ends_load and (not is_evicting or load_order < run_order)
        if ends_load:
            now, load_at = load_at, math.inf
            is_loading = load_is_due = False
            total -= transient[load_block]
            if is_running and not run_is_due and run_rate != 1.0:
                run_left = max(0.0, run_left - (now - run_updated) * run_rate)
                run_updated, run_rate = now, 1.0
                run_at = now + run_left
                order += 1
                run_order = order
            loaded = next_load
            position += 1
            next_load = load_use[position]
            gate = use_gate[next_load] if next_load < count else count
            load_block = use_block[next_load] if next_load < count else 0
            continue
        now, run_at = run_at, math.inf
        run_is_due = False
        if is_running:
            is_running = False
            if is_loading and not load_is_due and load_rate != 1.0:
                load_left = max(0.0, load_left - (now - load_updated) * load_rate)
                load_updated, load_rate = now, 1.0
                load_at = now + load_left
                order += 1
                load_order = order
            if is_thermal:
                heat = after(heat, now - run_start, time_constant_s, True)
                heat_s = now
            total -= working[block]
            if use_evicts[current] != 0 and unload[block] > 0.0:
                is_evicting = True
                run_at = now + unload[block]
                order += 1
                run_order = order
                continue
        is_evicting = False
        if use_evicts[current] != 0:
            total -= size[block]
            if is_left_over[block] == 0:
                is_left_over[block] = 1
                total += residual[block]
            peak = max(peak, total)
        finished = current
        current += 1
        if finished < pass_end:
            continue
        finish_s[number] = now
        length = pass_length[number]
        to_load = load_at - now if is_loading else 0.0
        lead, lead_loaded = next_load - current, max(loaded - current, -1)
        skipped = pass_same_after[number] - 1
        repeats = not is_thermal and number > 0 and pass_same_after[number - 1] > 0 and not is_close
        if (
            repeats
            and skipped > 0
            and lead < length
            and has_before
            and lead == before_lead
            and is_loading == was_loading
            and lead_loaded == before_loaded
            and total == before_total
            and abs(to_load - before_to_load) <= SAME_S
        ):
            seconds = now - finish_s[number - 1]
            for further in range(1, skipped + 1):
                finish_s[number + further] = now + further * seconds
            now += skipped * seconds
            load_at += skipped * seconds
            load_updated += skipped * seconds
            current += skipped * length
            finished = current - 1
            loaded += skipped * length
            position += skipped * pass_loads[number]
            number += skipped
            next_load = load_use[position]
            gate = use_gate[next_load] if next_load < count else count
            load_block = use_block[next_load] if next_load < count else 0
            has_before = False
        else:
            has_before, was_loading = True, is_loading
            before_lead, before_loaded, before_total, before_to_load = lead, lead_loaded, total, to_load
        is_close = False
        number += 1
        if number < num_passes:
            pass_end = current + pass_length[number] - 1
    return finish_s, peak
