"""The engine's answer without the engine: total and component times of a schedule by a plain recurrence.

Same semantics as simulator/engine.py (loader and runner, gates, mutual slowing, heat), without spans, ledger and SimPy,
for the hundreds of samples of a Monte-Carlo interval. Passes that provably repeat (the schedule does the same in them
and loader and runner stand as they stood a pass ago) are not replayed. Tests hold the two equal to 1e-9.
"""

from __future__ import annotations

from dataclasses import dataclass

from plans.schedule import Schedule
from profiles.costs import BlockCosts
from simulator.machine import Machine


@dataclass(frozen=True)
class Finish:
    """When each pass finished: (component, step, seconds) in order."""

    passes: list[tuple[str, int, float]]

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
    """When each pass finishes, if nothing is killed."""
    visits, blocks = schedule.visits, schedule.blocks
    warm, cold = costs.load_warm_s[:, sample].tolist(), costs.load_cold_s[:, sample].tolist()
    run, first = costs.run_s[:, sample].tolist(), costs.first_run_s[:, sample].tolist()
    unload = costs.unload_s[:, sample].tolist()
    load_rates = [machine.load_rate[block.processor] for block in blocks]
    run_rates = [machine.run_rate[block.processor] for block in blocks]
    thermal = machine.thermal
    loads = [(i, v.gate, cold[v.block] if v.cold else warm[v.block]) for i, v in enumerate(visits) if v.loads]
    loads.append((len(visits), len(visits), 0.0))
    next_load, gate, load_left = loads[0]
    position = 0
    is_loading = is_running = is_evicting = False
    loaded = finished = -1
    now = run_left = heat = heat_s = 0.0
    run_start = 0.0
    load_rate = run_rate = 1.0
    passes: list[tuple[str, int, float]] = []
    before: tuple[float, ...] = ()
    current = 0
    count = len(visits)
    while current < count:
        if not is_loading and gate <= finished:
            is_loading = True
        if not is_running and not is_evicting:
            visit = visits[current]
            if not visit.loads or loaded >= current:
                block = visit.block
                is_running = True
                run_left = first[block] if visit.first_run else run[block]
                load_rate, run_rate = load_rates[block], run_rates[block]
                if thermal is not None:
                    heat = thermal.after(heat, now - heat_s, is_busy=False)
                    heat_s = run_start = now
                    run_left /= thermal.rate(heat)
        load_speed, run_speed = (load_rate, run_rate) if is_loading and is_running else (1.0, 1.0)
        load_end = load_left / load_speed if is_loading else float("inf")
        run_end = run_left / run_speed if is_running or is_evicting else float("inf")
        if load_end <= run_end:
            now += load_end
            run_left = max(0.0, run_left - load_end * run_speed)
            is_loading = False
            loaded = next_load
            position += 1
            next_load, gate, load_left = loads[position]
            continue
        now += run_end
        if is_loading:
            load_left = max(0.0, load_left - run_end * load_speed)
        if is_running:
            is_running = False
            if thermal is not None:
                heat = thermal.after(heat, now - run_start, is_busy=True)
                heat_s = now
            if visit.evicts and unload[visit.block] > 0.0:
                is_evicting = True
                run_left = unload[visit.block]
                continue
        is_evicting = False
        finished = current
        current += 1
        if not visit.ends_pass:
            continue
        component = blocks[visit.block].component
        passes.append((component, visit.step, now))
        number = len(passes) - 1
        length = schedule.passes[number].length
        # Where the loader stands relative to the runner; heat never repeats exactly.
        state = (next_load - current, is_loading, load_left, max(loaded - current, -1))
        skipped = schedule.passes[number].num_same_after - 1
        can_repeat = thermal is None and number > 0 and schedule.passes[number - 1].num_same_after > 0
        if can_repeat and skipped > 0 and next_load - current < length and _same(state, before):
            seconds = now - passes[-2][2]
            for further in range(1, skipped + 1):
                passes.append((component, visit.step + further, now + further * seconds))
            now += skipped * seconds
            current += skipped * length
            finished = current - 1
            loaded += skipped * length
            position += skipped * schedule.passes[number].num_loads
            next_load, gate, _ = loads[position]
            before = ()
        else:
            before = state
    return Finish(passes)


def _same(state: tuple[float, ...], before: tuple[float, ...]) -> bool:
    return len(state) == len(before) and all(abs(a - b) <= 1e-12 for a, b in zip(state, before, strict=True))
