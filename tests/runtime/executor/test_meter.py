"""The footprint of a run, sampled beside it: what a sample says, how many there are, and that no thread is left."""

from __future__ import annotations

import sys
import threading
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from worlds.partitioned import empty_like, inputs, network_of, plan_of, scheduled, stored

from ondevice_sora.runtime.executor.executor import Executor
from ondevice_sora.runtime.executor.meter import Meter
from ondevice_sora.runtime.executor.torch_blocks import TorchBlocks
from ondevice_sora.runtime.networks.stdit3 import STDiT3


def sampling() -> bool:
    return any(thread.name == "footprint" for thread in threading.enumerate())


class Machine:
    """A clock and a footprint that tests set."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.held: int | None = 1000

    def meter(self, most: int = 8) -> Meter:
        """One that samples when it is told to, and not within a test's time besides."""
        meter = Meter(most=most, read=lambda: self.held, clock=lambda: self.now_s)
        meter.interval_s = 1000.0
        return meter


def test_samples_are_seconds_since_the_start_and_bytes_above_what_was_there() -> None:
    machine = Machine()
    meter = machine.meter()
    meter.start(900)
    machine.now_s, machine.held = 101.5, 5000
    meter.sample()
    machine.now_s, machine.held = 102.0, 700
    meter.stop()
    assert meter.samples == [(0.0, 100), (1.5, 4100), (2.0, 0)], "less than before counts as nothing"


def test_a_long_run_is_sampled_less_often_and_its_peak_stays() -> None:
    machine = Machine()
    meter = machine.meter(most=8)
    meter.start(0)
    for number in range(1, 8):
        machine.now_s, machine.held = 100.0 + number, {3: 9000, 6: 8000}.get(number, 1000 + number)
        meter.sample()
    assert meter.samples == [(1.0, 1001), (3.0, 9000), (5.0, 1005), (6.0, 8000)]
    assert meter.interval_s == 2000.0
    meter.stop()


def test_where_the_system_does_not_tell_there_are_no_samples() -> None:
    machine = Machine()
    unknown = machine.meter()
    unknown.start(None)
    assert not sampling()
    unknown.stop()
    silent = machine.meter()
    machine.held = None
    silent.start(0)
    silent.stop()
    assert unknown.samples is silent.samples is msgspec.UNSET


def test_a_meter_is_stopped_once_and_may_be_stopped_again() -> None:
    never_started = Machine().meter()
    never_started.stop()
    meter = Machine().meter()
    meter.start(0)
    assert sampling()
    meter.stop()
    assert not sampling()
    meter.stop()
    assert len(meter.samples or ()) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_run_is_sampled_from_its_start_to_its_end(denoiser: STDiT3, tmp_path: Path) -> None:
    plan, network = plan_of(steps=3), network_of(empty_like(denoiser))
    schedule, costs = scheduled(plan, network)
    blocks = TorchBlocks(schedule, [network], stored(tmp_path, plan, network_of(denoiser)))
    with Executor(schedule, costs, blocks) as run:
        assert sampling()
        for step in range(3):
            run.play("denoiser", inputs(denoiser, step))
    assert not sampling()
    trace = run.trace()
    assert len(trace.sampled) >= 2
    assert all(before.time_s <= after.time_s for before, after in pairwise(trace.sampled))
    assert trace.sampled[0].time_s <= trace.spans[0].end_s <= trace.spans[-1].end_s <= trace.sampled[-1].time_s
    measured = run.measured_peak_bytes
    assert measured is None or trace.sampled_peak_bytes <= measured + (1 << 20), "the system's own peak is the most"
