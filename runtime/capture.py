"""Measure what blocks cost on this machine, and write it as a profile that `simulate --device FILE` takes.

Per block and variant: cold loads (a fresh buffer, the file's pages out of the page cache), warm loads (the buffer
used before, as in every later step), first and later runs, working memory and what stays after the eviction; then loads
while the block runs over and over, and runs while it is read over and over. Figures are medians; samples are kept.

Working memory is the growth of the process's resident peak over one run, with the heap trimmed before; where the
system does not tell, the figure is missing. The simulator's baseline is zero here: a budget on this machine counts what
the run adds to the process.
"""

from __future__ import annotations

import gc
import os
import platform
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from statistics import median

import torch

from profiles.costs import Costs, LoadCosts, Measurement, ProcessorCosts, ThermalCosts
from profiles.devices import Device, Hardware, MemoryLimit
from profiles.figures import Figure
from profiles.models import Variant
from profiles.profile import Profile
from runtime import footprint
from runtime.buffers import Buffer
from runtime.executor import RuntimeBlock
from runtime.models.units import State
from runtime.networks import Network
from runtime.reading import FileReader, drop_pages
from runtime.standin import inputs_of, networks_of
from runtime.store import Store, StoredBlock

MATMUL_SIDE = 1024
COPY_BYTES = 1 << 28
MAD_TO_SIGMA = 1.4826
"""The median absolute deviation of a normal distribution times this is its standard deviation."""
DEVICE = "host"


@dataclass
class Samples:
    """What was measured of one block in one variant; seconds and bytes by figure."""

    block: StoredBlock
    variant: Variant
    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        self.values.setdefault(name, []).append(value)

    def median(self, name: str) -> float | None:
        found = self.values.get(name)
        return median(found) if found else None


def capture(
    store: Store, *, repeats: int = 5, threads: int | None = None, on_block: Callable[[str], None] | None = None
) -> Profile:
    """The profile of this machine for the blocks of a store. Raises UserError if a block cannot be read."""
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        with torch.no_grad():
            return _profile(store, measure(store, networks_of(store), inputs_of(store), repeats, on_block), repeats)
    finally:
        torch.set_num_threads(before)


def measure(
    store: Store,
    networks: Sequence[Network],
    inputs: dict[str, State],
    repeats: int,
    on_block: Callable[[str], None] | None = None,
) -> list[Samples]:
    """All samples of all blocks, each variant that differs; states are handed on from block to block."""
    found = []
    reused = Buffer(max(block.data_bytes for block in store.manifest.blocks))
    for network in networks:
        state = dict(inputs[network.name])
        for stored in store.manifest.blocks:
            if stored.component != network.name:
                continue
            if on_block is not None:
                on_block(stored.name)
            after = state
            for variant in _variants(network, stored):
                samples = Samples(stored, variant)
                if variant == "plain":
                    _measure_loads(samples, store, reused, repeats)
                outcome = _measure_runs(samples, store, network, reused, state, repeats)
                after = outcome if variant == "plain" else after
                found.append(samples)
            state = after
    reused.release()
    return found


def _variants(network: Network, stored: StoredBlock) -> tuple[Variant, ...]:
    names = [unit.name for unit in network.plain]
    covered = range(names.index(stored.first_unit), names.index(stored.last_unit) + 1)
    return ("plain", "tdtm") if any(network.merges(index) for index in covered) else ("plain",)


def _measure_loads(samples: Samples, store: Store, reused: Buffer, repeats: int) -> None:
    stored = samples.block
    footprint.trim_heap()
    for _ in range(repeats):
        drop_pages(store.path(stored))
        before = footprint.resident_bytes()
        fresh = Buffer(stored.data_bytes)
        samples.add("load_cold_s", _load_seconds(FileReader(store, drop_cache=True), stored, fresh))
        loaded = footprint.resident_bytes()
        fresh.release()
        after = footprint.resident_bytes()
        if before is not None and loaded is not None and after is not None:
            samples.add("resident_bytes", max(0, loaded - before))
            samples.add("residual_bytes", max(0, after - before))
    reader = FileReader(store, drop_cache=True)
    _load_seconds(reader, stored, reused)
    for _ in range(repeats):
        samples.add("load_warm_s", _load_seconds(reader, stored, reused))


def _measure_runs(
    samples: Samples, store: Store, network: Network, buffer: Buffer, state: State, repeats: int
) -> State:
    """Runs alone and beside loads; the state after the block."""
    stored = samples.block
    names = [unit.name for unit in network.plain]
    first, last = names.index(stored.first_unit), names.index(stored.last_unit)
    block = RuntimeBlock(network, stored, samples.variant, names[first : last + 1])
    reader = FileReader(store, drop_cache=True)
    reader.read(stored, _view(buffer), lambda _: None)
    block.bind(buffer.tensors(stored.tensors))
    try:
        for number in range(repeats + 1):
            start = time.perf_counter()
            after = block.run(state, buffer)
            samples.add("run_s" if number else "first_run_s", time.perf_counter() - start)
        for _ in range(repeats):
            del after
            gc.collect()
            footprint.trim_heap()
            before, is_ours = footprint.resident_bytes(), footprint.reset_peak()
            after = block.run(state, buffer)
            peak = footprint.peak_bytes()
            if is_ours and before is not None and peak is not None:
                samples.add("working_bytes", max(0, peak - before))
        _measure_interference(samples, reader, block, buffer, state, repeats)
    finally:
        block.unbind()
    return after


def _measure_interference(
    samples: Samples, reader: FileReader, block: RuntimeBlock, buffer: Buffer, state: State, repeats: int
) -> None:
    """Reads over and over in one thread, runs over and over in this one; only what overlapped throughout counts."""
    stored = samples.block
    beside = Buffer(stored.data_bytes)
    done = threading.Event()
    loads: list[tuple[float, float]] = []

    def read() -> None:
        while not done.is_set():
            start = time.perf_counter()
            reader.read(stored, _view(beside), lambda _: None)
            loads.append((start, time.perf_counter()))

    reader.read(stored, _view(beside), lambda _: None)
    thread = threading.Thread(target=read, daemon=True)
    begin = time.perf_counter()
    thread.start()
    end = begin
    try:
        count = 0
        while count < repeats or len(loads) < repeats:
            start = time.perf_counter()
            block.run(state, buffer)
            end = time.perf_counter()
            samples.add("run_while_loading_s", end - start)
            count += 1
            if not thread.is_alive():
                break
    finally:
        done.set()
        thread.join()
        beside.release()
    for start, stop in loads:
        if start >= begin and stop <= end:
            samples.add("load_while_running_s", stop - start)


def _load_seconds(reader: FileReader, stored: StoredBlock, buffer: Buffer) -> float:
    start = time.perf_counter()
    reader.read(stored, _view(buffer), lambda _: None)
    return time.perf_counter() - start


def _view(buffer: Buffer) -> memoryview:
    assert buffer.view is not None
    return buffer.view


def _profile(store: Store, found: Sequence[Samples], repeats: int) -> Profile:
    source = f"profile capture, {date.today().isoformat()}"
    loads = {samples.block.name: samples for samples in found if samples.variant == "plain"}
    return Profile(
        device=DEVICE,
        costs=_costs(found, source),
        hardware=_hardware(source),
        conditions=_conditions(store, repeats),
        measurements=tuple(_measurement(store, samples, loads[samples.block.name], source) for samples in found),
    )


def _measurement(store: Store, samples: Samples, loads: Samples, source: str) -> Measurement:
    """Both variants of a block read the same file, so they share the loads' figures."""
    return Measurement(
        model=store.manifest.model,
        component=samples.block.component,
        first_unit=samples.block.first_unit,
        last_unit=samples.block.last_unit,
        variant=samples.variant,
        compute_units="cpu_only",
        load_warm_s=_figure(loads, "load_warm_s", source),
        load_cold_s=_figure(loads, "load_cold_s", source),
        run_s=_figure(samples, "run_s", source),
        first_run_s=_figure(samples, "first_run_s", source),
        resident_bytes=Figure(samples.block.data_bytes, "measured", f"{source}: size of the block's file"),
        working_bytes=_figure(samples, "working_bytes", source),
        samples={name: tuple(round(value, 7) for value in values) for name, values in samples.values.items()},
    )


def _figure(samples: Samples, name: str, source: str) -> Figure | None:
    values = samples.values.get(name)
    if not values:
        return None
    middle = median(values)
    spread = median(abs(value - middle) for value in values) * MAD_TO_SIGMA / middle if middle > 0 else 0.0
    noun = "sample" if len(values) == 1 else "samples, median"
    return Figure(float(f"{middle:.6g}"), "measured", f"{source}: {len(values)} {noun}", min(3.0, round(spread, 4)))


def _costs(found: Sequence[Samples], source: str) -> Costs:
    """Costs for blocks that were not measured, and what holds for all: interference and residual.

    The fixed part of a load is not told apart from the rest: bytes over the median rate. What a run costs cannot be
    said for blocks without operation counts; that is what `measurements` are for.
    """

    def measured(value: float, note: str) -> Figure:
        return Figure(float(f"{value:.6g}"), "measured", f"{source}: {note}")

    def assumed(value: float, why: str) -> Figure:
        return Figure(value, "estimated", why)

    plain = [samples for samples in found if samples.variant == "plain"]
    warm = median(s.block.data_bytes / (s.median("load_warm_s") or 1.0) for s in plain)
    extra = [(s.median("load_cold_s") or 0.0) - (s.median("load_warm_s") or 0.0) for s in plain]
    specialise = median(2 * s.block.data_bytes / max(e, 1e-6) for s, e in zip(plain, extra, strict=True))
    first = [(s.median("first_run_s") or 0.0) - (s.median("run_s") or 0.0) for s in found]
    residual = [(s.median("residual_bytes") or 0.0) / s.block.data_bytes for s in plain]
    flops, moved = matmul_flops_per_s(), copied_bytes_per_s()
    rate = measured(flops, f"float32 matrix product of side {MATMUL_SIDE}")
    same = assumed(rate.value, "taken to be that of a matrix product")
    processor = ProcessorCosts(
        matmul_flops_per_s=rate,
        attention_flops_per_s=same,
        convolution_flops_per_s=same,
        moved_bytes_per_s=measured(moved, f"copy of {COPY_BYTES >> 20} MiB, read and written"),
        dispatch_s=assumed(0.0, "contained in the measured runs"),
        first_run_s=measured(max(0.0, median(first)), "first runs less later ones, median of all blocks"),
        token_merge_s=assumed(0.0, "contained in the measured runs"),
        load_rate=measured(_rate(found, "load_warm_s", "load_while_running_s"), "loads alone to loads beside runs"),
        run_rate=measured(_rate(found, "run_s", "run_while_loading_s"), "runs alone to runs beside loads"),
        charged_share=assumed(1.0, "all memory of a process counts"),
    )
    loads = LoadCosts(
        load_fixed_s=assumed(0.0, "contained in the rate"),
        read_bytes_per_s=measured(warm, "warm loads, median of all blocks"),
        prepare_bytes_per_s=assumed(1e18, "weights are used where they were read"),
        specialise_fixed_s=assumed(0.0, "contained in the rate"),
        specialise_bytes_per_s=measured(min(1e18, specialise), "cold loads less warm ones: pages of a fresh buffer"),
        compressed_held_bytes=assumed(4.0, "no compressed weights here"),
        transient_share=assumed(0.0, "reads go straight to where the weights stay"),
        unload_s=assumed(0.0, "buffers stay for the next block"),
        residual_share=measured(median(residual), "memory left after the eviction, median of all blocks"),
    )
    thermal = ThermalCosts(
        floor=assumed(1.0, "no derating was looked for"), time_constant_s=assumed(300.0, "assumed"), contained=True
    )
    return Costs(
        baseline_bytes=assumed(0.0, "a budget here counts what the run adds to the process"),
        loads=loads,
        processors={"cpu": processor},
        thermal=thermal,
    )


def _rate(found: Sequence[Samples], alone: str, beside: str) -> float:
    """Speed beside the other activity relative to alone: the median over blocks; 1 if nothing overlapped."""
    loads = {samples.block.name: samples for samples in found if samples.variant == "plain"}
    ratios = []
    for samples in found:
        quiet = samples.median(alone) or loads[samples.block.name].median(alone)
        busy = samples.median(beside)
        if quiet and busy:
            ratios.append(quiet / busy)
    return min(10.0, max(0.01, median(ratios))) if ratios else 1.0


def matmul_flops_per_s(repeats: int = 5) -> float:
    """Operations a second of a float32 matrix product, two per multiply-add: the best of the repeats."""
    a = torch.randn(MATMUL_SIDE, MATMUL_SIDE)
    return 2 * MATMUL_SIDE**3 / _best(lambda: a @ a, repeats)


def copied_bytes_per_s(repeats: int = 5) -> float:
    """Bytes a second that cross the memory bus in a large copy: the best of the repeats."""
    source = torch.zeros(COPY_BYTES, dtype=torch.uint8)
    target = torch.zeros_like(source)
    return 2 * COPY_BYTES / _best(lambda: target.copy_(source), repeats)


def _best(work: Callable[[], object], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _hardware(source: str) -> Device:
    memory = Figure(footprint.physical_bytes(), "measured", f"{source}: physical memory")
    return Device(
        name=f"this machine ({platform.machine()}, {os.cpu_count()} cores)",
        chip=_processor_name(),
        system=f"{platform.system()} {platform.release()}",
        hardware=Hardware(
            ram_bytes=memory,
            dram_bytes_per_s=Figure(
                float(f"{copied_bytes_per_s():.4g}"), "measured", f"{source}: copy of {COPY_BYTES >> 20} MiB"
            ),
        ),
        memory_limits=(
            MemoryLimit(limit_bytes=memory),
            MemoryLimit(limit_bytes=memory, entitlement=True),
        ),
    )


def _conditions(store: Store, repeats: int) -> dict[str, str]:
    return {
        "os": f"{platform.system()} {platform.release()}",
        "processor": f"{_processor_name()}, {os.cpu_count()} cores",
        "threads": str(torch.get_num_threads()),
        "torch": str(torch.__version__),
        "file system": _file_system(store.directory),
        "loads": "direct" if FileReader(store).direct else "buffered, pages dropped after each",
        "repeats": f"{repeats} each after one warm-up; medians, spread from the median absolute deviation",
        "model": store.manifest.model,
    }


def _processor_name() -> str:
    try:
        with open("/proc/cpuinfo") as stream:
            for line in stream:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _file_system(directory: Path) -> str:
    """Type of the file system a folder lies on, as the system names it; 'unknown' where it does not say."""
    best = ("", "unknown")
    try:
        with open("/proc/mounts") as stream:
            for line in stream:
                _, mount, kind, *_ = line.split()
                if str(directory.resolve()).startswith(mount) and len(mount) > len(best[0]):
                    best = (mount, kind)
    except OSError:
        pass
    return best[1]
