"""What a device's costs consist of: figures for loading, running and holding blocks, each marked with its source.

What they give for a block is in load_costs.py, run_costs.py and block_bytes.py; cost_model.py puts the three together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from ondevice_sora.profiles.blocks import BlockSpec, Processor
from ondevice_sora.profiles.figures import Figure, Mark

Array = npt.NDArray[np.float64]

MarkShares = dict[Mark, float]


def _unless_told(value: float, meaning: str) -> Figure:
    return Figure(value, "estimated", f"not told: {meaning}")


class ProcessorCosts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Effective throughput of one processor by operator class, and how it and the loader slow each other down.

    *_flops_per_s       in float32; on the Neural Engine, which has none, in float16
    float16_factor      how many times as fast products and convolutions in float16 are
    weight_bytes_per_s  how fast weights stream in, as stored, while the operations go on; None: no bound of their own
    load_rate, run_rate   speeds, relative to being alone, while a load and a run go on at the same time
    charged_share       share of a block's weights and working memory that the system charges to the app
    convolution_working_factor   how many times its activations a convolutional block's working memory takes
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
    float16_factor: Figure = _unless_told(1.0, "float16 as fast as float32")
    weight_bytes_per_s: Figure | None = None
    convolution_working_factor: Figure = _unless_told(1.0, "the activations that are alive, and no more")


class LoadCosts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Loading and unloading on CPU and GPU, and on the Neural Engine where `engine_loads` says nothing.

    page_cache_share  share of the device's memory in which the system keeps files that were read; where all packages
                      of a plan fit in it, loads read nothing from storage
    compressed_held_bytes   bytes that a weight of 8 bits or fewer occupies once loaded (a GPU holds it unpacked)
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
    page_cache_share: Figure = _unless_told(0.0, "every load reads from storage")


class EngineLoads(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Loading on the Neural Engine.

    prepare_bytes_per_s   for weights as they are stored
    compile_s         what the first load of a package of 1e8 parameters adds
    compile_exponent  how that grows with the number of parameters, which stands for the size of the graph
    refused_s         for every 1e8 parameters of a package that the engine refuses, at every load: compiled in vain
    """

    load_fixed_s: Figure
    prepare_bytes_per_s: Figure
    compile_s: Figure
    compile_exponent: Figure
    refused_s: Figure


class CoreAI(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Blocks that Core AI loads, compiled ahead of time for the device; everything else is as with Core ML.

    charged_share          share of a block's weights on the GPU that is charged to the app; the rest is clean pages
    engine_charged_factor  bytes charged to the app for each byte stored, on the Neural Engine
    clean_share            share of the device's memory in which clean pages stay once read; a component that is larger
                           is read from storage again in every pass
    load_fixed_s           every load
    finish_bytes_per_s     what the first load of a package adds: the device finishes what was compiled elsewhere
    """

    charged_share: Figure
    engine_charged_factor: Figure
    clean_share: Figure
    load_fixed_s: Figure
    finish_bytes_per_s: Figure


class ThermalCosts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Throughput under lasting load falls to `floor` of the cold one, with a time constant.

    `contained` says that the other figures come from runs of minutes and contain the derating already; applying it
    again would count it twice.
    """

    floor: Figure
    time_constant_s: Figure
    contained: bool


class Costs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The cost parameters of one device.

    framework_bytes   what Core ML itself takes as soon as the first model is loaded; part of the baseline
    core_ai           missing where nothing is known of it
    """

    baseline_bytes: Figure
    loads: LoadCosts
    processors: dict[Processor, ProcessorCosts]
    thermal: ThermalCosts
    engine_loads: EngineLoads | None = None
    framework_bytes: Figure = _unless_told(0.0, "nothing of the baseline is there only once a model is loaded")
    core_ai: CoreAI | None = None


@dataclass(frozen=True)
class BlockCosts:
    """The price list of a schedule's blocks: seconds as arrays [block, sample], bytes as tuples [block].

    resident_bytes are what the app is charged for a loaded block, clean_bytes are mapped besides and not charged; an
    empty tuple says that nothing is.
    load_marks and run_marks give, for each block, the share of the (first sample's) seconds that rests on each mark;
    cold_marks and first_marks the same of first loads and first runs, which are like later ones where they are empty.
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
    clean_bytes: tuple[int, ...] = ()
    cold_marks: tuple[MarkShares, ...] = ()
    first_marks: tuple[MarkShares, ...] = ()

    def marks_of_load(self, block: int, is_cold: bool) -> MarkShares:
        """What a load's seconds rest on."""
        return (self.cold_marks if is_cold and self.cold_marks else self.load_marks)[block]

    def marks_of_run(self, block: int, is_first: bool) -> MarkShares:
        """What a run's seconds rest on."""
        return (self.first_marks if is_first and self.first_marks else self.run_marks)[block]

    @property
    def seconds(self) -> tuple[Array, Array, Array, Array, Array]:
        """Warm and cold loads, runs, first runs and unloading."""
        return self.load_warm_s, self.load_cold_s, self.run_s, self.first_run_s, self.unload_s


Pricer = Callable[[Sequence[BlockSpec]], BlockCosts]
"""What prices blocks on one device."""


def bytes_alone(working_of: Callable[[BlockSpec], int] | None = None) -> Pricer:
    """Prices without seconds, for blocks that hold what they store, and this working memory, none unless given.

    Enough to play a schedule: its order and its gates depend on bytes alone.
    """

    def price(blocks: Sequence[BlockSpec]) -> BlockCosts:
        size = tuple(block.stored_bytes for block in blocks)
        none = np.zeros((len(blocks), 1))
        return BlockCosts(
            load_warm_s=none,
            load_cold_s=none,
            run_s=none,
            first_run_s=none,
            unload_s=none,
            resident_bytes=size,
            working_bytes=tuple(0 if working_of is None else working_of(block) for block in blocks),
            stored_bytes=size,
            load_marks=({},) * len(blocks),
            run_marks=({},) * len(blocks),
        )

    return price


def figures(costs: Costs) -> dict[str, Figure]:
    """Every figure of `costs` by dotted name."""
    found = {"baseline_bytes": costs.baseline_bytes, "framework_bytes": costs.framework_bytes}
    groups: list[tuple[str, msgspec.Struct]] = [("loads", costs.loads), ("thermal", costs.thermal)]
    if costs.engine_loads is not None:
        groups.append(("engine_loads", costs.engine_loads))
    groups += [(f"processors.{name}", processor) for name, processor in costs.processors.items()]
    if costs.core_ai is not None:
        groups.append(("core_ai", costs.core_ai))
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
    "_exponent": (0.0, 3.0),
    "_factor": (0.01, 100.0),
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
    top: dict[str, object] = {**grouped.pop("", {})}
    if costs.engine_loads is not None:
        top["engine_loads"] = changed(costs.engine_loads, **grouped.pop("engine_loads", {}))
    if costs.core_ai is not None:
        top["core_ai"] = changed(costs.core_ai, **grouped.pop("core_ai", {}))
    assert not grouped, f"no such figures: {grouped}"
    return changed(costs, loads=loads, thermal=thermal, processors=processors, **top)


Sample = dict[str, Array]


def nominal(costs: Costs) -> Sample:
    """The parameters' values as one sample: dotted name -> [1]."""
    return {name: np.array([figure.value]) for name, figure in figures(costs).items()}
