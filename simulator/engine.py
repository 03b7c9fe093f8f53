"""Play a schedule in virtual time (SimPy).

The loader and each compute unit are resources that serve one block at a time. While a load and a run go on together
each progresses at a reduced rate; a rate that changes reschedules what is under way. Memory does not queue: crossing
the limit ends the generation with a recorded kill, because that is what the phone does. Deterministic: same schedule,
costs and machine give the same trace.

Why completions are not SimPy interrupts: an interrupt costs an exception in a process each time the other side starts
or stops, twice a visit. Here a change of rate schedules a new timeout, and one that has become outdated does nothing.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple

import simpy

from ondevice_sora.plans.heat import NO_HEAT, Heat, after, seconds_for, work_in
from ondevice_sora.plans.schedule import Schedule
from ondevice_sora.profiles.blocks import Processor
from ondevice_sora.profiles.costs import BlockCosts
from ondevice_sora.records.ledger import Ledger
from ondevice_sora.records.trace import Action, Kill, Lane, MemorySample, Span
from ondevice_sora.simulator.machine import Machine

Process = Generator[simpy.Event, Any, None]
LOAD_LANE: Lane = "load"


class Moment(NamedTuple):
    """What is charged at a moment, and for which blocks.

    visit     the first visit that has not finished
    loaded    the packages in memory, by their first block; `loading` the one that is being loaded, None if none is
    running   the block that runs, None if none does
    """

    charged: MemorySample
    visit: int
    loaded: frozenset[int]
    loading: int | None
    running: int | None


class Outcome:
    """What a simulation leaves: spans, memory samples, what was held at the peak, and the kill if there was one.

    `highest` is the largest footprint while each block runs, by its number, and under None while none does.
    """

    def __init__(
        self,
        spans: list[Span],
        memory: list[MemorySample],
        peak: Moment,
        highest: dict[int | None, int],
        kill: Kill | None,
    ) -> None:
        self.spans = spans
        self.memory = memory
        self.peak = peak
        self.peak_bytes = peak.charged.total
        self.highest = highest
        self.kill = kill
        self.total_s = max((span.end_s for span in spans), default=0.0)


def play(schedule: Schedule, costs: BlockCosts, machine: Machine, sample: int = 0, is_limited: bool = True) -> Outcome:
    """Simulate one generation. With is_limited=False the limit ends nothing: it shows what would have been needed."""
    return _Engine(schedule, costs, machine, sample, is_limited).outcome()


class _Activity:
    """A load or run under way: work left in seconds of undisturbed time, progressing at a rate that may change.

    A run that heats its processor slows besides: `warmth` is the heat at `updated_s`.
    """

    __slots__ = (
        "done", "env", "generation", "heat", "left", "rate", "slowed_rate", "start_s", "updated_s", "visit", "warmth",
    )  # fmt: skip

    def __init__(
        self,
        env: simpy.Environment,
        visit: int,
        seconds: float,
        slowed_rate: float,
        is_slowed: bool,
        heat: Heat = NO_HEAT,
        warmth: float = 0.0,
    ) -> None:
        self.env = env
        self.heat = heat
        self.warmth = warmth
        self.visit = visit
        self.start_s = env.now
        self.left = seconds
        self.slowed_rate = slowed_rate
        self.rate = slowed_rate if is_slowed else 1.0
        self.updated_s = env.now
        self.generation = 0
        self.done = env.event()
        self._reschedule()

    def set_slowed(self, is_slowed: bool) -> None:
        rate = self.slowed_rate if is_slowed else 1.0
        if rate == self.rate or self.done.triggered:
            return
        now = self.env.now
        elapsed = now - self.updated_s
        self.left = max(0.0, self.left - work_in(self.heat, self.warmth, elapsed) * self.rate)
        self.warmth = after(self.heat, self.warmth, elapsed, is_busy=True)
        self.updated_s = now
        self.rate = rate
        self._reschedule()

    def _reschedule(self) -> None:
        self.generation += 1
        timeout = self.env.timeout(seconds_for(self.heat, self.warmth, self.left / self.rate), self.generation)
        assert timeout.callbacks is not None
        timeout.callbacks.append(self._expire)

    def _expire(self, timeout: simpy.Event) -> None:
        if timeout.value == self.generation:
            self.done.succeed()


class _Engine:
    def __init__(self, schedule: Schedule, costs: BlockCosts, machine: Machine, sample: int, is_limited: bool) -> None:
        self.blocks = schedule.blocks
        self.visits = schedule.visits
        self.machine = machine
        self.is_limited = is_limited
        self.load_warm = costs.load_warm_s[:, sample].tolist()
        self.load_cold = costs.load_cold_s[:, sample].tolist()
        self.run_s = costs.run_s[:, sample].tolist()
        self.first_run = costs.first_run_s[:, sample].tolist()
        self.unload = costs.unload_s[:, sample].tolist()
        self.size = costs.resident_bytes
        self.stored = costs.stored_bytes
        self.working = costs.working_bytes
        self.clean = costs.clean_bytes or (0,) * len(schedule.blocks)
        self.transient, self.residual = machine.memory.shares_of(self.size)
        self.env = simpy.Environment()
        self.ledger = Ledger(machine.memory.baseline, machine.memory.available)
        self.package = schedule.packages
        self.in_memory = {self.package[number] for number in schedule.held}
        self.on_its_way: int | None = None
        self.at_work: int | None = None
        self.finished = -1
        self.peak = self._moment()
        self.highest: dict[int | None, int] = {}
        self._charge_what_is_there(schedule)
        self.spans: list[Span] = []
        self.kill: Kill | None = None
        self.loading: _Activity | None = None
        self.running: _Activity | None = None
        self.processor: Processor = "cpu"
        self.loaded = -1
        self.waiting_for_finish: tuple[int, simpy.Event] | None = None
        self.waiting_for_load: tuple[int, simpy.Event] | None = None
        self.heat = machine.heat
        self.warmth = 0.0
        self.cools_from_s = 0.0

    def _charge_what_is_there(self, schedule: Schedule) -> None:
        """What stayed from an earlier generation, and what its unloaded blocks left behind."""
        held = sum(self.size[number] for number in schedule.held)
        left = sum(self.residual[number] for number, is_left in enumerate(schedule.columns.is_left) if is_left)
        self.ledger.map(sum(self.clean[number] for number in schedule.held))
        self._charge(resident=held, residual=left)

    def _charge(self, **bytes_: int) -> bool:
        """Charge these bytes now. Whether the footprint is within the limit."""
        is_within = self.ledger.charge(self.env.now, **bytes_)
        total = self.ledger.total_bytes
        if total > self.peak.charged.total:
            self.peak = self._moment()
        if total > self.highest.get(self.at_work, 0):
            self.highest[self.at_work] = total
        return is_within

    def _moment(self) -> Moment:
        in_memory = frozenset(self.in_memory)
        return Moment(self.ledger.samples[-1], self.finished + 1, in_memory, self.on_its_way, self.at_work)

    def outcome(self) -> Outcome:
        self.env.process(self._loader())
        runner = self.env.process(self._runner())
        while runner.is_alive and self.kill is None:  # what would follow at the moment of the kill does not happen
            self.env.step()
        if not runner.is_alive and isinstance(runner.value, BaseException):
            raise runner.value
        return Outcome(self.spans, self.ledger.samples, self.peak, self.highest, self.kill)

    def _loader(self) -> Process:
        env, visits = self.env, self.visits
        for index, visit in enumerate(visits):
            if not visit.loads:
                continue
            if visit.gate > self.finished:
                event = env.event()
                self.waiting_for_finish = (visit.gate, event)
                yield event
            block = visit.block
            size, transient = self.size[block], self.transient[block]
            self.ledger.map(self.clean[block])
            self.on_its_way = self.package[block]
            if not self._charge(loading=size + transient) and self.is_limited:
                self._over_limit("load", index)
                return
            seconds = self.load_cold[block] if visit.cold else self.load_warm[block]
            rate = self.machine.load_rate[self.processor] if self.running is not None else 1.0
            self.loading = activity = _Activity(env, index, seconds, rate, self.running is not None)
            if self.running is not None:
                self.running.set_slowed(True)
            yield activity.done
            start = activity.start_s
            self.loading = None
            if self.running is not None:
                self.running.set_slowed(False)
            self.in_memory.add(self.package[block])
            self.on_its_way = None
            self._charge(resident=size, loading=-size - transient)
            self._record("load", index, start)
            self.loaded = index
            if self.waiting_for_load is not None and self.waiting_for_load[0] <= index:
                self.waiting_for_load[1].succeed()
                self.waiting_for_load = None

    def _runner(self) -> Process:
        env = self.env
        for index, visit in enumerate(self.visits):
            if visit.loads and self.loaded < index:
                event = env.event()
                self.waiting_for_load = (index, event)
                yield event
            block = visit.block
            working = self.working[block]
            self.at_work = block
            if not self._charge(working=working) and self.is_limited:
                self._over_limit("run", index)
                return
            start = env.now
            seconds = self.first_run[block] if visit.first_run else self.run_s[block]
            warmth = after(self.heat, self.warmth, start - self.cools_from_s, is_busy=False)
            self.processor = self.blocks[block].processor
            rate = self.machine.run_rate[self.processor]
            is_slowed = self.loading is not None
            self.running = activity = _Activity(env, index, seconds, rate, is_slowed, self.heat, warmth)
            if self.loading is not None:
                self.loading.slowed_rate = self.machine.load_rate[self.processor]
                self.loading.set_slowed(True)
            yield activity.done
            self.running = None
            if self.loading is not None:
                self.loading.set_slowed(False)
            self.warmth = after(self.heat, activity.warmth, env.now - activity.updated_s, is_busy=True)
            self.cools_from_s = env.now
            self.at_work = None
            self._charge(working=-working)
            self._record("run", index, start)
            if visit.evicts:
                yield from self._evict(index)
            self._finish(index)

    def _evict(self, index: int) -> Process:
        visit = self.visits[index]
        block = visit.block
        start = self.env.now
        if self.unload[block] > 0.0:
            yield self.env.timeout(self.unload[block])
        residual = self.residual[block] if visit.leaves else 0
        self.ledger.map(-self.clean[block])
        self.in_memory.remove(self.package[block])
        self._charge(resident=-self.size[block], residual=residual)
        self._record("evict", index, start)

    def _finish(self, index: int) -> None:
        self.finished = index
        if self.waiting_for_finish is not None and self.waiting_for_finish[0] <= index:
            self.waiting_for_finish[1].succeed()
            self.waiting_for_finish = None

    def _record(self, action: Action, index: int, start_s: float) -> None:
        visit = self.visits[index]
        block = visit.block
        spec = self.blocks[block]
        if action == "load":
            lane, held, cold = LOAD_LANE, self.stored[block], visit.cold
        elif action == "run":
            lane, held, cold = spec.processor, self.working[block], visit.first_run
        else:
            lane, held, cold = spec.processor, self.size[block], False
        self.spans.append(
            Span(lane, action, spec.component, visit.step, spec.name, spec.variant, start_s, self.env.now, held, cold)
        )

    def _over_limit(self, action: Action, index: int) -> None:
        """End the generation here: what is under way breaks off."""
        visit = self.visits[index]
        spec = self.blocks[visit.block]
        ledger = self.ledger
        self.kill = Kill(
            self.env.now, action, spec.component, visit.step, spec.name, ledger.total_bytes, ledger.limit_bytes
        )
        if self.loading is not None:
            self._record("load", self.loading.visit, self.loading.start_s)
        if self.running is not None:
            self._record("run", self.running.visit, self.running.start_s)
