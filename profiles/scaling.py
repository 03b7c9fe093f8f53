"""Costs of a device that has none of its own: those of another, scaled by what is published of the two.

    products, attention, convolutions   on the GPU with its peak; on the Neural Engine with its peak in float16
    float16_factor                      with how much faster the GPU's peak is in float16
    moved bytes                         with memory bandwidth; on the engine with what is within its reach
    prepared bytes                      with the same as the engine's: a copy is the work of few processor cores
    weights that the engine streams     with its own rate where somebody measured it, else with memory bandwidth
    reading                             with storage, where the target's is known

What Core AI does with a model's pages stays as it is: it is the system's way, and was seen on other devices anyway.
Everything else stays: what the CPU does (nobody publishes the rates of its matrix unit; specialising and compiling took
about as long on an iPhone 13 and an M1 Pro as on newer phones), fixed times and shares. The figures' spread grows by
GROWTH, since peaks are not what programs reach: least on the Neural Engine, whose rates were set by figures of many
devices, most for loads, which older phones take a third longer for and Macs a quarter less.
"""

from __future__ import annotations

from ondevice_sora.profiles.costs import Costs, figures, replace_figures
from ondevice_sora.profiles.devices import Device, Hardware
from ondevice_sora.profiles.figures import Figure

GROWTH = {"processors.ane.": 0.1, "processors.": 0.15, "loads.": 0.25, "": 0.15}
"""By the beginning of a figure's name, the first that fits."""
CLASSES = ("matmul_flops_per_s", "attention_flops_per_s", "convolution_flops_per_s")
FIGURES = {
    **{f"processors.gpu.{name}": "peak of the GPU" for name in CLASSES},
    **{f"processors.ane.{name}": "peak of the Neural Engine in float16" for name in CLASSES},
    "processors.gpu.float16_factor": "gain of the GPU's peak in float16",
    "processors.gpu.moved_bytes_per_s": "memory bandwidth",
    "processors.cpu.moved_bytes_per_s": "memory bandwidth",
    "processors.ane.moved_bytes_per_s": "memory bandwidth within one engine's reach",
    "processors.ane.weight_bytes_per_s": "rate at which the engine streams weights",
    "loads.prepare_bytes_per_s": "memory bandwidth within one engine's reach",
    "loads.read_bytes_per_s": "read rate of storage",
}
"""What each scaled figure goes with."""


def scale_costs(costs: Costs, source: Device, target: Device) -> Costs:
    """The source device's costs as the target's, every figure marked estimated."""
    changes = {}
    for name, figure in figures(costs).items():
        if name.startswith("core_ai."):
            continue
        measure = FIGURES.get(name, "")
        of_source, of_target = (_measures(device.hardware).get(measure) for device in (source, target))
        told = f"{source.name}'s figure"
        factor = 1.0
        if of_source and of_target:
            factor = of_target / of_source
            told += f" times {factor:.3g}, the ratio of the {measure}"
        elif measure:
            told += f", since nothing is known of the {measure} here"
        changes[name] = Figure(
            value=figure.value * factor,
            mark="estimated",
            source=told,
            spread=_grown(name, figure.spread),
        )
    return replace_figures(costs, changes)


def _grown(name: str, spread: float) -> float:
    """Figures without a spread keep none."""
    growth = next(value for beginning, value in GROWTH.items() if name.startswith(beginning))
    return min(3.0, (spread**2 + growth**2) ** 0.5) if spread else spread


def _measures(hardware: Hardware) -> dict[str, float | None]:
    """What figures are scaled with; None where nothing is known."""
    gpu, dram = hardware.gpu_flops_per_s, hardware.dram_bytes_per_s
    half, reach, streaming = (
        hardware.gpu_float16_flops_per_s,
        hardware.ane_dram_bytes_per_s,
        hardware.ane_weight_bytes_per_s,
    )
    engine, storage = hardware.ane_flops_per_s, hardware.storage_read_bytes_per_s
    within = reach.value if reach else dram.value
    return {
        "peak of the GPU": gpu.value if gpu else None,
        "peak of the Neural Engine in float16": engine.value if engine else None,
        "gain of the GPU's peak in float16": half.value / gpu.value if half and gpu else 1.0,
        "memory bandwidth": dram.value,
        "memory bandwidth within one engine's reach": within,
        "rate at which the engine streams weights": streaming.value if streaming else STREAMED * within,
        "read rate of storage": storage.value if storage else None,
    }


STREAMED = 0.9
"""Of the memory within its reach, what an engine is taken to stream where nobody measured it: the M1's does 89 %."""
