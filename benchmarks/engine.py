"""The engine against a bare SimPy program of as many events, and the recurrence beside it.

    python benchmarks/engine.py

The bare program is the physical bound: two processes that only wait, with the same number of SimPy events and no rates,
ledger or spans. Prints medians of repeats taken in turn, in one process, and their ratio.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from statistics import median
from typing import Any

import simpy

from ondevice_sora.simulator.engine import play
from ondevice_sora.simulator.fast import finish
from ondevice_sora.simulator.prepare import load_inputs, prepare

PLAN = "app-256-cidl"
REPEATS = 15


def count_events(work: Callable[[], object]) -> int:
    """Events that SimPy processes while `work` runs."""
    count = 0
    step = simpy.Environment.step

    def counted(self: simpy.Environment) -> None:
        nonlocal count
        count += 1
        step(self)

    simpy.Environment.step = counted  # type: ignore[method-assign]
    try:
        work()
    finally:
        simpy.Environment.step = step  # type: ignore[method-assign]
    return count


def bare(events: int) -> None:
    """Two processes that wait on timeouts and on each other, `events` events in all."""
    env = simpy.Environment()

    def waits(number: int) -> Generator[simpy.Event, Any, None]:
        for _ in range(number):
            yield env.timeout(1.0)

    env.process(waits(events // 2))
    env.process(waits(events - events // 2))
    env.run()


def main() -> None:
    prepared = prepare(*load_inputs(PLAN))

    def engine() -> object:
        return play(prepared.schedule, prepared.costs, prepared.machine)

    events = count_events(engine)
    work: dict[str, Callable[[], object]] = {
        "engine": engine,
        "bare SimPy": lambda: bare(events),
        "recurrence": lambda: finish(prepared.schedule, prepared.costs, prepared.machine),
    }
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(REPEATS):
        for name, run in work.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    print(f"{PLAN}: {len(prepared.schedule.visits)} visits, {events} events, median of {REPEATS}")
    bound = median(times["bare SimPy"])
    for name, seconds in times.items():
        print(f"  {name:12} {median(seconds) * 1e3:8.2f} ms   {median(seconds) / bound:6.2f} x the bare program")


if __name__ == "__main__":
    main()
