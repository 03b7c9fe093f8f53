"""What blocks cost on a device by its figures: seconds of loads and runs, bytes held.

Linear in the coefficients (seconds per byte, per operation, per call) but for the larger of two in a run, so that a
hundred samples of the coefficients price every block with one matrix product. Where a block was measured on the device,
the measured figures stand instead (pricing.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ondevice_sora.profiles.block_bytes import clean_bytes, resident_bytes, working_bytes
from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.profiles.costs import BlockCosts, Costs, Sample, figures, nominal
from ondevice_sora.profiles.load_costs import load_seconds
from ondevice_sora.profiles.run_costs import run_seconds


def price(
    blocks: Sequence[BlockSpec],
    costs: Costs,
    sample: Sample | None = None,
    dram_bytes_per_s: float | None = None,
    is_cached: bool = False,
    clean_room: float = math.inf,
) -> BlockCosts:
    """Seconds and bytes of every block, for one or many samples of the parameters (see `nominal`).

    is_cached    all packages fit in the page cache, so that loads read nothing from storage
    clean_room   bytes of clean pages that stay in memory: mapped components that are larger are read in every pass,
                 mapped blocks that are larger are charged to the app
    """
    sample = sample if sample is not None else nominal(costs)
    marks = {name: figure.mark for name, figure in figures(costs).items()}
    warm, cold, load_marks, cold_marks = load_seconds(blocks, costs, sample, marks, is_cached)
    run, first_run, run_marks, first_marks = run_seconds(blocks, costs, sample, marks, dram_bytes_per_s, clean_room)
    return BlockCosts(
        load_warm_s=warm,
        load_cold_s=cold,
        run_s=run,
        first_run_s=first_run,
        unload_s=np.broadcast_to(sample["loads.unload_s"], run.shape),
        resident_bytes=tuple(resident_bytes(block, costs, clean_room) for block in blocks),
        working_bytes=tuple(working_bytes(block, costs) for block in blocks),
        stored_bytes=tuple(block.stored_bytes for block in blocks),
        load_marks=tuple(load_marks),
        run_marks=tuple(run_marks),
        clean_bytes=tuple(clean_bytes(block, costs, clean_room) for block in blocks),
        cold_marks=tuple(cold_marks),
        first_marks=tuple(first_marks),
    )
