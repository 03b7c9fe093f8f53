"""Ctrl-C at any instruction of the runner: one KeyboardInterrupt, and no lock, thread or buffer is left."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from worlds.partitioned import empty_like, held_bytes, inputs, network_of, plan_of, scheduled, stored

from ondevice_sora.runtime.executor import executor
from ondevice_sora.runtime.executor.executor import Executor
from ondevice_sora.runtime.executor.store import Store
from ondevice_sora.runtime.executor.torch_blocks import TorchBlocks
from ondevice_sora.runtime.networks.network import Network
from ondevice_sora.runtime.networks.stdit3 import STDiT3

STEPS = 2
GUARD_S = 60
"""How long a broken test waits before it fails; one that passes does not depend on it."""
FILES = (executor.__file__, threading.__file__)
"""Whose instructions count: the executor's own, and those of the locks that it takes."""


@pytest.fixture
def store(denoiser: STDiT3, tmp_path: Path) -> Store:
    return stored(tmp_path, plan_of(2), network_of(denoiser))


@pytest.fixture(autouse=True)
def threads_that_take_turns_all_the_time() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


class Interruption:
    """Sends SIGINT at one instruction of the main thread, counted from 1 over FILES."""

    def __init__(self, at: int) -> None:
        self.at, self.count = at, 0

    def trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename in FILES:
            frame.f_trace_opcodes = True
            return self.step
        return None

    def step(self, _: FrameType, event: str, __: Any) -> Any:
        if event == "opcode":
            self.count += 1
            if self.count == self.at:
                os.kill(os.getpid(), signal.SIGINT)
        return self.step


def interrupted(model: STDiT3, store: Store, at: int) -> int:
    """Play, with a Ctrl-C at that instruction if there are so many. Returns how many there were."""
    network = network_of(empty_like(model))
    schedule, costs = scheduled(plan_of(2, steps=STEPS), network)
    run = Executor(schedule, costs, TorchBlocks(schedule, [network], store), close_s=GUARD_S)
    before = with_data(network)
    interruption = Interruption(at)
    is_raised = False
    sys._getframe().f_trace_opcodes = True  # Python 3.12 looks at it when tracing begins, and only then
    sys.settrace(interruption.trace)
    try:
        with run:
            for step in range(STEPS):
                run.play("denoiser", inputs(model, step))
    except KeyboardInterrupt:
        is_raised = True
    finally:
        sys.settrace(None)
    assert is_raised == (interruption.count >= at > 0)
    assert not run._thread.is_alive()
    assert not run._condition._is_owned()
    assert not run.backend.buffers
    assert held_bytes(run) == 0
    assert with_data(network) <= before, "no module is left with a view of a buffer"
    return interruption.count


def with_data(network: Network) -> set[str]:
    return {name for unit in network.plain for name, tensor in unit.tensors() if not tensor.is_meta}


def interrupt_often(model: STDiT3, store: Store, repeats: int, seed: int) -> None:
    count = interrupted(model, store, 0)
    drawn = random.Random(seed)
    for _ in range(repeats):
        interrupted(model, store, drawn.randint(1, count))


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_at_any_instruction_leaves_nothing(denoiser: STDiT3, store: Store) -> None:
    interrupt_often(denoiser, store, 200, seed=1)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_at_two_thousand_instructions_leaves_nothing(denoiser: STDiT3, store: Store) -> None:
    interrupt_often(denoiser, store, 2000, seed=2)


@pytest.mark.parametrize("where", ["load", "run", "evict"])
@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_in_the_backend_is_raised_when_it_is_done(denoiser: STDiT3, store: Store, where: str) -> None:
    """Whichever thread is there at the time: signals are the main thread's, and it notes them only."""
    done: list[str] = []

    class Sending(TorchBlocks):
        def sent(self, here: str, work: Callable[[], Any]) -> Any:
            if here == where and here not in done:
                os.kill(os.getpid(), signal.SIGINT)
            result = work()
            done.append(here)
            return result

        def load(self, *arguments: Any) -> None:
            self.sent("load", lambda: super(Sending, self).load(*arguments))

        def run(self, *arguments: Any) -> Any:
            return self.sent("run", lambda: super(Sending, self).run(*arguments))

        def evict(self, *arguments: Any, **settings: Any) -> None:
            self.sent("evict", lambda: super(Sending, self).evict(*arguments, **settings))

    network = network_of(empty_like(denoiser))
    schedule, costs = scheduled(plan_of(2, prefetch=0), network)
    run = Executor(schedule, costs, Sending(schedule, [network], store), close_s=GUARD_S)
    with pytest.raises(KeyboardInterrupt), run:
        run.play("denoiser", inputs(denoiser, 0))
    assert held_bytes(run) == 0
    assert not run._thread.is_alive()


def test_off_the_main_thread_a_run_is_not_interrupted(
    denoiser: STDiT3, store: Store, ctrl_c: Callable[[], None]
) -> None:
    """The main thread has the KeyboardInterrupt, as always; the other one goes on to its end."""
    counts: list[int] = []
    begun, sent = threading.Event(), threading.Event()

    def play() -> None:
        network = network_of(empty_like(denoiser))
        schedule, costs = scheduled(plan_of(2, steps=STEPS), network)
        with Executor(schedule, costs, TorchBlocks(schedule, [network], store)) as run:
            begun.set()
            sent.wait(60)
            for step in range(STEPS):
                run.play("denoiser", inputs(denoiser, step))
                counts.append(step)

    other = threading.Thread(target=play)
    other.start()
    begun.wait(60)
    with pytest.raises(KeyboardInterrupt):
        ctrl_c()
    sent.set()
    other.join()
    assert counts == [0, 1]
