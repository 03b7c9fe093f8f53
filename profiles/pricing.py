"""Block prices in which what was measured stands instead of what the cost model gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.profiles.costs import BlockCosts, Costs, Sample, price
from ondevice_sora.profiles.measurements import MeasuredBlocks, Measurement, put_together


def price_blocks(
    blocks: Sequence[BlockSpec],
    costs: Costs,
    measurements: Sequence[Measurement] = (),
    sample: Sample | None = None,
    dram_bytes_per_s: float | None = None,
) -> BlockCosts:
    """`price`, with measured figures where a block or all parts of it were measured."""
    priced = price(blocks, costs, sample, dram_bytes_per_s)
    return _with_measured(priced, blocks, costs, measurements) if measurements else priced


def unused_measurements(measurements: Sequence[Measurement], blocks: Sequence[BlockSpec]) -> list[Measurement]:
    """Measurements of which none of these blocks takes its figures."""
    measured = MeasuredBlocks(measurements)
    used = {id(part) for block in blocks for part in measured.parts(block)}
    return [measurement for measurement in measurements if id(measurement) not in used]


def _with_measured(
    priced: BlockCosts, blocks: Sequence[BlockSpec], costs: Costs, measurements: Sequence[Measurement]
) -> BlockCosts:
    measured = MeasuredBlocks(measurements)
    load_fixed_s, specialise_fixed_s = costs.loads.load_fixed_s.value, costs.loads.specialise_fixed_s.value
    warm, cold, run, first_run, unload = (array.copy() for array in priced.seconds)
    resident, working = list(priced.resident_bytes), list(priced.working_bytes)
    load_marks, run_marks = list(priced.load_marks), list(priced.run_marks)
    for row, block in enumerate(blocks):
        parts = measured.parts(block)
        if not parts:
            continue
        dispatch_s = costs.processors[block.processor].dispatch_s.value
        found = put_together(parts, load_fixed_s, specialise_fixed_s, dispatch_s)
        extra_first = first_run[row] - run[row]
        for array, figure in (
            (warm, found.load_warm_s),
            (cold, found.load_cold_s),
            (run, found.run_s),
            (unload, found.unload_s),
        ):
            if figure is not None:
                array[row] = figure.value
        first_run[row] = found.first_run_s.value if found.first_run_s else run[row] + extra_first
        cold[row] = np.maximum(cold[row], warm[row])
        if found.resident_bytes is not None:
            resident[row] = round(found.resident_bytes.value)
        if found.working_bytes is not None:
            working[row] = round(found.working_bytes.value)
        if found.load_warm_s is not None:
            load_marks[row] = {found.load_warm_s.mark: 1.0}
        if found.run_s is not None:
            run_marks[row] = {found.run_s.mark: 1.0}
    return replace(
        priced,
        load_warm_s=warm,
        load_cold_s=cold,
        run_s=run,
        first_run_s=first_run,
        unload_s=unload,
        resident_bytes=tuple(resident),
        working_bytes=tuple(working),
        load_marks=tuple(load_marks),
        run_marks=tuple(run_marks),
    )
