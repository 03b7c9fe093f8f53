"""Play a schedule in real time: a loader thread loads blocks, the calling thread runs and evicts them.

    with Executor(schedule, costs, TorchBlocks(schedule, networks, store)) as run:
        caption = run.play("text_encoder", state)
        for step in ...:
            velocity = run.play("denoiser", state)
        run.end_early("denoiser")           # LPL: what was still to come is not loaded
        video = run.play("decoder", state)
    write_trace(run.trace(), "measured.json")

Nothing about loading is decided here: the loader takes the visits that load, in order, and starts one when visit `gate`
has finished; the runner takes all visits, runs each when its block is loaded, and evicts what the visit says. How a
block is loaded, run and evicted is the backend's (backend.py).

Whatever goes wrong in either thread, the runner raises one error that names the block, and leaving the `with` ends the
loader and has the backend give everything back. Ctrl-C and SIGTERM are noted inside the `with` and raised while the
runner waits or before a visit, where it holds no lock and no block runs (ondevice_sora/base/interrupts.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType

import torch
from torch import Tensor

from ondevice_sora.base import interrupts
from ondevice_sora.base.errors import UserError
from ondevice_sora.base.units import format_bytes, format_seconds
from ondevice_sora.plans.schedule import MemoryModel, Schedule
from ondevice_sora.profiles.costs import BlockCosts
from ondevice_sora.records.ledger import Ledger
from ondevice_sora.records.trace import Action, Lane, Span, Trace
from ondevice_sora.runtime.executor import footprint
from ondevice_sora.runtime.executor.backend import Backend, CancelledLoadError
from ondevice_sora.runtime.executor.meter import Meter
from ondevice_sora.runtime.executor.slots import assign
from ondevice_sora.runtime.host import this_host
from ondevice_sora.runtime.networks.units import State, Unit

NO_LIMIT = 10**18
STALL_S = 60.0
CLOSE_S = 5.0


class BlockError(RuntimeError):
    """Something broke while a block was loaded or run; the cause is attached."""


class Executor:
    """One generation. `stall_s` is how long a load may go without progress before the run is given up; a backend that
    cannot tell progress is waited for, and `on_slow` is told the block and the seconds, once for each such load.

    `memory` is what a run is known to add to the process beside weights and working memory, as in the schedule: the
    ledger counts it. Entering the `with` takes `setup_s`, mostly to have the system provide the buffers' pages, and to
    load what a plan with `start: loaded` finds in memory; the trace begins after it. `limit_bytes` is what
    the trace calls the limit, by default this machine's memory; `device` what it calls the device, by default this
    machine.
    """

    def __init__(
        self,
        schedule: Schedule,
        costs: BlockCosts,
        backend: Backend,
        *,
        clock: Callable[[], float] = time.perf_counter,
        stall_s: float = STALL_S,
        close_s: float = CLOSE_S,
        device: str | None = None,
        memory: MemoryModel | None = None,
        limit_bytes: int | None = None,
        on_slow: Callable[[str, float], None] | None = None,
    ) -> None:
        self.schedule, self.visits, self.costs = schedule, schedule.visits, costs
        self.backend = backend
        self.device = device or this_host().name
        self.clock, self.stall_s, self.close_s = clock, stall_s, close_s
        self.memory, self.on_slow = memory or MemoryModel(), on_slow
        self.budget = schedule.plan.memory.budget
        self._assigned = assign(schedule, backend.file_of, backend.size_of)
        self.limit_bytes = footprint.physical_bytes() if limit_bytes is None else limit_bytes
        beside = self.memory.baseline + max(costs.working_bytes, default=0)
        self._trims = self.budget is not None and sum(self._assigned.buffer_bytes) > self.budget - beside
        self._spans: list[Span] = []
        self._condition = threading.Condition()
        self._finished = self._loaded = self._unwanted = -1
        self._held: set[int] = set()
        """the visits whose loads are in memory now"""
        self._loading: int | None = None
        self._progress_s = 0.0
        self._failure: BaseException | None = None
        self._stopping = False
        self._abandoned = False
        self._pass = 0
        self._before_bytes: int | None = None
        self._meter = Meter()
        self._peak_is_ours = False
        self._measured_peak_bytes: int | None = None
        self._ledger = Ledger(self.memory.baseline, self.budget if self.budget is not None else NO_LIMIT)
        self.setup_s = 0.0
        self._thread = threading.Thread(target=self._load_all, name="loader", daemon=True)
        self._start_s = clock()

    def __enter__(self) -> Executor:
        with ExitStack() as stack:
            stack.enter_context(interrupts.noted())
            stack.callback(self.close)
            self._open()
            self._leaving = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leaving.__exit__(kind, error, traceback)

    def _open(self) -> None:
        entered_s = self.clock()
        self.backend.detach()
        footprint.settle_heap()
        footprint.trim_heap()
        footprint.check_room(self._needed_bytes(), "this run needs", footprint.MORE_ROOM)
        self._before_bytes = footprint.resident_bytes()
        self._peak_is_ours = footprint.reset_peak()
        self.backend.open(self._assigned, populate=not self._trims)
        interrupts.check()
        self._load_what_stays()
        self._start_s = self.clock()
        self.setup_s = self._start_s - entered_s
        self._meter.start(self._before_bytes)
        self._thread.start()

    def _load_what_stays(self) -> None:
        """What stayed from an earlier generation: in a process of its own that is loaded before the clock starts."""
        for block, holding in self._assigned.held:
            self.backend.load(block, holding, lambda _: interrupts.check())
        left = zip(self.schedule.columns.is_left, self.costs.resident_bytes, strict=True)
        residual = sum(self._residual(size) for is_left, size in left if is_left)
        self._ledger.charge(0.0, resident=sum(holding.size for _, holding in self._assigned.held), residual=residual)

    def _needed_bytes(self) -> int:
        """What the run adds to the process at most, as far as that is known."""
        buffers = sum(self._assigned.buffer_bytes)
        beside = self._ledger.baseline_bytes + max(self.costs.working_bytes, default=0)
        return buffers + beside if not self._trims or self.budget is None else min(buffers + beside, int(self.budget))

    def play(self, component: str, state: Mapping[str, Tensor], units: Sequence[Unit] | None = None) -> State:
        """Run the schedule's next pass; returns what the component's last unit writes.

        `units` stand instead of the network's in this pass: same names and weights, another shape (a shorter chunk).

        Raises UserError for what the user can mend (a broken file, no memory, a stalled disk), BlockError for the rest,
        ValueError if the schedule's next pass is another component's.
        """
        return self.play_each(component, [state], units)[0]

    def play_each(
        self, component: str, states: Sequence[Mapping[str, Tensor]], units: Sequence[Unit] | None = None
    ) -> list[State]:
        """The same for several states: a block that is loaded runs for one after the other. Raises as `play`."""
        if self._pass >= len(self.schedule.passes):
            raise ValueError(f"the schedule is at its end; there is no further pass of {component}")
        current = self.schedule.passes[self._pass]
        expected = self.schedule.blocks[self.visits[current.first].block].component
        if component != expected:
            raise ValueError(f"the schedule's next pass is of {expected}, not of {component}")
        self._pass += 1
        now: list[State] = [dict(state) for state in states]
        with torch.no_grad():
            for index in range(current.first, current.first + current.length):
                interrupts.check()
                self._await(index)
                now = self._run(index, now, units)
                self._finish(index)
        return now

    def end_early(self, component: str) -> None:
        """Skip the component's remaining passes: loads under way for them break off, what is loaded is evicted."""
        passes, last = self.schedule.passes, self._finished
        while self._pass < len(passes) and self._component(passes[self._pass].first) == component:
            last = passes[self._pass].first + passes[self._pass].length - 1
            self._pass += 1
        with self._condition:
            self._unwanted = max(self._unwanted, last)
            self._condition.notify_all()
        self._wait(lambda: self._loading is None or self._loading > last, "could not be broken off")
        with self._condition:
            self._raise_failure()
            for index in range(self._finished + 1, last + 1):
                holding = self._assigned.holdings[index]
                if index == holding.until and holding.start in self._held:
                    self._evict(index)
            self._finished = max(self._finished, last)
            self._condition.notify_all()

    def trace(self, conditions: Mapping[str, str] | None = None) -> Trace:
        """What happened after the set-up, as a measured trace; memory is the ledger's, above the process as it was."""
        plan, host = self.schedule.plan, this_host()
        facts = {
            "machine": f"{host.os}, {host.architecture}",
            "threads": str(host.threads),
            "torch": host.torch,
            "set-up": format_seconds(self.setup_s),
        }
        facts.update(self.backend.facts())
        if self.measured_peak_bytes is not None:
            facts["measured peak bytes above the process"] = str(self.measured_peak_bytes)
        return Trace(
            kind="measured",
            plan=plan.name,
            device=self.device,
            model=self.backend.model,
            spans=sorted(self._spans, key=lambda span: span.end_s),
            memory=list(self._ledger.samples),
            limit_bytes=self.limit_bytes,
            budget_bytes=int(self.budget) if self.budget is not None else None,
            conditions={**facts, **(conditions or {})},
            footprint=self._meter.samples,
        )

    @property
    def measured_peak_bytes(self) -> int | None:
        """The most that the system charged the process during the run, above what it had before; None if unknown."""
        if self._measured_peak_bytes is not None:
            return self._measured_peak_bytes
        peak = footprint.peak_bytes()
        if peak is None or self._before_bytes is None or not self._peak_is_ours:
            return None
        return max(0, peak - self._before_bytes)

    def close(self) -> None:
        """End the loader, take the weights away and give the memory back. Done by leaving the `with`; safe to repeat.

        A read that hangs in the system cannot be ended: the loader then frees the buffers itself if it ever returns.
        """
        self._meter.stop()
        if self._measured_peak_bytes is None:
            self._measured_peak_bytes = self.measured_peak_bytes
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        try:
            if self._thread.is_alive():
                self._thread.join(self.close_s)
        finally:
            self.backend.detach()
            with self._condition:
                self._abandoned = self._thread.is_alive()
            if not self._abandoned:
                self._release()

    # The loader's side

    def _load_all(self) -> None:
        try:
            for index, visit in enumerate(self.visits):
                if visit.loads and not self._load(index):
                    return
        except BaseException as error:  # whatever it is, the runner raises it
            with self._condition:
                self._failure = error
        finally:
            with self._condition:
                self._loading = None
                self._condition.notify_all()
                abandoned = self._abandoned
            if abandoned:
                self._release()

    def _load(self, index: int) -> bool:
        """Load for one visit. False if the run is over."""
        visit, holding = self.visits[index], self._assigned.holdings[index]
        size = holding.size
        loading = size + round(size * self.memory.transient)
        with self._condition:
            self._condition.wait_for(lambda: self._stopping or self._finished >= visit.gate or index <= self._unwanted)
            if self._stopping:
                return False
            if index <= self._unwanted:
                return True
            self._loading = index
            start_s = self._progress_s = self.clock()
            self._charge("load", index, loading=loading)

        def progress(num_bytes: int) -> None:
            self._progress_s = self.clock()
            if self._stopping or index <= self._unwanted:
                raise CancelledLoadError

        try:
            self.backend.load(visit.block, holding, progress)
        except CancelledLoadError:
            with self._condition:
                self._charge("load", index, loading=-loading)
                self._loading = None
                self._condition.notify_all()
            return True
        except (UserError, KeyboardInterrupt):
            raise
        except MemoryError:
            raise self._out_of_memory("load", index) from None
        except BaseException as error:
            raise BlockError(f"loading {self._label(index)} failed: {error!r}") from error
        with self._condition:
            self._charge("load", index, loading=-loading, resident=size)
            self._record("load", index, start_s, size, visit.cold)
            self._held.add(index)
            self._loaded = index
            self._loading = None
            self._condition.notify_all()
        return True

    # The runner's side

    def _await(self, index: int) -> None:
        """Wait for the visit's block."""
        with self._condition:
            self._raise_failure()
        if self.visits[index].loads:
            self._wait(lambda: self._loaded >= index, "is stalled")
        with self._condition:
            self._raise_failure()

    def _wait(self, is_done: Callable[[], bool], complaint: str) -> None:
        """Wait for the loader, as long as it makes progress.

        Raises UserError if it makes none for `stall_s`; of a backend that tells no progress `on_slow` is told instead.

        Holds no lock between two waits, where an interruption is raised.
        """
        since, told = self.clock(), False
        while True:
            interrupts.check()
            with self._condition:
                if is_done() or self._failure is not None:
                    return
                if not self._thread.is_alive():
                    raise BlockError("the loader has ended before its last load")
                still = self.clock() - max(since, self._progress_s)
                is_slow = still >= self.stall_s
                if is_slow:
                    label = self._label(self._loading) if self._loading is not None else "the next block"
                    if self.backend.tells_progress:
                        raise UserError(
                            f"the load of {label} {complaint}: no bytes for {still:.3g} s",
                            str(self.backend.directory),
                            "Check the disk, or allow more time.",
                        )
                else:
                    self._condition.wait(min(interrupts.POLL_S, max(0.001, (self.stall_s - still) / 2)))
            if is_slow:
                if self.on_slow is not None and not told:
                    self.on_slow(label, still)
                told = True
                with self._condition:
                    self._condition.wait(interrupts.POLL_S)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self, index: int, states: list[State], units: Sequence[Unit] | None) -> list[State]:
        visit = self.visits[index]
        working = self.costs.working_bytes[visit.block]
        with self._condition:
            start_s = self.clock()
            self._charge("run", index, working=working)
        try:
            for place, state in enumerate(states):
                states[place] = self.backend.run(visit.block, self._assigned.holdings[index], state, units)
                del state
        except UserError:
            raise
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, MemoryError) or "allocate memory" in str(error):
                raise self._out_of_memory("run", index) from error
            raise BlockError(f"running {self._label(index)} failed: {error}") from error
        except Exception as error:
            raise BlockError(f"running {self._label(index)} failed: {error!r}") from error
        with self._condition:
            self._charge("run", index, working=-working)
            self._record("run", index, start_s, working, visit.first_run)
        return states

    def _finish(self, index: int) -> None:
        with self._condition:
            if index == self._assigned.holdings[index].until:
                self._evict(index)
            self._finished = index
            self._condition.notify_all()

    def _evict(self, index: int) -> None:
        """Give a holding's bytes back."""
        holding = self._assigned.holdings[index]
        start_s = self.clock()
        self._held.discard(holding.start)
        self.backend.evict(holding, trim=self._trims)
        residual = self._residual(holding.size) if self.visits[index].leaves else 0
        self._charge("evict", index, resident=-holding.size, residual=residual)
        self._record("evict", index, start_s, holding.size, False)

    # Shared

    def _residual(self, size: int) -> int:
        """What stays charged of a package of this size after its first unloading."""
        return round(size * self.memory.residual)

    def _charge(self, action: Action, index: int, **held: int) -> None:
        fits = self._ledger.charge(self.clock() - self._start_s, **held)
        if not fits:
            over = self._ledger.total_bytes - self._ledger.limit_bytes
            raise BlockError(f"{action} of {self._label(index)} would exceed the budget by {format_bytes(over)}")

    def _record(self, action: Action, index: int, start_s: float, size: int, is_cold: bool) -> None:
        visit = self.visits[index]
        spec = self.schedule.blocks[visit.block]
        lane: Lane = "load" if action == "load" else self.backend.lane_of(visit.block)
        begin, end = start_s - self._start_s, self.clock() - self._start_s
        self._spans.append(
            Span(lane, action, spec.component, visit.step, spec.name, spec.variant, begin, end, size, is_cold)
        )

    def _out_of_memory(self, action: Action, index: int) -> UserError:
        size = self._assigned.holdings[index].size
        return UserError(
            f"out of memory in the {action} of {self._label(index)} ({format_bytes(size)} of weights)",
            mend=footprint.MORE_ROOM,
        )

    def _label(self, index: int) -> str:
        visit = self.visits[index]
        spec = self.schedule.blocks[visit.block]
        return f"block '{spec.name}' of {spec.component}, step {visit.step}"

    def _component(self, index: int) -> str:
        return self.schedule.blocks[self.visits[index].block].component

    def _release(self) -> None:
        self.backend.close()
        held = self._ledger.samples[-1]
        self._ledger.charge(
            max(held.time_s, self.clock() - self._start_s),
            resident=-held.resident,
            loading=-held.loading,
            working=-held.working,
            residual=-held.residual,
        )
