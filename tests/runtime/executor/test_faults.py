"""Whatever breaks: one error that names the block, both threads end, and the memory is given back."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from worlds.partitioned import empty_like, held_bytes, inputs, network_of, plan_of, scheduled, stored

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.schema import Plan
from ondevice_sora.runtime.executor import buffers
from ondevice_sora.runtime.executor.executor import BlockError, Executor
from ondevice_sora.runtime.executor.reading import FileReader, Progress, Reader
from ondevice_sora.runtime.executor.store import Store, StoredBlock
from ondevice_sora.runtime.executor.torch_blocks import TorchBlocks
from ondevice_sora.runtime.networks.network import Network
from ondevice_sora.runtime.networks.stdit3 import STDiT3
from ondevice_sora.runtime.networks.units import Unit

SECOND = "temporal_0..spatial_1"
REPEATS = 200
GUARD_S = 60
"""How long a broken test waits before it fails; one that passes does not depend on it."""


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not [thread for thread in threading.enumerate() if thread.name in ("loader", "footprint")]


@pytest.fixture
def store(denoiser: STDiT3, tmp_path: Path) -> Store:
    return stored(tmp_path, plan_of(2), network_of(denoiser))


class Scripted:
    """A reader that follows a script: `before[n]` is called before the n-th load (from 0) reads its file."""

    def __init__(self, store: Store, before: dict[int, Callable[[], None]]) -> None:
        self.inner, self.before, self.count = FileReader(store), before, 0

    def read(self, block: StoredBlock, view: memoryview, progress: Progress) -> None:
        self.count += 1
        self.before.get(self.count - 1, lambda: None)()
        self.inner.read(block, view, progress)


def play(
    model: STDiT3,
    store: Store,
    reader: Reader | None = None,
    plan: Plan | None = None,
    wrap: Callable[[Sequence[Unit]], tuple[Unit, ...]] | None = None,
    **settings: Any,
) -> Executor:
    """Three steps; whatever is raised, the executor must have given everything back."""
    plan, network = plan or plan_of(2, steps=3), network_of(empty_like(model))
    if wrap is not None:
        network = Network(network.name, network.passes, wrap(network.plain))
    schedule, costs = scheduled(plan, network)
    blocks = TorchBlocks(schedule, [network], store, reader=reader)
    run = Executor(schedule, costs, blocks, **{"close_s": GUARD_S, **settings})
    try:
        with run:
            for step in range(3):
                run.play("denoiser", inputs(model, step))
    finally:
        assert not run._thread.is_alive()
        assert held_bytes(run) == 0
        assert not run.backend.buffers
        assert all(tensor.is_meta for unit in network.plain for _, tensor in unit.tensors())
    return run


def failing(unit_name: str, error: BaseException) -> Callable[[Sequence[Unit]], tuple[Unit, ...]]:
    """Units of which one raises."""

    def fail(*_: Any) -> Any:
        raise error

    def wrap(units: Sequence[Unit]) -> tuple[Unit, ...]:
        return tuple(
            Unit(unit.name, unit.reads, unit.writes, fail, unit.modules) if unit.name == unit_name else unit
            for unit in units
        )

    return wrap


def raising(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def damage(store: Store, what: str) -> None:
    path = store.path(*store.files_of("denoiser", "temporal_0", "spatial_1"))
    data = bytearray(path.read_bytes())
    if what == "missing":
        path.unlink()
        return
    if what == "cut off":
        del data[-100:]
    elif what == "longer":
        data += b"x"
    elif what == "header":
        data[20] ^= 1
    elif what == "content":
        data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("what", "complaint"),
    [
        ("missing", "is missing"),
        ("cut off", "it is cut off"),
        ("longer", "instead of"),
        ("header", r"not as it was written \(header\)"),
        ("content", r"not as it was written \(checksum\)"),
    ],
)
@pytest.mark.parametrize("direct", [True, False])
def test_a_damaged_file_is_named(denoiser: STDiT3, store: Store, what: str, complaint: str, direct: bool) -> None:
    damage(store, what)
    with pytest.raises(UserError, match=f"block '{SECOND}' of denoiser .*{complaint}"):
        play(denoiser, store, FileReader(store, direct=direct, verify=True))


def test_a_file_that_shrinks_under_the_read_is_named(denoiser: STDiT3, store: Store) -> None:
    (block,) = store.files_of("denoiser", "temporal_0", "spatial_1")

    class Shrinking(FileReader):
        def _check(self, block: StoredBlock, path: Path) -> None:
            super()._check(block, path)
            if block.first_unit == "temporal_0":
                os.truncate(path, block.data_start + 4096)

    for direct in (True, False):
        data = store.path(block).read_bytes()
        with pytest.raises(UserError, match=f"block '{SECOND}' of denoiser ends after 4096 of"):
            play(denoiser, store, Shrinking(store, direct=direct))
        store.path(block).write_bytes(data)


@pytest.mark.parametrize("load", [0, 1, 5])
def test_an_unreadable_disk_is_named(denoiser: STDiT3, store: Store, load: int) -> None:
    class Broken(FileReader):
        count = -1

        def _read_direct(self, *_: Any) -> bool:
            return False

        def _read_buffered(self, *args: Any) -> None:
            self.count += 1
            if self.count == load:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            super()._read_buffered(*args)

    with pytest.raises(UserError, match=r"block '.*' of denoiser cannot be read: Input/output error"):
        play(denoiser, store, Broken(store))


def test_a_file_system_without_direct_reads_is_read_through_the_cache(
    denoiser: STDiT3, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def refuse(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", refuse)
    reader = FileReader(store, drop_cache=True)
    run = play(denoiser, store, reader)
    assert reader.ways == {"direct": 0, "buffered": 9}
    assert run.trace().conditions["loads"] == "9 buffered"


@pytest.mark.parametrize("load", [0, 3])
def test_out_of_memory_in_the_loader_names_the_block(denoiser: STDiT3, store: Store, load: int) -> None:
    with pytest.raises(UserError, match=r"out of memory in the load of block 'input..spatial_0' of denoiser"):
        play(denoiser, store, Scripted(store, {load: raising(MemoryError())}))


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")]
)
def test_out_of_memory_in_a_run_names_the_block(denoiser: STDiT3, store: Store, error: Exception) -> None:
    with pytest.raises(UserError, match=f"out of memory in the run of block '{SECOND}' of denoiser, step 0"):
        play(denoiser, store, wrap=failing("temporal_0", error))


def test_no_memory_for_buffers_is_said_before_the_run(
    denoiser: STDiT3, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    monkeypatch.setattr(buffers.mmap, "mmap", refuse)
    with pytest.raises(UserError, match=r"no memory for a buffer of .*: Cannot allocate memory"):
        play(denoiser, store)


def test_an_exception_in_the_loader_reaches_the_runner(denoiser: STDiT3, store: Store) -> None:
    with pytest.raises(BlockError, match=f"loading block '{SECOND}' of denoiser, step 1 failed: .*boom"):
        play(denoiser, store, Scripted(store, {4: raising(ValueError("boom"))}))


def test_an_exception_in_a_run_names_the_block(denoiser: STDiT3, store: Store) -> None:
    with pytest.raises(BlockError, match=r"running block 'temporal_1..output' of denoiser, step 0 failed: .*boom"):
        play(denoiser, store, wrap=failing("output", ValueError("boom")))


def test_ctrl_c_in_a_run_ends_both_threads(denoiser: STDiT3, store: Store) -> None:
    with pytest.raises(KeyboardInterrupt):
        play(denoiser, store, wrap=failing("temporal_0", KeyboardInterrupt()))


def test_ctrl_c_while_the_runner_waits_ends_both_threads(
    denoiser: STDiT3, store: Store, ctrl_c: Callable[[], None]
) -> None:
    """A real signal, while the main thread waits for a load that goes on until it is broken off."""

    class Endless(FileReader):
        count = 0

        def read(self, block: StoredBlock, view: memoryview, progress: Progress) -> None:
            self.count += 1
            if self.count == 3:
                ctrl_c()
                while True:
                    progress(0)
            super().read(block, view, progress)

    with pytest.raises(KeyboardInterrupt):
        play(denoiser, store, Endless(store))


def test_a_stalled_load_is_reported(denoiser: STDiT3, store: Store) -> None:
    """By the executor's clock: time stands still until the load hangs, and then goes on whenever it is asked."""
    hanging, hang, now = threading.Event(), threading.Event(), [0.0]

    def hangs() -> None:
        hanging.set()
        hang.wait()

    def clock() -> float:
        now[0] += 0.3 if hanging.is_set() else 0.0
        return now[0]

    plan, network = plan_of(2), network_of(empty_like(denoiser))
    schedule, costs = scheduled(plan, network)
    blocks = TorchBlocks(schedule, [network], store, reader=Scripted(store, {1: hangs}))
    run = Executor(schedule, costs, blocks, clock=clock, stall_s=1.0, close_s=0.01)
    with pytest.raises(UserError, match=f"the load of block '{SECOND}' of denoiser, step 0 is stalled"), run:
        run.play("denoiser", inputs(denoiser, 0))
    assert run.backend.buffers, "a read that hangs keeps its buffer"
    hang.set()
    run._thread.join(GUARD_S)
    assert not run.backend.buffers
    assert held_bytes(run) == 0


def test_a_slow_load_is_not_a_stalled_one(denoiser: STDiT3, store: Store) -> None:
    """What counts is time without progress, by the executor's clock: a tick between two requests is progress."""

    class Slow(FileReader):
        def _read_direct(self, block: StoredBlock, path: Path, view: memoryview, progress: Progress) -> bool:
            for _ in range(5):
                now[0] += 0.9
                progress(1)
            return super()._read_direct(block, path, view, progress)

    now = [0.0]
    run = play(denoiser, store, Slow(store), stall_s=1.0, clock=lambda: now[0])
    assert run.trace().total_s > 9 * 4


@pytest.mark.parametrize("first", ["loader", "runner"])
def test_both_orders_of_two_faults_end_the_same(denoiser: STDiT3, store: Store, first: str) -> None:
    """The runner fails in the first block while the loader fails in the second, one held back until the other has."""
    running, loader_failed, runner_failed = threading.Event(), threading.Event(), threading.Event()

    def load() -> None:
        (runner_failed if first == "runner" else running).wait(GUARD_S)
        loader_failed.set()
        raise ValueError("in the loader")

    def run(*_: Any) -> Any:
        running.set()
        if first == "loader":
            loader_failed.wait(GUARD_S)
        runner_failed.set()
        raise ValueError("in the runner")

    def wrap(units: Sequence[Unit]) -> tuple[Unit, ...]:
        broken = Unit(units[0].name, units[0].reads, units[0].writes, run, units[0].modules)
        return (broken, *units[1:])

    with pytest.raises(BlockError, match=r"running block 'input..spatial_0' .*in the runner"):
        play(denoiser, store, Scripted(store, {1: load}), wrap=wrap)


def test_no_fault_hangs_however_often(denoiser: STDiT3, store: Store) -> None:
    """Faults at every load and in either thread, over and over."""
    for number in range(REPEATS):
        at = number % 9
        if number % 2:
            with pytest.raises(BlockError, match="boom"):
                play(denoiser, store, Scripted(store, {at: raising(ValueError("boom"))}))
        else:
            name = ("input", "spatial_0", "temporal_0", "spatial_1", "temporal_1", "output")[at % 6]
            with pytest.raises(BlockError, match="boom"):
                play(denoiser, store, wrap=failing(name, ValueError("boom")))
