"""Measure what blocks cost on this machine, and write it as a profile that `simulate --device FILE` takes.

Nothing is timed but the executor itself, in processes of their own, on the store's blocks as they are cut: `alone`
loads each block when it is needed, so that no load and run go on together; `beside` loads one ahead; `probe` takes the
memory that runs need instead of their time. Where token merging changes a block, every second step merges.

    load_warm_s, load_cold_s   later loads of a block alone, and the first; the page cache has none of it
    run_s, first_run_s         later runs of a variant alone, and the first
    working_bytes              most growth of the process's resident memory over any later run
    load_rate, run_rate        speed while the other goes on, from how much longer overlapping ones took
    load_fixed_s, dispatch_s   what is spent once a load and once a run: a block of several parts spends it once
    baseline_bytes             what a run adds to the process beside buffers and working memory

A figure of seconds is the mean of its samples without outliers (runtime/capture/durations.py), which are kept.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from statistics import median

import torch

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.folders import locked, scratch_in
from ondevice_sora.base.files.writing import write_yaml
from ondevice_sora.base.interrupts import noted
from ondevice_sora.plans.schedule import Schedule
from ondevice_sora.plans.schema import BlockEntry, ComponentPlan, Plan, Sampler, Tdtm, plan_data
from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.profiles.costs import Costs, LoadCosts, ProcessorCosts, ThermalCosts
from ondevice_sora.profiles.devices import Device, Hardware, MemoryLimit
from ondevice_sora.profiles.figures import Figure, spread_of
from ondevice_sora.profiles.measurements import Measurement
from ondevice_sora.profiles.models.catalogue import listed_model
from ondevice_sora.profiles.models.model import Model
from ondevice_sora.profiles.profile import Profile
from ondevice_sora.runtime.capture.durations import Activity, activities, line, typical
from ondevice_sora.runtime.capture.measured_run import Trial, in_process
from ondevice_sora.runtime.executor import footprint
from ondevice_sora.runtime.executor.reading import FileReader
from ondevice_sora.runtime.executor.scheduling import schedule_run, stored_pricer
from ondevice_sora.runtime.executor.store import MODEL, Store
from ondevice_sora.runtime.host import this_host

MATMUL_SIDE = 1024
COPY_BYTES = 1 << 28
STEPS = 6
MERGED_STEPS = (1, 3, 5)
DEVICE = "host"
ALONE, BESIDE, PROBE = "alone", "beside", "probe"
REPEAT = "Remove the trials; they are then repeated."

Trials = Mapping[str, Sequence[Trial]]
"""The trials of each of the capture's runs."""


def capture(
    store: Store, *, rounds: int = 3, threads: int | None = None, on_trial: Callable[[str], None] | None = None
) -> Profile:
    """The profile of this machine for the blocks of a store. Raises UserError if a run of it fails, and Interrupted."""
    threads = threads or torch.get_num_threads()
    trials: dict[str, list[Trial]] = {name: [] for name in (ALONE, BESIDE, PROBE)}
    with noted(), locked(store.directory, shared=True), scratch_in(Path(tempfile.gettempdir()), "capture") as folder:
        for number in range(rounds):
            for name in trials:
                if on_trial is not None:
                    on_trial(f"round {number + 1} of {rounds}: {name}")
                trials[name].append(capture_trial(store, name, folder, threads))
    return profile_of_trials(store, trials, threads)


def capture_trial(store: Store, name: str, folder: Path, threads: int) -> Trial:
    """One of the capture's runs, in a process of its own; files go to `folder`."""
    plan = folder / f"{name}.yaml"
    write_yaml(plan, plan_data(capture_plan(store, name)))
    mode = PROBE if name == PROBE else ""
    return in_process(store.directory, plan, folder / f"{name}.json", threads=threads, mode=mode)


def capture_plan(store: Store, name: str) -> Plan:
    """The plan of one of the capture's runs: the store's own blocks, nothing kept."""
    blocks: dict[str, list[BlockEntry]] = defaultdict(list)
    for block in store.manifest.blocks:
        blocks[block.component].append(BlockEntry(block.name))
    prefetch = 1 if name == BESIDE else 0
    return Plan(
        name=name,
        model=str((store.directory / MODEL).resolve()),
        sampler=Sampler(steps=STEPS),
        tdtm=Tdtm(MERGED_STEPS if _model(store).merges_tokens else "none"),
        components={
            component: ComponentPlan(blocks=tuple(entries), compute_units="cpu_only", prefetch=prefetch)
            for component, entries in blocks.items()
        },
    )


def profile_of_trials(store: Store, trials: Trials, threads: int) -> Profile:
    """What the trials of a capture say of this machine."""
    found = samples_of(store, trials)
    source = f"profile capture, {date.today().isoformat()}"
    costs = _costs(found, source)
    return Profile(
        device=DEVICE,
        costs=costs,
        hardware=_hardware(source, costs.processors["cpu"].moved_bytes_per_s.value),
        conditions=_conditions(store, trials, threads),
        measurements=tuple(_measurement(block, found, source) for block in found.blocks),
    )


@dataclass
class Samples:
    """Seconds and bytes by what was measured. Loads are a package's, whatever the variant: it is the same file."""

    blocks: tuple[BlockSpec, ...] = ()
    loads: dict[tuple[str, str], dict[str, list[float]]] = field(default_factory=lambda: defaultdict(_lists))
    runs: dict[tuple[str, str, str], dict[str, list[float]]] = field(default_factory=lambda: defaultdict(_lists))
    unload_s: list[float] = field(default_factory=list)
    dispatch_s: list[float] = field(default_factory=list)
    baseline_bytes: list[float] = field(default_factory=list)
    load_rate: float = 1.0
    run_rate: float = 1.0

    def of_load(self, block: BlockSpec) -> dict[str, list[float]]:
        return self.loads[(block.component, block.name)]

    def of_run(self, block: BlockSpec) -> dict[str, list[float]]:
        return self.runs[(block.component, block.name, block.variant)]


def _lists() -> dict[str, list[float]]:
    return defaultdict(list)


def samples_of(store: Store, trials: Trials) -> Samples:
    """Every sample of a capture's trials, by block."""
    found = Samples()
    for trial in trials[PROBE]:
        for component, name, variant, held in trial.working_bytes:
            found.runs[(component, name, variant)]["working_bytes"].append(float(held))
    overlapping: list[tuple[BlockSpec, Activity]] = []
    for run in (ALONE, BESIDE):
        schedule = _schedule(store, capture_plan(store, run), found)
        starts = {walked.first for walked in schedule.passes}
        found.blocks = schedule.blocks
        for trial in trials[run]:
            assert trial.trace is not None
            try:
                played = activities(schedule, trial.trace)
            except ValueError as error:
                raise UserError(
                    f"a trial '{run}' is not of this store: {error}", str(store.directory), REPEAT
                ) from None
            if trial.added_bytes is not None:
                found.baseline_bytes.append(float(max(0, trial.added_bytes - schedule.needed_bytes)))
            spans = iter(sorted((s for s in trial.trace.spans if s.action == "run"), key=lambda span: span.end_s))
            for activity in played:
                visit = schedule.visits[activity.visit]
                block = schedule.blocks[visit.block]
                if activity.action == "evict":
                    found.unload_s.append(activity.seconds)
                    continue
                is_first = visit.cold if activity.action == "load" else visit.first_run
                if activity.action == "run":
                    gap = activity.seconds - next(spans).seconds
                    if activity.is_alone and activity.visit not in starts:
                        found.dispatch_s.append(max(0.0, gap))
                if not activity.is_alone:
                    if not is_first:
                        overlapping.append((block, activity))
                elif activity.action == "load":
                    found.of_load(block)["load_cold_s" if is_first else "load_warm_s"].append(activity.seconds)
                else:
                    found.of_run(block)["first_run_s" if is_first else "run_s"].append(activity.seconds)
    for kind, taken in (("load", found.loads), ("run", found.runs)):
        for named in taken.values():
            for name, seconds in named.items():
                if name.endswith("_s") and typical(seconds) <= 0:
                    what = f"no time passed in a block's {kind}s, by the trials of its capture"
                    raise UserError(what, str(store.directory), REPEAT)
    found.load_rate = _rate(found, overlapping, "load")
    found.run_rate = _rate(found, overlapping, "run")
    for block, activity in overlapping:
        # What is no slower beside the other is the same as alone, only seen more often.
        if activity.action == "load" and found.load_rate == 1.0:
            found.of_load(block)["load_warm_s"].append(activity.seconds)
        if activity.action == "run" and found.run_rate == 1.0:
            found.of_run(block)["run_s"].append(activity.seconds)
    return found


def _rate(found: Samples, overlapping: Sequence[tuple[BlockSpec, Activity]], action: str) -> float:
    """Speed while the other activity goes on, relative to alone: the work not done beside it over the time beside it.

    An activity of `seconds`, `overlap_s` of them beside the other, does seconds - overlap_s + rate * overlap_s of what
    it does alone in its own time.
    """
    done = beside = 0.0
    for block, activity in overlapping:
        if activity.action != action:
            continue
        alone = found.of_load(block)["load_warm_s"] if action == "load" else found.of_run(block)["run_s"]
        if alone:
            done += typical(alone) - (activity.seconds - activity.overlap_s)
            beside += activity.overlap_s
    return min(1.0, max(0.1, done / beside)) if beside > 0 else 1.0


def _schedule(store: Store, plan: Plan, found: Samples) -> Schedule:
    """The schedule of a capture's run, with the working memory that its probes measured."""
    units = {(block.component, block.name): (block.first_unit, block.last_unit) for block in store.manifest.blocks}
    for component, block, _ in found.runs:
        if (component, block) not in units:
            what = f"a probe is of block '{block}' of {component}, which the store does not have"
            raise UserError(what, str(store.directory), REPEAT)
    working = {
        (component, *units[(component, block)], variant): round(typical(samples["working_bytes"]))
        for (component, block, variant), samples in found.runs.items()
        if samples["working_bytes"]
    }

    def working_of(spec: BlockSpec) -> int:
        return working.get((spec.component, spec.units[0].name, spec.units[-1].name, spec.variant), 0)

    return schedule_run(plan, _model(store), price=stored_pricer(working_of=working_of))[0]


def _model(store: Store) -> Model:
    return listed_model(MODEL, store.directory)[0]


def _measurement(block: BlockSpec, found: Samples, source: str) -> Measurement:
    loads, runs = found.of_load(block), found.of_run(block)

    def figure(samples: Mapping[str, list[float]], name: str) -> Figure | None:
        values = samples.get(name)
        if not values:
            return None
        noun = "sample" if len(values) == 1 else "samples, mean without outliers"
        deviation = min(3.0, round(spread_of(values), 4))
        return Figure(float(f"{typical(values):.6g}"), "measured", f"{source}: {len(values)} {noun}", deviation)

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


def _costs(found: Samples, source: str) -> Costs:
    """Costs for blocks of which not all parts were measured, and what holds for all.

    What a run costs cannot be said for blocks without operation counts; that is what `measurements` are for.
    """

    def measured(value: float, note: str, samples: Sequence[float] = ()) -> Figure:
        deviation = min(3.0, round(spread_of(samples), 4)) if len(samples) > 1 else 0.0
        return Figure(float(f"{value:.6g}"), "measured", f"{source}: {note}", deviation)

    def assumed(value: float, why: str) -> Figure:
        return Figure(value, "estimated", why)

    packages = {(block.component, block.name): block.stored_bytes for block in found.blocks}
    warm = {key: typical(values) for key in packages if (values := found.loads[key]["load_warm_s"])}
    fixed_s, slope = line((packages[key], seconds) for key, seconds in warm.items())
    cold = [typical(found.loads[key]["load_cold_s"]) - seconds for key, seconds in warm.items()]
    runs = [(found.of_run(block)["first_run_s"], found.of_run(block)["run_s"]) for block in found.blocks]
    first = [typical(once) - typical(later) for once, later in runs if once and later]
    residuals = [abs(fixed_s + slope * packages[key] - seconds) / seconds for key, seconds in warm.items()]
    flops, moved = matmul_flops_per_s(), copied_bytes_per_s()
    rate = measured(flops, f"float32 matrix product of side {MATMUL_SIDE}")
    same = assumed(rate.value, "taken to be that of a matrix product")
    processor = ProcessorCosts(
        matmul_flops_per_s=rate,
        attention_flops_per_s=same,
        convolution_flops_per_s=same,
        moved_bytes_per_s=measured(moved, f"copy of {COPY_BYTES >> 20} MiB, read and written"),
        dispatch_s=measured(median(found.dispatch_s or [0.0]), "between a visit and the next", found.dispatch_s),
        first_run_s=measured(max(0.0, median(first)), "first runs less later ones, median of all blocks"),
        token_merge_s=assumed(0.0, "contained in the measured runs"),
        load_rate=measured(found.load_rate, "loads beside runs to loads alone"),
        run_rate=measured(found.run_rate, "runs beside loads to runs alone"),
        charged_share=assumed(1.0, "all memory of a process counts"),
    )
    note = f"line through the loads of {len(warm)} blocks; median residual {median(residuals):.1%}"
    loads = LoadCosts(
        load_fixed_s=measured(fixed_s, note),
        read_bytes_per_s=measured(min(1e18, 1.0 / slope if slope > 0 else 1e18), note),
        prepare_bytes_per_s=assumed(1e18, "weights are used where they were read"),
        specialise_fixed_s=measured(max(0.0, median(cold)), "first loads less later ones, median of all blocks"),
        specialise_bytes_per_s=assumed(1e18, "contained in the fixed part"),
        compressed_held_bytes=assumed(4.0, "no compressed weights here"),
        transient_share=assumed(0.0, "reads go straight to where the weights stay"),
        unload_s=measured(typical(found.unload_s or [0.0]), "evictions", found.unload_s),
        residual_share=assumed(0.0, "buffers are counted while the schedule can need them"),
    )
    thermal = ThermalCosts(
        floor=assumed(1.0, "no derating was looked for"), time_constant_s=assumed(300.0, "assumed"), contained=True
    )
    baseline = found.baseline_bytes or [0.0]
    return Costs(
        baseline_bytes=measured(
            round(median(baseline)), "what runs add to the process beside weights and working memory", baseline
        ),
        loads=loads,
        processors={"cpu": processor},
        thermal=thermal,
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
        name=f"this machine ({host.architecture}, {host.cores} cores)",
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


def _conditions(store: Store, trials: Trials, threads: int) -> dict[str, str]:
    host = this_host()
    return {
        "os": host.os,
        "processor": f"{host.processor}, {host.cores} cores",
        "threads": str(threads),
        "torch": host.torch,
        "file system": _file_system(store.directory),
        "loads": "direct" if FileReader(store).direct else "buffered, pages dropped after each",
        "repeats": f"{len(trials[ALONE])} processes each of {STEPS} steps; spread from the median absolute deviation",
        "model": store.manifest.model,
    }


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
