"""A simulated and a measured trace of one plan: where the prediction is off, and by what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ondevice_sora.profiles.devices import device_names, named
from ondevice_sora.records.metrics import component_results
from ondevice_sora.records.trace import Span, Trace


class Difference(NamedTuple):
    """Seconds as predicted and as measured."""

    name: str
    predicted_s: float
    measured_s: float

    @property
    def off_s(self) -> float:
        """Above zero if too much was predicted."""
        return self.predicted_s - self.measured_s


class BlockDifference(NamedTuple):
    """All runs and loads of one block in one variant, and the waiting for loads right before its runs."""

    component: str
    block: str
    variant: str
    run: Difference
    load: Difference
    wait: Difference
    num_runs: int
    num_loads: int

    @property
    def off_s(self) -> float:
        """What the block adds to the total's error: its runs, and the waiting before them."""
        return self.run.off_s + self.wait.off_s


class Prediction(NamedTuple):
    """`parts` add up to the total's difference; `blocks` are in order of first run."""

    simulated: Trace
    measured: Trace
    total: Difference
    parts: tuple[Difference, ...]
    blocks: tuple[BlockDifference, ...]

    @property
    def error(self) -> float:
        """Relative to what was measured."""
        return self.total.off_s / self.total.measured_s if self.total.measured_s > 0 else 0.0


def is_predicted(simulated: Trace, measured: Trace) -> bool:
    """Whether both are of the same plan, and neither broke off.

    It is none if the simulated device is one of the catalogue's and the other run was elsewhere, as on a computer that
    plays a phone's export: what that took says nothing of the prediction.
    """
    if simulated.plan != measured.plan or simulated.kill is not None or measured.kill is not None:
        return False
    return named(simulated.device) == named(measured.device) or named(simulated.device) not in device_names()


def prediction_of(traces: Sequence[Trace]) -> Prediction | None:
    """The comparison, if the traces are one simulated and one measured that it predicts."""
    kinds = {trace.kind: trace for trace in traces}
    if len(traces) != 2 or len(kinds) != 2 or not is_predicted(kinds["simulated"], kinds["measured"]):
        return None
    simulated, measured = kinds["simulated"], kinds["measured"]
    total = Difference("total", simulated.total_s, measured.total_s)
    before, after = (_shares(trace) for trace in (simulated, measured))
    parts = tuple(Difference(name, before[name], after[name]) for name in before)
    return Prediction(simulated, measured, total, parts, _blocks(simulated, measured))


def _shares(trace: Trace) -> dict[str, float]:
    """Seconds by what the runner was doing; they add up to the total."""
    results = component_results(trace).values()
    run_s, stall_s = sum(result.run_s for result in results), sum(result.stall_s for result in results)
    return {"running": run_s, "waiting for loads": stall_s, "unloading and other": trace.total_s - run_s - stall_s}


def _blocks(simulated: Trace, measured: Trace) -> tuple[BlockDifference, ...]:
    sides = [_sums(trace) for trace in (simulated, measured)]
    keys = list(dict.fromkeys(key for side in sides for key in side))
    nothing = _Sums()
    found = []
    for key in keys:
        predicted, happened = (side.get(key, nothing) for side in sides)
        found.append(
            BlockDifference(
                *key,
                Difference("run", predicted.run_s, happened.run_s),
                Difference("load", predicted.load_s, happened.load_s),
                Difference("wait", predicted.wait_s, happened.wait_s),
                happened.num_runs,
                happened.num_loads,
            )
        )
    return tuple(found)


class _Sums(NamedTuple):
    run_s: float = 0.0
    load_s: float = 0.0
    wait_s: float = 0.0
    num_runs: int = 0
    num_loads: int = 0


def _sums(trace: Trace) -> dict[tuple[str, str, str], _Sums]:
    """Per block, in order of first run. A block waits from the end of whatever the runner did before."""
    sums: dict[tuple[str, str, str], _Sums] = {}
    ready_s = 0.0
    for span in _ran(trace.spans):
        if span.action == "run":
            key = (span.component, span.block, span.variant)
            now = sums.get(key, _Sums())
            sums[key] = now._replace(
                run_s=now.run_s + span.seconds,
                wait_s=now.wait_s + max(0.0, span.start_s - ready_s),
                num_runs=now.num_runs + 1,
            )
        ready_s = max(ready_s, span.end_s)
    for span in trace.spans:
        if span.action == "load":
            key = (span.component, span.block, span.variant)
            now = sums.get(key, _Sums())
            sums[key] = now._replace(load_s=now.load_s + span.seconds, num_loads=now.num_loads + 1)
    return sums


def _ran(spans: Iterable[Span]) -> list[Span]:
    return sorted((span for span in spans if span.action != "load"), key=lambda span: span.start_s)
