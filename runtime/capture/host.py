"""Measure what blocks cost on this machine, and write it as a profile that `simulate --device FILE` takes.

Nothing is timed but the executor itself, in processes of their own, on the store's blocks as they are cut, under the
plans of plans.py beside this. What is the first after a load and what is the first load is as everywhere; nothing is
specialised here, so a first load is a block's first in a process.

    load_warm_s, load_cold_s   later loads of a block alone, and the first; the page cache has none of it
    run_s, first_run_s         later runs of a variant alone, and the first after each load
    working_bytes              most growth of the process's resident memory over any later run
    load_rate, run_rate        speed while the other goes on, from how much longer overlapping ones took
    load_fixed_s, dispatch_s   what is spent once a load and once a run: a block of several parts spends it once
    baseline_bytes             what a run adds to the process beside buffers and working memory
    noise                      how far whole runs lie from what these figures add up to

A figure of seconds is the mean of its samples without outliers (runtime/capture/durations.py), which are kept.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median

import torch

from ondevice_sora.base.files.folders import locked, scratch_in
from ondevice_sora.base.files.writing import write_yaml
from ondevice_sora.base.interrupts import noted
from ondevice_sora.plans.schema import plan_data
from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.profiles.costs import Costs, LoadCosts, ProcessorCosts, ThermalCosts
from ondevice_sora.profiles.devices import Device, Hardware, MemoryLimit
from ondevice_sora.profiles.figures import Figure, error_of, repeated, spread_of
from ondevice_sora.profiles.measurements import LEAST_RATE, Measurement
from ondevice_sora.profiles.profile import Profile, RunNoise
from ondevice_sora.runtime.capture.conditions import conditions_of
from ondevice_sora.runtime.capture.durations import line, typical
from ondevice_sora.runtime.capture.measured_run import Trial, in_process
from ondevice_sora.runtime.capture.plans import ALONE, BESIDE, KEPT, PROBE, capture_plan
from ondevice_sora.runtime.capture.samples import Samples, Trials, samples_of
from ondevice_sora.runtime.executor import footprint
from ondevice_sora.runtime.executor.store import Store
from ondevice_sora.runtime.host import this_host

MATMUL_SIDE = 1024
COPY_BYTES = 1 << 28
DEVICE = "host"
KINDS = (ALONE, BESIDE, KEPT, PROBE)
TOLD = {
    ALONE: "loads and runs in turn",
    BESIDE: "loads beside runs",
    KEPT: "blocks that stay loaded",
    PROBE: "working memory",
}
"""What a run of each kind measures, for people."""
KINDS_TIMED = len(KINDS) - 1


def capture(
    store: Store, *, rounds: int = 3, threads: int | None = None, on_trial: Callable[[str], None] | None = None
) -> Profile:
    """The profile of this machine for the blocks of a store.

    Where loads and runs seem to slow each other as nothing does, other programs ran: as many rounds again are made.
    What that does not help is assumed, and said. Raises UserError if a run of it fails, and Interrupted.
    """
    threads = threads or torch.get_num_threads()
    trials: dict[str, list[Trial]] = {name: [] for name in KINDS}
    with noted(), locked(store.directory, shared=True), scratch_in(Path(tempfile.gettempdir()), "capture") as folder:
        for attempt in ("", ", again, for the machine was busy"):
            for number in range(rounds):
                for name in trials:
                    if on_trial is not None:
                        on_trial(f"round {number + 1} of {rounds}: {TOLD[name]}{attempt}")
                    trials[name].append(capture_trial(store, name, folder, threads))
            found = samples_of(store, trials)
            if not found.impossible_rates():
                break
    return profile_of_samples(store, found, trials, threads)


def capture_trial(store: Store, name: str, folder: Path, threads: int) -> Trial:
    """One of the capture's runs, in a process of its own; files go to `folder`."""
    plan = folder / f"{name}.yaml"
    write_yaml(plan, plan_data(capture_plan(store, name)))
    mode = PROBE if name == PROBE else ""
    return in_process(store.directory, plan, folder / f"{name}.json", threads=threads, mode=mode)


def profile_of_trials(store: Store, trials: Trials, threads: int) -> Profile:
    """What the trials of a capture say of this machine. What they say impossible things of is assumed."""
    return profile_of_samples(store, samples_of(store, trials), trials, threads)


def profile_of_samples(store: Store, found: Samples, trials: Trials, threads: int) -> Profile:
    """The same of trials whose samples are known."""
    source = f"profile capture, {date.today().isoformat()}"
    costs = _costs(found, source)
    return Profile(
        device=DEVICE,
        costs=costs,
        hardware=_hardware(source, costs.processors["cpu"].moved_bytes_per_s.value),
        conditions=conditions_of(store, found, trials, threads),
        measurements=tuple(_measurement(block, found, source) for block in found.blocks),
        noise=_noise(found, len(trials[ALONE]), source),
    )


def _noise(found: Samples, rounds: int, source: str) -> RunNoise | None:
    """How far a further run may lie from what its blocks' figures add up to; one round says nothing of that.

    Those figures come from as many runs of each kind as there were rounds, and err by what these have in common.
    """
    free = len(found.whole) - KINDS_TIMED
    if free < 1:
        return None
    deviation = math.sqrt(sum(value**2 for value in found.whole) / free)
    spread = deviation * math.sqrt(1 + 1 / rounds)
    note = f"{source}: {len(found.whole)} whole runs beside what their loads and runs usually come to"
    return RunNoise(min(3.0, float(f"{spread:.4g}")), free + 1, note)


def _measurement(block: BlockSpec, found: Samples, source: str) -> Measurement:
    loads, runs = found.of_load(block), found.of_run(block)

    def figure(samples: Mapping[str, list[float]], name: str) -> Figure | None:
        values = samples.get(name)
        if not values:
            return None
        noun = "sample" if len(values) == 1 else "samples, mean without outliers"
        deviation = spread_of(values) if name.endswith("_bytes") else error_of(values)
        note = f"{source}: {len(values)} {noun}"
        return Figure(float(f"{typical(values):.6g}"), "measured", note, min(3.0, round(deviation, 4)))

    return Measurement(
        model=block.model,
        component=block.component,
        first_unit=block.units[0].name,
        last_unit=block.units[-1].name,
        variant=block.variant,
        compute_units="cpu_only",
        load_warm_s=figure(loads, "load_warm_s"),
        load_cold_s=figure(loads, "load_cold_s"),
        run_s=figure(runs, "run_s"),
        first_run_s=figure(runs, "first_run_s"),
        resident_bytes=Figure(block.stored_bytes, "measured", f"{source}: size of the block's file"),
        working_bytes=figure(runs, "working_bytes"),
        samples={
            name: tuple(round(value, 7) for value in values)
            for name, values in (*(loads.items() if block.variant == "plain" else ()), *runs.items())
            if values
        },
    )


@dataclass(frozen=True)
class _Noted:
    """Measured figures of one capture, with where they are from."""

    source: str

    def figure(self, value: float, note: str, samples: Sequence[float] = ()) -> Figure:
        deviation = min(3.0, round(spread_of(samples), 4)) if len(samples) > 1 else 0.0
        return Figure(float(f"{value:.6g}"), "measured", f"{self.source}: {note}", deviation)

    def rate(self, rates: Sequence[float], note: str) -> Figure:
        """How loads and runs slow each other; assumed where nothing was seen, or what nothing can have."""
        if not rates:
            return _assumed(1.0, "no load and run went on together")
        rate = median(rates)
        if rate < LEAST_RATE:
            return Figure(0.5, "estimated", f"assumed: {note} came out at {rate:.2f}, for the machine was busy", 0.5)
        figure = repeated([min(1.0, value) for value in rates], f"{self.source}: {note}")
        assert figure is not None
        return figure


def _assumed(value: float, why: str) -> Figure:
    return Figure(value, "estimated", why)


def _costs(found: Samples, source: str) -> Costs:
    """Costs for blocks of which not all parts were measured, and what holds for all.

    What a run costs cannot be said for blocks without operation counts; that is what `measurements` are for.
    """
    noted, baseline = _Noted(source), found.baseline_bytes or [0.0]
    note = "what runs add to the process beside weights and working memory"
    return Costs(
        baseline_bytes=noted.figure(round(median(baseline)), note, baseline),
        loads=_load_costs(found, noted),
        processors={"cpu": _processor_costs(found, noted)},
        thermal=ThermalCosts(
            floor=_assumed(1.0, "no derating was looked for"),
            time_constant_s=_assumed(300.0, "assumed"),
            contained=True,
        ),
    )


def _processor_costs(found: Samples, noted: _Noted) -> ProcessorCosts:
    runs = [(found.of_run(block)["first_run_s"], found.of_run(block)["run_s"]) for block in found.blocks]
    first = [typical(once) - typical(later) for once, later in runs if once and later]
    rate = noted.figure(matmul_flops_per_s(), f"float32 matrix product of side {MATMUL_SIDE}")
    same = _assumed(rate.value, "taken to be that of a matrix product")
    return ProcessorCosts(
        matmul_flops_per_s=rate,
        attention_flops_per_s=same,
        convolution_flops_per_s=same,
        moved_bytes_per_s=noted.figure(copied_bytes_per_s(), f"copy of {COPY_BYTES >> 20} MiB, read and written"),
        dispatch_s=noted.figure(median(found.dispatch_s or [0.0]), "between a visit and the next", found.dispatch_s),
        first_run_s=noted.figure(max(0.0, median(first)), "first runs less later ones, median of all blocks"),
        token_merge_s=_assumed(0.0, "contained in the measured runs"),
        load_rate=noted.rate(found.load_rates, "loads beside runs to loads alone"),
        run_rate=noted.rate(found.run_rates, "runs beside loads to runs alone"),
        charged_share=_assumed(1.0, "all memory of a process counts"),
    )


def _load_costs(found: Samples, noted: _Noted) -> LoadCosts:
    sizes = {(block.component, block.name): block.stored_bytes for block in found.blocks}
    warm = {key: typical(values) for key in sizes if (values := found.loads[key]["load_warm_s"])}
    fixed_s, slope = line((sizes[key], seconds) for key, seconds in warm.items())
    cold = [typical(found.loads[key]["load_cold_s"]) - seconds for key, seconds in warm.items()]
    residuals = [abs(fixed_s + slope * sizes[key] - seconds) / seconds for key, seconds in warm.items()]
    note = f"line through the loads of {len(warm)} blocks; median residual {median(residuals):.1%}"
    return LoadCosts(
        load_fixed_s=noted.figure(fixed_s, note),
        read_bytes_per_s=noted.figure(min(1e18, 1.0 / slope if slope > 0 else 1e18), note),
        prepare_bytes_per_s=_assumed(1e18, "weights are used where they were read"),
        specialise_fixed_s=noted.figure(max(0.0, median(cold)), "first loads less later ones, median of all blocks"),
        specialise_bytes_per_s=_assumed(1e18, "contained in the fixed part"),
        compressed_held_bytes=_assumed(4.0, "no compressed weights here"),
        transient_share=_assumed(0.0, "reads go straight to where the weights stay"),
        unload_s=noted.figure(typical(found.unload_s or [0.0]), "evictions", found.unload_s),
        residual_share=_assumed(0.0, "buffers are counted while the schedule can need them"),
    )


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


def _hardware(source: str, copied_bytes_per_s: float) -> Device:
    memory, host = Figure(footprint.physical_bytes(), "measured", f"{source}: physical memory"), this_host()
    return Device(
        name=host.name,
        chip=host.processor,
        system=host.os,
        hardware=Hardware(
            ram_bytes=memory,
            dram_bytes_per_s=Figure(copied_bytes_per_s, "measured", f"{source}: copy of {COPY_BYTES >> 20} MiB"),
        ),
        memory_limits=(
            MemoryLimit(limit_bytes=memory),
            MemoryLimit(limit_bytes=memory, entitlement=True),
        ),
    )
