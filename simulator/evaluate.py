"""The engine's answer without the engine: total, component times and peak footprint of a schedule by a recurrence.

Same semantics as simulator/engine.py (loader and runner, gates, mutual slowing, heat, ledger), without spans and SimPy,
for the thousands of plans of a search and the hundreds of samples of a Monte-Carlo interval. It does the engine's
arithmetic in the engine's order, also where a load and a run end at the same instant, since that decides which bytes
are charged together. Passes that provably repeat (the schedule does the same in them, loader, runner and ledger stand
as they stood a pass ago, and no two ends came so close that rounding could swap them) are not replayed. Tests hold the
two equal: seconds to 1e-9, bytes exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

from plans.schedule import Schedule
from profiles.costs import BlockCosts
from simulator.machine import Machine

INFINITY = float("inf")
CLOSE_S = 1e-7
"""Ends nearer than this may come in either order in a later pass, where the clock rounds otherwise."""


@dataclass(frozen=True)
class Finish:
    """When each pass finished, (component, step, seconds) in order, and the highest footprint in bytes."""

    passes: list[tuple[str, int, float]]
    peak_bytes: int

    @property
    def total_s(self) -> float:
        return self.passes[-1][2] if self.passes else 0.0

    def pass_s(self, family: str) -> list[float]:
        """Seconds of each pass of a component (its stages one after the other):

        from the pass before to its own finish.
        """
        before, seconds = 0.0, []
        for component, _, finish in self.passes:
            if component.partition(".")[0] == family:
                seconds.append(finish - before)
            before = finish
        return seconds

    @property
    def component_s(self) -> dict[str, float]:
        """Seconds of each component, stages added up; they sum to the total."""
        families = dict.fromkeys(component.partition(".")[0] for component, _, _ in self.passes)
        return {family: sum(self.pass_s(family)) for family in families}


def evaluate(schedule: Schedule, costs: BlockCosts, machine: Machine, sample: int = 0) -> Finish:
    """When each pass finishes, and the peak footprint, if nothing is killed."""
    visits, blocks = schedule.visits, schedule.blocks
    warm, cold = costs.load_warm_s[:, sample].tolist(), costs.load_cold_s[:, sample].tolist()
    run, first = costs.run_s[:, sample].tolist(), costs.first_run_s[:, sample].tolist()
    unload = costs.unload_s[:, sample].tolist()
    load_rates = [machine.load_rate[block.processor] for block in blocks]
    run_rates = [machine.run_rate[block.processor] for block in blocks]
    working, size = costs.working_bytes, costs.resident_bytes
    transient = [round(held * machine.transient_share) for held in size]
    residual = [round(held * machine.residual_share) for held in size]  # nought once the block has been evicted
    thermal = machine.thermal
    count = len(visits)
    loads = [(i, v.gate, v.block, v.cold) for i, v in enumerate(visits) if v.loads]
    loads.append((count, count, 0, False))
    position = current = 0
    next_load, gate, load_block, is_cold = loads[0]
    # What is under way: seconds left alone when last `updated`, the rate since then, and when it is `at` its end. Equal
    # ends come in the `order` in which they were set; the second of them is `due`, whatever the first one changes.
    is_loading = is_running = is_evicting = load_is_due = run_is_due = is_close = False
    load_at = run_at = INFINITY
    load_left = run_left = load_updated = run_updated = run_start = 0.0
    load_rate = run_rate = load_slowed = run_slowed = 1.0
    load_order = run_order = order = 0
    loaded = finished = -1
    now = heat = heat_s = 0.0
    total = peak = machine.baseline_bytes
    passes: list[tuple[str, int, float]] = []
    before: tuple[float, ...] = ()
    ends_load = True
    while current < count:
        visit = visits[current]
        starts_run = not is_running and not is_evicting and (not visit.loads or loaded >= current)
        if starts_run:
            block = visit.block
            is_running = True
            total += working[block]
            if total > peak:
                peak = total
            run_left = first[block] if visit.first_run else run[block]
            if thermal is not None:
                heat = thermal.after(heat, now - heat_s, is_busy=False)
                heat_s = run_start = now
                run_left /= thermal.rate(heat)
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
            if total > peak:
                peak = total
            load_left = cold[load_block] if is_cold else warm[load_block]
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
            now, load_at = load_at, INFINITY
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
            next_load, gate, load_block, is_cold = loads[position]
            continue
        now, run_at = run_at, INFINITY
        run_is_due = False
        block = visit.block
        if is_running:
            is_running = False
            if is_loading and not load_is_due and load_rate != 1.0:
                load_left = max(0.0, load_left - (now - load_updated) * load_rate)
                load_updated, load_rate = now, 1.0
                load_at = now + load_left
                order += 1
                load_order = order
            if thermal is not None:
                heat = thermal.after(heat, now - run_start, is_busy=True)
                heat_s = now
            total -= working[block]
            if visit.evicts and unload[block] > 0.0:
                is_evicting = True
                run_at = now + unload[block]
                order += 1
                run_order = order
                continue
        is_evicting = False
        if visit.evicts:
            total += residual[block] - size[block]
            residual[block] = 0
            if total > peak:
                peak = total
        finished = current
        current += 1
        if not visit.ends_pass:
            continue
        component = blocks[block].component
        passes.append((component, visit.step, now))
        number = len(passes) - 1
        length = schedule.passes[number].length
        # Where the loader stands relative to the runner, and what is charged; heat never repeats exactly.
        to_load = load_at - now if is_loading else 0.0
        state = (next_load - current, is_loading, to_load, max(loaded - current, -1), total)
        skipped = schedule.passes[number].num_same_after - 1
        can_repeat = thermal is None and number > 0 and schedule.passes[number - 1].num_same_after > 0 and not is_close
        if can_repeat and skipped > 0 and next_load - current < length and _same(state, before):
            seconds = now - passes[-2][2]
            for further in range(1, skipped + 1):
                passes.append((component, visit.step + further, now + further * seconds))
            now += skipped * seconds
            load_at += skipped * seconds
            load_updated += skipped * seconds
            current += skipped * length
            finished = current - 1
            loaded += skipped * length
            position += skipped * schedule.passes[number].num_loads
            next_load, gate, load_block, is_cold = loads[position]
            before = ()
        else:
            before = state
        is_close = False
    return Finish(passes, peak)


def _same(state: tuple[float, ...], before: tuple[float, ...]) -> bool:
    return len(state) == len(before) and all(abs(a - b) <= 1e-12 for a, b in zip(state, before, strict=True))
