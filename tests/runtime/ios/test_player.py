"""The phone's player plays what is simulated: the same spans, and the same charges to the byte."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace
from worlds import swift
from worlds.schedule_files import made, made_at_random

from ondevice_sora.plans.schedule_file import Played
from ondevice_sora.plans.schema import load_plan, ready_plans
from ondevice_sora.records.trace import Span, read_trace
from ondevice_sora.simulator.engine import play
from ondevice_sora.simulator.machine import LANES, Machine

NUM_RANDOM = 200
SECONDS = 1e-9
FULL_SPEED = dict.fromkeys(LANES, 1.0)


def simulated(found: Played, folder: Path, name: str) -> list[str]:
    """How the trace that `sora virtual` has written differs from the engine's, in words."""
    expected = play(found.schedule, found.costs, Machine(found.file.memory, FULL_SPEED, FULL_SPEED), is_limited=False)
    trace = read_trace(folder / name)

    def named(span: Span) -> Span:
        return replace(span, start_s=0.0, end_s=0.0)

    differences = []
    if list(map(named, trace.spans)) != list(map(named, expected.spans)):
        differences.append("spans")
    pairs = zip(trace.spans, expected.spans, strict=False)
    if any(abs(a.start_s - b.start_s) > SECONDS or abs(a.end_s - b.end_s) > SECONDS for a, b in pairs):
        differences.append("times of spans")
    if trace.memory != expected.memory:
        differences.append("memory")
    if trace.peak_bytes > expected.peak_bytes:
        differences.append("peak")
    return differences


@swift.needs_swift
def test_of_ready_and_random_plans_spans_and_memory_are_the_simulators(tmp_path: Path) -> None:
    """One process plays them all."""
    found = {f"ready-{name}.json": made(load_plan(name), tmp_path / f"ready-{name}.json")[1] for name in ready_plans()}
    for seed in range(NUM_RANDOM):
        rows = zip(("random", "tight"), made_at_random(seed, tmp_path), strict=False)
        found.update({f"{kind}-{seed}.json": played for kind, (_, played) in rows})
    traces = tmp_path / "traces"
    traces.mkdir()
    done = swift.ran("virtual", *(tmp_path / name for name in found), "-o", traces)
    assert done.returncode == 0, done.stderr
    assert len(found) >= NUM_RANDOM + len(ready_plans())
    differences = {name: simulated(each, traces, name) for name, each in found.items()}
    assert {name: what for name, what in differences.items() if what} == {}
