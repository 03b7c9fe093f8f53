"""A plan changes memory and time, never the output; and the executor does just what the schedule says."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from worlds.partitioned import WORKING, empty_like, held_bytes, inputs, network_of, plan_of, scheduled, stored, whole

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.schema import Start
from ondevice_sora.records.trace import Trace, read_trace, write_trace
from ondevice_sora.runtime.executor import footprint
from ondevice_sora.runtime.executor.executor import Executor
from ondevice_sora.runtime.executor.reading import FileReader
from ondevice_sora.runtime.executor.torch_blocks import TorchBlocks
from ondevice_sora.runtime.host import this_host
from ondevice_sora.runtime.networks.stdit3 import STDiT3

LAW = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
PLANS = st.fixed_dictionaries(
    {
        "blocks": st.sampled_from(["unit", "whole", 2, 3, ("input..spatial_0", "temporal_0..output")]),
        "prefetch": st.integers(0, 9),
        "keep": st.sampled_from(["none", "optimal", "paper", "always", 1, 2]),
        "start": st.sampled_from(["first", "cached", "loaded"]),
        "steps": st.integers(1, 4),
        "tdtm": st.sampled_from(["none", "all", (0,)]),
        "packages": st.sampled_from(["shared", "separate"]),
        "budget": st.sampled_from([None, 300_000, 150_000]),
    }
)


@pytest.fixture(autouse=True)
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stores")


@LAW
@given(settings=PLANS, direct=st.booleans())
def test_the_output_is_the_whole_models_bit_for_bit(
    denoiser: STDiT3, stores: Path, settings: dict[str, Any], direct: bool
) -> None:
    if settings["keep"] == 2 and settings["blocks"] == "whole":
        settings = {**settings, "keep": 1}
    plan, network = plan_of(**settings), network_of(empty_like(denoiser))
    try:
        schedule, costs = scheduled(plan, network)
    except UserError as error:
        assert "more than the budget" in str(error)
        return
    store = stored(stores, plan, network_of(denoiser))
    with Executor(
        schedule, costs, TorchBlocks(schedule, [network], store, reader=FileReader(store, direct=direct))
    ) as run:
        for step in range(plan.sampler.steps):
            state = run.play("denoiser", inputs(denoiser, step))
            assert torch.equal(state["velocity"], whole(denoiser, plan, step))
    trace = run.trace()
    assert_played(trace, schedule.visits)
    assert trace.peak_bytes <= (plan.memory.budget or schedule.needed_bytes)
    assert held_bytes(run) == 0


def assert_played(trace: Trace, visits: Any) -> None:
    """Every visit ran once in order, and every load and eviction that the schedule has came about."""
    runs = [span for span in trace.spans if span.action == "run"]
    assert len(runs) == len(visits)
    assert sum(span.action == "load" for span in trace.spans) == sum(visit.loads for visit in visits)
    assert all(a.end_s <= b.start_s for a, b in pairwise(runs))
    assert trace.memory[-1].total == 0


def test_what_stays_is_loaded_once_and_in_a_later_generation_before_the_clock_starts(
    denoiser: STDiT3, stores: Path
) -> None:
    network = network_of(empty_like(denoiser))

    def played(start: Start) -> Trace:
        plan = plan_of(prefetch=1, steps=2, keep="always", start=start)
        schedule, costs = scheduled(plan, network)
        store = stored(stores, plan, network_of(denoiser))
        with Executor(schedule, costs, TorchBlocks(schedule, [network], store)) as run:
            for step in range(2):
                assert torch.equal(
                    run.play("denoiser", inputs(denoiser, step))["velocity"], whole(denoiser, plan, step)
                )
        return run.trace()

    first, later = played("first"), played("loaded")
    assert [span.action for span in first.spans].count("load") == len({span.block for span in first.spans})
    assert {span.action for span in later.spans} == {"run"}
    assert later.memory[0].resident == max(sample.resident for sample in first.memory) > 0


def test_loads_start_after_their_gates(denoiser: STDiT3, stores: Path) -> None:
    plan, network = plan_of(prefetch=1, steps=2), network_of(empty_like(denoiser))
    schedule, costs = scheduled(plan, network)
    store = stored(stores, plan, network_of(denoiser))
    with Executor(schedule, costs, TorchBlocks(schedule, [network], store)) as run:
        for step in range(2):
            run.play("denoiser", inputs(denoiser, step))
    spans = run.trace().spans
    evicted = [span.end_s for span in spans if span.action == "evict"]
    loads = sorted((span for span in spans if span.action == "load"), key=lambda span: span.start_s)
    for load, visit in zip(loads, (v for v in schedule.visits if v.loads), strict=True):
        assert visit.gate < 0 or load.start_s >= evicted[visit.gate]


def test_two_buffers_are_enough_for_a_window_of_one(denoiser: STDiT3, stores: Path) -> None:
    plan, network = plan_of(prefetch=1, steps=3, blocks=2), network_of(empty_like(denoiser))
    schedule, costs = scheduled(plan, network)
    run = Executor(schedule, costs, TorchBlocks(schedule, [network], stored(stores, plan, network_of(denoiser))))
    assert len(run._assigned.buffer_bytes) == 2
    run.close()


def test_both_variants_in_memory_take_one_copy(denoiser: STDiT3, stores: Path) -> None:
    """Kept for both variants, a block is read once, and never held twice."""
    plan, network = plan_of(keep=6, steps=4, tdtm=(0, 2)), network_of(empty_like(denoiser))
    schedule, costs = scheduled(plan, network)
    store = stored(stores, plan, network_of(denoiser))
    with Executor(schedule, costs, TorchBlocks(schedule, [network], store)) as run:
        for step in range(4):
            state = run.play("denoiser", inputs(denoiser, step))
            assert torch.equal(state["velocity"], whole(denoiser, plan, step))
    read = [span for span in run.trace().spans if span.action == "load" and span.bytes]
    total = sum(block.data_bytes for block in store.manifest.blocks)
    assert len(read) == len(store.manifest.blocks)
    assert run.trace().peak_bytes <= total + WORKING
    assert sum(run._assigned.buffer_bytes) == total


def test_an_early_end_cancels_what_was_to_come(denoiser: STDiT3, stores: Path) -> None:
    plan, network = plan_of(prefetch=8, steps=20, keep=2), network_of(empty_like(denoiser))
    schedule, costs = scheduled(plan, network)
    store = stored(stores, plan, network_of(denoiser))
    with Executor(schedule, costs, TorchBlocks(schedule, [network], store)) as run:
        run.play("denoiser", inputs(denoiser, 0))
        run.end_early("denoiser")
        assert held_bytes(run) == 0
    spans = run.trace().spans
    assert sum(span.action == "run" for span in spans) == 6
    assert sum(span.action == "load" for span in spans) < 30


def test_outside_a_run_the_modules_hold_no_weights(denoiser: STDiT3, stores: Path) -> None:
    plan, model = plan_of(keep=6), empty_like(denoiser)
    network = network_of(model)
    schedule, costs = scheduled(plan, network)
    with Executor(schedule, costs, TorchBlocks(schedule, [network], stored(stores, plan, network_of(denoiser)))) as run:
        run.play("denoiser", inputs(denoiser, 0))
        assert all(parameter.is_meta for parameter in model.parameters())


def test_a_pass_out_of_turn_is_refused(denoiser: STDiT3, stores: Path) -> None:
    plan, network = plan_of(steps=1), network_of(empty_like(denoiser))
    schedule, costs = scheduled(plan, network)
    with Executor(schedule, costs, TorchBlocks(schedule, [network], stored(stores, plan, network_of(denoiser)))) as run:
        with pytest.raises(ValueError, match="next pass is of denoiser, not of decoder"):
            run.play("decoder", {})
        run.play("denoiser", inputs(denoiser, 0))
        with pytest.raises(ValueError, match="no further pass of denoiser"):
            run.play("denoiser", inputs(denoiser, 0))


def test_the_trace_is_a_trace(denoiser: STDiT3, stores: Path, tmp_path: Path) -> None:
    plan, network = plan_of(budget=300_000), network_of(empty_like(denoiser))
    schedule, costs = scheduled(plan, network)
    with Executor(schedule, costs, TorchBlocks(schedule, [network], stored(stores, plan, network_of(denoiser)))) as run:
        for step in range(3):
            run.play("denoiser", inputs(denoiser, step))
    write_trace(run.trace({"power": "mains"}), tmp_path / "measured.json")
    trace = read_trace(tmp_path / "measured.json")
    assert (trace.kind, trace.device) == ("measured", this_host().name)
    assert (trace.limit_bytes, trace.budget_bytes) == (footprint.physical_bytes(), 300_000)
    assert trace.peak_bytes <= 300_000
    assert trace.conditions["power"] == "mains"


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ({"compute_units": "cpu_and_gpu"}, "this machine runs blocks on the CPU only, not on 'cpu_and_gpu'"),
        ({"precision": "float16"}, "this machine stores blocks in float32, not in 'float16'"),
        ({"loading": "core_ai"}, "exported and run through Core ML; Core AI is only simulated"),
    ],
)
def test_what_this_machine_cannot_do_is_refused(
    denoiser: STDiT3, tmp_path: Path, setting: dict[str, Any], complaint: str
) -> None:
    import msgspec

    plan, network = plan_of(), network_of(denoiser)
    store = stored(tmp_path, plan, network)
    component = msgspec.structs.replace(plan.components["denoiser"], **setting)
    schedule, _ = scheduled(msgspec.structs.replace(plan, components={"denoiser": component}), network)
    with pytest.raises(UserError, match=complaint):
        TorchBlocks(schedule, [network], store)
