"""What a block occupies on a device: weights once loaded, and working memory while it runs, in bytes.

    resident = weights * bytes that one takes once loaded * charged_share
    working  = most activation elements alive at a time * bytes of one * working factor * charged_share

CPU and GPU hold compressed weights unpacked, the Neural Engine as they are stored; its activations are always float16.
What Core ML may run anywhere (`all`) is held as on the GPU: the engine's memory is hardly charged to the app, and a
plan should not fit only because of where Core ML happens to run it.
The working factor is `convolution_working_factor` for a unit that only convolves, 1 for one that does not, and between
the two by the share of its operations: convolutions on a GPU unfold and pad what they read.
"""

from __future__ import annotations

from dataclasses import replace

from ondevice_sora.profiles.blocks import BlockSpec, Processor
from ondevice_sora.profiles.costs import Costs
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


def resident_bytes(block: BlockSpec, costs: Costs) -> int:
    """What the loaded block adds to the app's footprint."""
    processor = memory_processor(block, costs)
    held = held_bytes(block, costs) if processor == block.processor else held_bytes(_on_gpu(block), costs)
    return round(held * costs.processors[processor].charged_share.value)


def working_bytes(block: BlockSpec, costs: Costs) -> int:
    """What a run of the block adds to that."""
    processor = costs.processors[memory_processor(block, costs)]
    factor = processor.convolution_working_factor.value
    works = [unit.work(block.variant) for unit in block.units]
    elements = max(work.working_elements * (1.0 + (factor - 1.0) * _convolves(work)) for work in works)
    return round(round(elements * element_bytes(block)) * processor.charged_share.value)


def working_spread(block: BlockSpec, costs: Costs) -> float:
    """One deviation of the logarithm of a block's working memory: that of the factor, as far as the block convolves."""
    processor = costs.processors[memory_processor(block, costs)]
    largest = max((unit.work(block.variant) for unit in block.units), key=lambda work: work.working_elements)
    return processor.convolution_working_factor.spread * _convolves(largest)


def _on_gpu(block: BlockSpec) -> BlockSpec:
    return replace(block, compute_units="cpu_and_gpu")


def _convolves(work: Work) -> float:
    """The share of a unit's operations that are convolutions."""
    total = work.matmul_flops + work.attention_flops + work.convolution_flops
    return work.convolution_flops / total if total > 0 else 0.0
