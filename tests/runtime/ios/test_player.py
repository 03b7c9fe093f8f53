"""The phone's player plays what is simulated: the same spans, and the same charges to the byte."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

from msgspec.structs import replace
from worlds import swift
from worlds.schedule_files import made, made_at_random, toy_file
from worlds.toys import random_toy

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.heat import NO_HEAT
from ondevice_sora.plans.plan_file import load_plan, ready_plans
from ondevice_sora.plans.schedule_file import write_schedule
from ondevice_sora.profiles.blocks import PROCESSORS
from ondevice_sora.records.trace import Span, read_trace
from ondevice_sora.simulator.engine import Outcome, play
from ondevice_sora.simulator.machine import Machine

NUM_RANDOM = 200
SECONDS = 1e-9
FULL_SPEED = dict.fromkeys(PROCESSORS.values(), 1.0)


def differences(expected: Outcome, path: Path) -> list[str]:
    """How the trace that `sora virtual` has written differs from the engine's outcome, in words."""
    trace = read_trace(path)

    def named(span: Span) -> Span:
        return replace(span, start_s=0.0, end_s=0.0)

    found = []
    if list(map(named, trace.spans)) != list(map(named, expected.spans)):
        found.append("spans")
    pairs = zip(trace.spans, expected.spans, strict=False)
    if any(abs(a.start_s - b.start_s) > SECONDS or abs(a.end_s - b.end_s) > SECONDS for a, b in pairs):
        found.append("times of spans")
    if trace.memory != expected.memory:
        found.append("memory")
    if trace.conditions["peak bytes"] != str(expected.peak_bytes):
        found.append("peak")
    return found


def traces_of(folder: Path, names: Iterable[str]) -> Path:
    """The folder with a trace of each schedule in `folder`, all made by one process."""
    traces = folder / "traces"
    traces.mkdir()
    done = swift.ran("virtual", *(folder / name for name in names), "-o", traces)
    assert done.returncode == 0, done.stderr
    return traces


@swift.needs_swift
def test_of_ready_and_random_plans_spans_and_memory_are_the_simulators(tmp_path: Path) -> None:
    found = {f"ready-{name}.json": made(load_plan(name), tmp_path / f"ready-{name}.json")[1] for name in ready_plans()}
    for seed in range(NUM_RANDOM):
        rows = zip(("random", "tight"), made_at_random(seed, tmp_path), strict=False)
        found.update({f"{kind}-{seed}.json": played for kind, (_, played) in rows})
    traces = traces_of(tmp_path, found)
    assert len(found) >= NUM_RANDOM + len(ready_plans())
    different = {}
    for name, each in found.items():
        machine = Machine(each.file.memory, FULL_SPEED, FULL_SPEED)
        expected = play(each.schedule, each.costs, machine, is_limited=False)
        different[name] = differences(expected, traces / name)
    assert {name: what for name, what in different.items() if what} == {}


@swift.needs_swift
def test_where_loads_and_runs_end_together_the_order_is_the_simulators(tmp_path: Path) -> None:
    """Toy worlds, half of them on a grid of whole seconds: blocks that take none, unloading that does, residues."""
    expected = {}
    for seed in range(2 * NUM_RANDOM):
        toy = random_toy(random.Random(seed)).with_(load_rate=1.0, run_rate=1.0, heat=NO_HEAT)
        try:
            file, schedule, costs = toy_file(toy)
        except UserError as error:
            assert "more than the budget of" in error.what
            continue
        write_schedule(tmp_path / f"{seed}.json", file)
        expected[f"{seed}.json"] = play(schedule, costs, toy.machine, is_limited=False)
    assert len(expected) > NUM_RANDOM
    traces = traces_of(tmp_path, expected)
    different = {name: differences(each, traces / name) for name, each in expected.items()}
    assert {name: what for name, what in different.items() if what} == {}
