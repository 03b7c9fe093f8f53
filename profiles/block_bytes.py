"""What a block occupies on a device: weights once loaded, and working memory while it runs, in bytes.

Of blocks that Core ML loads:

    resident = weights * bytes that one takes once loaded * charged_share
    working  = most activation elements alive at a time * bytes of one * working factor * charged_share
    clean    = 0

Of blocks that Core AI loads, compiled ahead of time:

    on the GPU             resident = stored bytes * core_ai.charged_share, clean = the rest of the stored bytes;
                           resident = stored bytes if that is more than all that may stay in clean pages, for what a
                           GPU runs must be in memory
    on the Neural Engine   resident = stored bytes * core_ai.engine_charged_factor, working memory charged in full
    on the CPU             as with Core ML: it was seen to unpack weights into copies

CPU and GPU hold compressed weights unpacked, the Neural Engine as they are stored; its activations are always float16.
What Core ML may run anywhere (`all`) is held as on the GPU: the engine's memory is hardly charged to the app, and a
plan should not fit only because of where Core ML happens to run it.
The working factor is `convolution_working_factor` for a unit that only convolves, 1 for one that does not, and between
the two by the share of its operations: convolutions on a GPU unfold and pad what they read.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ondevice_sora.profiles.blocks import BlockSpec, Processor
from ondevice_sora.profiles.costs import Array, Costs
from ondevice_sora.profiles.models.model import Work, activation_bytes, is_compressed, weight_bytes


def held_weight_bytes(block: BlockSpec, compressed_held_bytes: float) -> float:
    """Bytes that one weight of the block takes once loaded, whoever is charged for them."""
    if block.processor == "ane" or not is_compressed(block.precision):
        return weight_bytes(block.precision)
    return compressed_held_bytes


def held_bytes(block: BlockSpec, costs: Costs) -> float:
    """Bytes of the block's weights once loaded."""
    compressed = costs.loads.compressed_held_bytes.value
    return block.parameters * held_weight_bytes(block, compressed)


def memory_processor(block: BlockSpec, costs: Costs) -> Processor:
    """Where the block's memory is taken to be: of `all` on the GPU, where the app is charged for it."""
    return "gpu" if block.compute_units == "all" and "gpu" in costs.processors else block.processor


def element_bytes(block: BlockSpec) -> int:
    """Bytes of one element of an activation where the block runs."""
    return 2 if block.processor == "ane" else activation_bytes(block.precision)


def resident_bytes(block: BlockSpec, costs: Costs, clean_room: float = math.inf) -> int:
    """What the loaded block adds to the app's footprint. `clean_room`: bytes that may stay in clean pages."""
    if costs.core_ai is not None and block.is_mapped:
        share = costs.core_ai.charged_share.value if block.stored_bytes <= clean_room else 1.0
        return round(block.stored_bytes * share)
    if costs.core_ai is not None and _is_on_core_ai_engine(block):
        return round(block.stored_bytes * costs.core_ai.engine_charged_factor.value)
    processor = memory_processor(block, costs)
    held = held_bytes(block, costs) if processor == block.processor else held_bytes(_on_gpu(block), costs)
    return round(held * costs.processors[processor].charged_share.value)


def clean_bytes(block: BlockSpec, costs: Costs, clean_room: float = math.inf) -> int:
    """What the loaded block maps besides: pages of its file, which the system may drop and read again."""
    return block.stored_bytes - resident_bytes(block, costs, clean_room) if block.is_mapped else 0


def working_bytes(block: BlockSpec, costs: Costs) -> int:
    """What a run of the block adds to that."""
    factor = costs.processors[memory_processor(block, costs)].convolution_working_factor.value
    elements = max(elements * (1.0 + (factor - 1.0) * share) for elements, share in _alive(block))
    return round(round(elements * element_bytes(block)) * _working_share(block, costs))


def working_moved(block: BlockSpec, costs: Costs, deviations: Array) -> Array:
    """The same [deviation] with the factor so many of its spreads away, as a logarithm."""
    known = costs.processors[memory_processor(block, costs)].convolution_working_factor
    more = known.value * np.exp(known.spread * deviations) - 1.0
    elements = np.max([elements * (1.0 + more * share) for elements, share in _alive(block)], axis=0)
    moved: Array = elements * element_bytes(block) * _working_share(block, costs)
    return moved


def _alive(block: BlockSpec) -> list[tuple[float, float]]:
    """Of each unit, the activation elements alive at a time, and the share of its operations that are convolutions."""
    works = [unit.work(block.variant) for unit in block.units]
    return [(work.working_elements, _convolves(work)) for work in works]


def _working_share(block: BlockSpec, costs: Costs) -> float:
    """The share of working memory that the app is charged for."""
    return 1.0 if _is_on_core_ai_engine(block) else costs.processors[memory_processor(block, costs)].charged_share.value


def _is_on_core_ai_engine(block: BlockSpec) -> bool:
    """From iOS 27 on, which Core AI needs, the engine's memory is charged to the app."""
    return block.loading == "core_ai" and block.processor == "ane"


def _on_gpu(block: BlockSpec) -> BlockSpec:
    return replace(block, compute_units="cpu_and_gpu")


def _convolves(work: Work) -> float:
    """The share of a unit's operations that are convolutions."""
    total = work.matmul_flops + work.attention_flops + work.convolution_flops
    return work.convolution_flops / total if total > 0 else 0.0
