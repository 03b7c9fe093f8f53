"""Seconds of runs.

    run       = dispatch + max(operations, weights)     twice where branches of guidance run one after the other
    operations = sum over operator classes of operations / throughput + moved bytes / moved rate + merges * token_merge
    weights   = stored bytes / weight rate, where the processor has one: they stream in while the operations go on
    first run = run + first_run (shader compilation)

A block whose weights are mapped (Core AI, on the GPU) reads them from storage again in every run but the first after
its load, if its whole component is larger than what clean pages may take: walked in turn, the pages used longest ago
are those needed next.

    run = the above + stored bytes / read

Products, attention and convolutions in float16 are `float16_factor` times as fast. A run on CPU or GPU is never faster
than the weights held and the activations cross the memory bus once, at `dram_bytes_per_s`.

Of `compute_units: all` Core ML runs what the Neural Engine can take there and the rest elsewhere, without a word: a
block is priced as on the engine, and every fourth sample of an interval as on the GPU.

Known errors: a class has one throughput, whatever the shapes, so that small products come out too fast; nothing is said
of how Core ML might split one block over two processors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ondevice_sora.profiles.block_bytes import element_bytes, held_bytes
from ondevice_sora.profiles.blocks import BlockSpec, Processor
from ondevice_sora.profiles.costs import Array, Costs, MarkShares, Sample
from ondevice_sora.profiles.figures import Mark
from ondevice_sora.profiles.load_costs import READ
from ondevice_sora.profiles.models.model import multiplies_in_float16
from ondevice_sora.profiles.terms import mark_shares, seconds_per, summed, weighed

CLASSES = ("matmul_flops_per_s", "attention_flops_per_s", "convolution_flops_per_s")
TERMS = ("dispatch_s", *CLASSES, "moved_bytes_per_s", "token_merge_s")
GPU_EVERY = 4
"""One in so many samples of a block on `all` has it on the GPU."""


def run_seconds(
    blocks: Sequence[BlockSpec],
    costs: Costs,
    sample: Sample,
    marks: dict[str, Mark],
    dram_bytes_per_s: float | None,
    clean_room: float,
) -> tuple[Array, Array, list[MarkShares], list[MarkShares]]:
    """Runs and first runs [block, sample], and the marks that each of them rests on."""
    size = next(iter(sample.values())).shape[0]
    run, first_run = np.empty((len(blocks), size)), np.empty((len(blocks), size))
    shares: list[MarkShares] = [{} for _ in blocks]
    for processor in {block.processor for block in blocks}:
        rows = [row for row, block in enumerate(blocks) if block.processor == processor]
        own = [blocks[row] for row in rows]
        run[rows], found = _on(processor, own, costs, sample, marks, dram_bytes_per_s)
        for row, share in zip(rows, found, strict=True):
            shares[row] = share
        first_run[rows] = run[rows] + sample[f"processors.{processor}.first_run_s"]
    either = [row for row, block in enumerate(blocks) if block.compute_units == "all" and block.processor == "ane"]
    rows_of_all, columns = np.array(either, dtype=np.intp), np.arange(size)[GPU_EVERY - 1 :: GPU_EVERY]
    if either and columns.size and "gpu" in costs.processors:
        part = {name: values[columns] for name, values in sample.items()}
        elsewhere, _ = _on(
            "gpu",
            [replace(blocks[row], compute_units="cpu_and_gpu") for row in either],
            costs,
            part,
            marks,
            dram_bytes_per_s,
        )
        run[np.ix_(rows_of_all, columns)] = elsewhere
        first_run[np.ix_(rows_of_all, columns)] = elsewhere + part["processors.gpu.first_run_s"]
    first_shares = [
        weighed([(shares[row], float(run[row, 0])), ({marks[name]: 1.0}, float(sample[name][0]))])
        for row, name in enumerate(f"processors.{block.processor}.first_run_s" for block in blocks)
    ]
    for row, block in enumerate(blocks):
        if block.is_mapped and block.component_bytes > clean_room:
            read = block.stored_bytes / sample[READ]
            again = float(read[0] / (run[row, 0] + read[0]))
            shares[row] = {mark: share * (1.0 - again) for mark, share in shares[row].items()}
            shares[row][marks[READ]] = shares[row].get(marks[READ], 0.0) + again
            run[row] += read
    return run, first_run, shares, first_shares


def _on(
    processor: Processor,
    blocks: Sequence[BlockSpec],
    costs: Costs,
    sample: Sample,
    marks: dict[str, Mark],
    dram_bytes_per_s: float | None,
) -> tuple[Array, list[MarkShares]]:
    prefix = f"processors.{processor}."
    amounts = np.array([_amounts(block) for block in blocks], dtype=np.float64)
    is_half = np.array([processor != "ane" and multiplies_in_float16(block.precision) for block in blocks])
    factor = sample[f"{prefix}float16_factor"]
    per = np.stack([seconds_per(sample, prefix + term) for term in TERMS])
    halved = np.stack([each / factor if term in CLASSES else each for term, each in zip(TERMS, per, strict=True)])
    seconds = np.where(is_half[:, None], summed(amounts, halved), summed(amounts, per))
    parts = np.where(is_half[:, None], amounts * halved[:, 0], amounts * per[:, 0])
    if costs.processors[processor].weight_bytes_per_s is not None:
        stored = np.array([float(block.stored_bytes) for block in blocks])
        streaming = amounts[:, :1] * (per[0] + stored[:, None] / sample[f"{prefix}weight_bytes_per_s"])
        seconds = np.maximum(seconds, streaming)
    if processor != "ane" and dram_bytes_per_s:
        held = np.array([held_bytes(block, costs) for block in blocks])
        seconds = np.maximum(seconds, ((amounts[:, 0] * held + amounts[:, 4]) / dram_bytes_per_s)[:, None])
    return seconds, mark_shares(parts, [marks[prefix + term] for term in TERMS])


def _amounts(block: BlockSpec) -> tuple[float, ...]:
    works = [unit.work(block.variant) for unit in block.units]
    return (
        float(block.runs),
        sum(work.matmul_flops for work in works),
        sum(work.attention_flops for work in works),
        sum(work.convolution_flops for work in works),
        sum(work.moved_elements for work in works) * element_bytes(block),
        float(sum(work.token_merges for work in works)),
    )
