"""What loading and running a block costs on a device: seconds and bytes, each resting on marked figures.

The model is linear in its coefficients (seconds per byte, per operation, per call), so that a thousand samples of the
coefficients price every block with one matrix product:

    load, every time  = load_fixed + stored_bytes / read + resident_bytes / prepare
    load, first time  = the above + specialise_fixed + (stored_bytes + resident_bytes) / specialise
    run               = dispatch + sum over operator classes of operations / throughput + token merges * merge
    first run         = the above + first_run (shader compilation)

A first load is charged for the bytes it reads and the bytes it writes, since specialising turns the one into the other.
A run is never faster than the weights and activations can cross the memory bus once. Where a block was measured on the
device, or all parts of it were, the measured figures stand instead of the model's (profiles/pricing.py).

Known errors: a class has one throughput, whatever the shapes; activations are priced at the precision of the weights,
as float32 beside compressed weights; nothing is said of how Core ML might split one block over two compute units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from ondevice_sora.profiles.blocks import BlockSpec, Processor
from ondevice_sora.profiles.figures import Figure, Mark
from ondevice_sora.profiles.models.model import Precision, Work

Array = npt.NDArray[np.float64]

MarkShares = dict[Mark, float]


class ProcessorCosts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Effective throughput of one processor by operator class, and how it and the loader slow each other down.

    load_rate and run_rate are the speeds, relative to being alone, while a load and a run go on at the same time.
    charged_share is the share of a block's weights and working memory that the system charges to the app.
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
    charged_share: Figure


class LoadCosts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Loading and unloading, see the module's first lines.

    compressed_held_bytes   bytes that an int8 or int4 weight occupies once loaded (a GPU holds it dequantised)
    transient_share   bytes charged only while a load is under way, relative to the resident bytes
    unload_s          seconds to release a block
    residual_share    share of a block's resident bytes that stays charged after its first unload
    """

    load_fixed_s: Figure
    read_bytes_per_s: Figure
    prepare_bytes_per_s: Figure
    specialise_fixed_s: Figure
    specialise_bytes_per_s: Figure
    compressed_held_bytes: Figure
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


@dataclass(frozen=True)
class BlockCosts:
    """The price list of a schedule's blocks: seconds as arrays [block, sample], bytes as tuples [block].

    load_marks and run_marks give, for each block, the share of the (first sample's) seconds that rests on each mark.
    """

    load_warm_s: Array
    load_cold_s: Array
    run_s: Array
    first_run_s: Array
    unload_s: Array
    resident_bytes: tuple[int, ...]
    working_bytes: tuple[int, ...]
    stored_bytes: tuple[int, ...]
    load_marks: tuple[MarkShares, ...]
    run_marks: tuple[MarkShares, ...]

    @property
    def seconds(self) -> tuple[Array, Array, Array, Array, Array]:
        """Warm and cold loads, runs, first runs and unloading."""
        return self.load_warm_s, self.load_cold_s, self.run_s, self.first_run_s, self.unload_s


Pricer = Callable[[Sequence[BlockSpec]], BlockCosts]
"""What prices blocks on one device."""


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


RANGES = {
    "_per_s": (1.0, 1e18),
    "_rate": (0.01, 10.0),
    "floor": (0.01, 1.0),
    "time_constant_s": (0.1, 1e6),
    "charged_share": (0.0, 1.0),
    "_share": (0.0, 10.0),
    "held_bytes": (0.0, 16.0),
    "_bytes": (0.0, 1e13),
    "_s": (0.0, 1e6),
}
"""What is physical, by the end of a figure's name, the most telling first. A rate of zero would never end."""


def figure_range(name: str) -> tuple[float, float]:
    """The least and the largest value that a figure of this name may have."""
    return next((bounds for end, bounds in RANGES.items() if name.endswith(end)), (0.0, 1e18))


def replace_figures(costs: Costs, changes: dict[str, Figure]) -> Costs:
    """`costs` with the figures named in `changes` (dotted names) replaced."""
    grouped: dict[str, dict[str, Figure]] = {}
    for name, figure in changes.items():
        group, _, field = name.rpartition(".")
        grouped.setdefault(group, {})[field] = figure
    changed = msgspec.structs.replace
    processors = {
        name: changed(processor, **grouped.pop(f"processors.{name}", {}))
        for name, processor in costs.processors.items()
    }
    loads = changed(costs.loads, **grouped.pop("loads", {}))
    thermal = changed(costs.thermal, **grouped.pop("thermal", {}))
    top = grouped.pop("", {})
    assert not grouped, f"no such figures: {grouped}"
    return changed(costs, loads=loads, thermal=thermal, processors=processors, **top)


Sample = dict[str, Array]


def nominal(costs: Costs) -> Sample:
    """The parameters' values as one sample: dotted name -> [1]."""
    return {name: np.array([figure.value]) for name, figure in figures(costs).items()}


LOAD_TERMS = ("load_fixed_s", "read_bytes_per_s", "prepare_bytes_per_s")
SPECIALISE_TERMS = ("specialise_fixed_s", "specialise_bytes_per_s", "specialise_bytes_per_s")
RUN_TERMS = (
    "dispatch_s", "matmul_flops_per_s", "attention_flops_per_s", "convolution_flops_per_s", "moved_bytes_per_s",
    "token_merge_s",
)  # fmt: skip


def price(
    blocks: Sequence[BlockSpec],
    costs: Costs,
    sample: Sample | None = None,
    dram_bytes_per_s: float | None = None,
) -> BlockCosts:
    """Seconds and bytes of every block, for one or many samples of the parameters (see `nominal`)."""
    sample = sample if sample is not None else nominal(costs)
    marks = {name: figure.mark for name, figure in figures(costs).items()}
    size = next(iter(sample.values())).shape[0]
    load_amounts = np.array(_load_amounts(blocks, costs.loads), dtype=np.float64)
    charged = [costs.processors[block.processor].charged_share.value for block in blocks]
    load_seconds = _seconds_per_amount(sample, "loads.", LOAD_TERMS)
    warm = load_amounts @ load_seconds
    cold = warm + load_amounts @ _seconds_per_amount(sample, "loads.", SPECIALISE_TERMS)
    load_marks = _mark_shares(load_amounts, load_seconds, [marks[f"loads.{term}"] for term in LOAD_TERMS])
    run = np.empty((len(blocks), size))
    first_run = np.empty((len(blocks), size))
    run_marks: list[MarkShares] = [{} for _ in blocks]
    for processor in {block.processor for block in blocks}:
        rows = [row for row, block in enumerate(blocks) if block.processor == processor]
        amounts = np.array([_run_amounts(blocks[row]) for row in rows], dtype=np.float64)
        prefix = f"processors.{processor}."
        run_seconds = _seconds_per_amount(sample, prefix, RUN_TERMS)
        seconds = amounts @ run_seconds
        if dram_bytes_per_s:
            crossing = (load_amounts[rows, 2] + amounts[:, 4]) / dram_bytes_per_s
            seconds = np.maximum(seconds, crossing[:, None])
        run[rows] = seconds
        first_run[rows] = seconds + sample[f"{prefix}first_run_s"]
        shares = _mark_shares(amounts, run_seconds, [marks[f"{prefix}{term}"] for term in RUN_TERMS])
        for row, share in zip(rows, shares, strict=True):
            run_marks[row] = share
    return BlockCosts(
        load_warm_s=warm,
        load_cold_s=cold,
        run_s=run,
        first_run_s=first_run,
        unload_s=np.broadcast_to(sample["loads.unload_s"], (len(blocks), size)),
        resident_bytes=tuple(
            round(held * share) for held, share in zip(load_amounts[:, 2].tolist(), charged, strict=True)
        ),
        working_bytes=tuple(round(_working_bytes(block) * share) for block, share in zip(blocks, charged, strict=True)),
        stored_bytes=tuple(block.stored_bytes for block in blocks),
        load_marks=tuple(load_marks),
        run_marks=tuple(run_marks),
    )


def _seconds_per_amount(sample: Sample, prefix: str, terms: Sequence[str]) -> Array:
    """Coefficients [term, sample]: a rate per second is turned over, a time stays."""
    return np.stack(
        [1.0 / sample[prefix + term] if term.endswith("_per_s") else sample[prefix + term] for term in terms]
    )


def _mark_shares(amounts: Array, seconds: Array, marks: Sequence[Mark]) -> list[MarkShares]:
    """For each block, the share of its seconds that rests on each mark, in the first sample."""
    parts = amounts * seconds[:, 0]
    totals = parts.sum(axis=1)
    shares: list[MarkShares] = []
    for row, total in zip(parts.tolist(), totals.tolist(), strict=True):
        share: MarkShares = {}
        for mark, part in zip(marks, row, strict=True):
            if part > 0:
                share[mark] = share.get(mark, 0.0) + part / total
        shares.append(share or {"estimated": 1.0})
    return shares


def _load_amounts(blocks: Sequence[BlockSpec], loads: LoadCosts) -> list[tuple[float, float, float]]:
    """For each block: one call, stored bytes, resident bytes."""
    compressed = loads.compressed_held_bytes.value
    held = {"float32": 4.0, "float16": 2.0, "mixed": 2.0, "int8": compressed, "int4": compressed}
    amounts = []
    for block in blocks:
        parameters = sum(unit.stored for unit in block.units)
        amounts.append((1.0, float(block.stored_bytes), parameters * held[block.precision]))
    return amounts


def activation_bytes(precision: Precision) -> int:
    """Bytes of one activation element beside weights of this precision; mixed, int8 and int4 are for weights only."""
    return 2 if precision == "float16" else 4


def _run_amounts(block: BlockSpec) -> tuple[float, ...]:
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
