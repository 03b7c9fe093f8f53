"""What loading and running a block costs on a device: seconds and bytes, each resting on marked figures.

The model is linear in its coefficients (seconds per byte, per operation, per call), so that a thousand samples of the
coefficients price every block with one matrix product:

    load, every time  = load_fixed + stored_bytes / read + resident_bytes / prepare
    load, first time  = the above + specialise_fixed + resident_bytes / specialise
    run               = dispatch + sum over operator classes of operations / throughput + token merges * merge
    first run         = the above + first_run (shader compilation)

A run is never faster than the weights and activations can cross the memory bus once. Where a block was measured on the
device, its measured figures stand instead of the model's.

Known errors: a class has one throughput, whatever the shapes; activations are priced at the precision of the weights,
float32 for int8 weights; nothing is said of how Core ML might split one block over two compute units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from profiles.figures import Figure, Mark
from profiles.models import STORED_BYTES, Precision, Unit, Variant, Work

ComputeUnits = Literal["cpu_only", "cpu_and_gpu", "cpu_and_ne"]
Processor = Literal["cpu", "gpu", "ane"]
PROCESSORS: dict[ComputeUnits, Processor] = {"cpu_only": "cpu", "cpu_and_gpu": "gpu", "cpu_and_ne": "ane"}
Array = npt.NDArray[np.float64]

Rate = Annotated[Figure, "per second"]


class ProcessorCosts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Effective throughput of one processor by operator class, and how it and the loader slow each other down.

    load_rate and run_rate are the speeds, relative to being alone, while a load and a run go on at the same time.
    """

    matmul_flops_per_s: Figure
    attention_flops_per_s: Figure
    convolution_flops_per_s: Figure
    moved_bytes_per_s: Figure
    dispatch_s: Figure
    first_run_s: Figure
    token_merge_s: Figure
    load_rate: Figure
    run_rate: Figure


class LoadCosts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Loading and unloading, see the module's first lines.

    int8_held_bytes   bytes an int8 weight occupies once loaded (a GPU holds it dequantised)
    transient_share   bytes charged only while a load is under way, relative to the resident bytes
    unload_s          seconds to release a block
    residual_share    share of a block's resident bytes that stays charged after its first unload
    """

    load_fixed_s: Figure
    read_bytes_per_s: Figure
    prepare_bytes_per_s: Figure
    specialise_fixed_s: Figure
    specialise_bytes_per_s: Figure
    int8_held_bytes: Figure
    transient_share: Figure
    unload_s: Figure
    residual_share: Figure


class ThermalCosts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Throughput under lasting load falls to `floor` of the cold one, with a time constant.

    `contained` says that the other figures come from runs of minutes and contain the derating already; applying it
    again would count it twice.
    """

    floor: Figure
    time_constant_s: Figure
    contained: bool


class Costs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The cost parameters of one device."""

    baseline_bytes: Figure
    loads: LoadCosts
    processors: dict[Processor, ProcessorCosts]
    thermal: ThermalCosts


class Measurement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was measured of one block, named by its first and last unit. Whatever is missing, the model fills in."""

    model: str
    component: str
    first_unit: str
    last_unit: str
    variant: Variant = "plain"
    precision: Precision = "float32"
    compute_units: ComputeUnits = "cpu_and_gpu"
    load_warm_s: Figure | None = None
    load_cold_s: Figure | None = None
    run_s: Figure | None = None
    first_run_s: Figure | None = None
    unload_s: Figure | None = None
    resident_bytes: Figure | None = None
    working_bytes: Figure | None = None


@dataclass(frozen=True)
class BlockSpec:
    """A block to be priced: contiguous units of a component in one variant, precision and choice of compute units."""

    model: str
    component: str
    index: int
    name: str
    units: tuple[Unit, ...]
    variant: Variant
    precision: Precision
    compute_units: ComputeUnits

    @property
    def processor(self) -> Processor:
        return PROCESSORS[self.compute_units]

    @property
    def stored_bytes(self) -> int:
        return sum(unit.parameters for unit in self.units) * STORED_BYTES[self.precision]


@dataclass(frozen=True)
class BlockCosts:
    """The price list of a schedule's blocks: seconds as arrays [block, sample], bytes as lists [block]."""

    load_warm_s: Array
    load_cold_s: Array
    run_s: Array
    first_run_s: Array
    unload_s: Array
    resident_bytes: tuple[int, ...]
    working_bytes: tuple[int, ...]
    stored_bytes: tuple[int, ...]
    load_marks: tuple[Mark, ...]
    run_marks: tuple[Mark, ...]


def coefficient_names(costs: Costs) -> list[str]:
    """Dotted names of every parameter of `costs`: 'loads.load_fixed_s', 'processors.gpu.run_rate'."""
    return list(figures(costs))


def figures(costs: Costs) -> dict[str, Figure]:
    """Every figure of `costs` by dotted name."""
    found: dict[str, Figure] = {"baseline_bytes": costs.baseline_bytes}
    groups: list[tuple[str, msgspec.Struct]] = [("loads", costs.loads), ("thermal", costs.thermal)]
    groups += [(f"processors.{name}", processor) for name, processor in costs.processors.items()]
    for prefix, group in groups:
        for field in group.__struct_fields__:
            value = getattr(group, field)
            if isinstance(value, Figure):
                found[f"{prefix}.{field}"] = value
    return found


def replace_figures(costs: Costs, changes: dict[str, Figure]) -> Costs:
    """`costs` with the figures named in `changes` (dotted names) replaced."""
    grouped: dict[str, dict[str, Figure]] = {}
    for name, figure in changes.items():
        group, _, field = name.rpartition(".")
        grouped.setdefault(group, {})[field] = figure
    replace = msgspec.structs.replace
    processors = {
        name: replace(processor, **grouped.pop(f"processors.{name}", {})) for name, processor in costs.processors.items()
    }
    loads = replace(costs.loads, **grouped.pop("loads", {}))
    thermal = replace(costs.thermal, **grouped.pop("thermal", {}))
    top = grouped.pop("", {})
    assert not grouped, f"no such figures: {grouped}"
    return replace(costs, loads=loads, thermal=thermal, processors=processors, **top)


Sample = dict[str, Array]


def nominal(costs: Costs) -> Sample:
    """The parameters' values as one sample: dotted name -> [1]."""
    return {name: np.array([figure.value]) for name, figure in figures(costs).items()}


def price(
    blocks: Sequence[BlockSpec],
    costs: Costs,
    sample: Sample | None = None,
    measurements: Sequence[Measurement] = (),
    dram_bytes_per_s: float | None = None,
) -> BlockCosts:
    """Seconds and bytes of every block, for one or many samples of the parameters (see `nominal`)."""
    sample = sample if sample is not None else nominal(costs)
    marks = {name: figure.mark for name, figure in figures(costs).items()}
    measured = {_measured_key(m): m for m in measurements}
    loads = costs.loads
    size = next(iter(sample.values())).shape[0]
    load_terms = _load_terms(blocks, loads)
    resident = [int(terms[2]) for terms in load_terms]
    matrix = np.array(load_terms, dtype=np.float64)
    warm = matrix @ np.stack([
        sample["loads.load_fixed_s"],
        1.0 / sample["loads.read_bytes_per_s"],
        1.0 / sample["loads.prepare_bytes_per_s"],
    ])
    cold = warm + matrix[:, [0, 2]] @ np.stack([
        sample["loads.specialise_fixed_s"],
        1.0 / sample["loads.specialise_bytes_per_s"],
    ])
    run = np.empty((len(blocks), size))
    first_run = np.empty((len(blocks), size))
    for processor in {block.processor for block in blocks}:
        rows = [row for row, block in enumerate(blocks) if block.processor == processor]
        terms = np.array([_run_terms(blocks[row]) for row in rows], dtype=np.float64)
        prefix = f"processors.{processor}."
        seconds = terms @ np.stack([
            sample[f"{prefix}dispatch_s"],
            1.0 / sample[f"{prefix}matmul_flops_per_s"],
            1.0 / sample[f"{prefix}attention_flops_per_s"],
            1.0 / sample[f"{prefix}convolution_flops_per_s"],
            1.0 / sample[f"{prefix}moved_bytes_per_s"],
            sample[f"{prefix}token_merge_s"],
        ])
        if dram_bytes_per_s:
            crossing = np.array([resident[row] + terms[i, 4] for i, row in enumerate(rows)]) / dram_bytes_per_s
            seconds = np.maximum(seconds, crossing[:, None])
        run[rows] = seconds
        first_run[rows] = seconds + sample[f"{prefix}first_run_s"]
    unload = np.broadcast_to(sample["loads.unload_s"], (len(blocks), size)).copy()
    working = [_working_bytes(block) for block in blocks]
    load_marks = [_weakest(marks[f"loads.{name}"] for name in ("read_bytes_per_s", "prepare_bytes_per_s"))] * len(blocks)
    run_marks = [_weakest_throughput(block, marks) for block in blocks]
    for row, block in enumerate(blocks):
        found = measured.get(_block_key(block))
        if found is None:
            continue
        extra_first = first_run[row] - run[row]
        for array, figure in (
            (warm, found.load_warm_s), (cold, found.load_cold_s), (run, found.run_s), (unload, found.unload_s),
        ):  # fmt: skip
            if figure is not None:
                array[row] = figure.value
        first_run[row] = found.first_run_s.value if found.first_run_s is not None else run[row] + extra_first
        cold[row] = np.maximum(cold[row], warm[row])
        if found.resident_bytes is not None:
            resident[row] = round(found.resident_bytes.value)
        if found.working_bytes is not None:
            working[row] = round(found.working_bytes.value)
        if found.load_warm_s is not None:
            load_marks[row] = found.load_warm_s.mark
        if found.run_s is not None:
            run_marks[row] = found.run_s.mark
    return BlockCosts(
        load_warm_s=warm,
        load_cold_s=cold,
        run_s=run,
        first_run_s=first_run,
        unload_s=unload,
        resident_bytes=tuple(resident),
        working_bytes=tuple(working),
        stored_bytes=tuple(block.stored_bytes for block in blocks),
        load_marks=tuple(load_marks),
        run_marks=tuple(run_marks),
    )


def _load_terms(blocks: Sequence[BlockSpec], loads: LoadCosts) -> list[tuple[float, float, float]]:
    held = {"float32": 4.0, "float16": 2.0, "int8": loads.int8_held_bytes.value}
    terms = []
    for block in blocks:
        parameters = sum(unit.parameters for unit in block.units)
        terms.append((1.0, float(block.stored_bytes), parameters * held[block.precision]))
    return terms


def activation_bytes(precision: Precision) -> int:
    """Bytes of one activation element beside weights of this precision; int8 is for weights only."""
    return 2 if precision == "float16" else 4


def _run_terms(block: BlockSpec) -> tuple[float, ...]:
    works = [unit.work(block.variant) for unit in block.units]
    return (
        1.0,
        sum(work.matmul_flops for work in works),
        sum(work.attention_flops for work in works),
        sum(work.convolution_flops for work in works),
        sum(work.moved_elements for work in works) * activation_bytes(block.precision),
        float(sum(work.token_merges for work in works)),
    )


def _working_bytes(block: BlockSpec) -> int:
    works: list[Work] = [unit.work(block.variant) for unit in block.units]
    return round(max(work.working_elements for work in works) * activation_bytes(block.precision))


def _weakest_throughput(block: BlockSpec, marks: dict[str, Mark]) -> Mark:
    """The mark of the figure that most of a block's operations rest on."""
    terms = _run_terms(block)
    classes = ("matmul_flops_per_s", "attention_flops_per_s", "convolution_flops_per_s")
    largest = max(range(3), key=lambda i: terms[1 + i])
    return marks[f"processors.{block.processor}.{classes[largest]}"]


def _weakest(found: Sequence[Mark] | object) -> Mark:
    order: tuple[Mark, ...] = ("estimated", "fitted", "published", "measured")
    marks = list(found)  # type: ignore[call-overload]
    return next(mark for mark in order if mark in marks)


def _measured_key(m: Measurement) -> tuple[str, ...]:
    return (m.model, m.component, m.first_unit, m.last_unit, m.variant, m.precision, m.compute_units)


def _block_key(block: BlockSpec) -> tuple[str, ...]:
    first, last = block.units[0].name, block.units[-1].name
    return (block.model, block.component, first, last, block.variant, block.precision, block.compute_units)
