"""A block: contiguous units of one component that are loaded, run and evicted together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from ondevice_sora.profiles.models.model import Precision, Unit, Variant, weight_bytes

ComputeUnits = Literal["cpu_only", "cpu_and_gpu", "cpu_and_ne", "all"]
"""What Core ML may choose from; `all` is its default."""
Processor = Literal["cpu", "gpu", "ane"]
PROCESSORS: dict[ComputeUnits, Processor] = {
    "cpu_only": "cpu", "cpu_and_gpu": "gpu", "cpu_and_ne": "ane", "all": "ane",
}  # fmt: skip
"""Where a block is taken to run. Of `all` Core ML prefers the Neural Engine for what it can take; it does not say."""
UNBOUNDED = 10**15
Loading = Literal["core_ml", "core_ai"]
"""Which of Apple's frameworks loads a component's packages, and so how its weights are held.

core_ml   copied for whoever runs them: charged to the app
core_ai   compiled ahead of time for the device: on the GPU they are pages of a file, which are clean and not charged
"""


def span_name(first_unit: str, last_unit: str) -> str:
    """The name of the block from one unit to another: 'input', or 'spatial_0..temporal_3'."""
    return first_unit if first_unit == last_unit else f"{first_unit}..{last_unit}"


def block_name(units: Sequence[Unit]) -> str:
    """The name of the block that these units make."""
    return span_name(units[0].name, units[-1].name)


def stored_bytes_of(units: Sequence[Unit], precision: Precision) -> int:
    """Bytes that a package of these units takes on storage."""
    return round(sum(unit.stored for unit in units) * weight_bytes(precision))


@dataclass(frozen=True)
class BlockSpec:
    """A block to be priced: contiguous units of a component in one variant, precision and choice of compute units.

    engine_bytes      the largest package that Core ML's Neural Engine takes on the device; larger ones go to the GPU
    component_bytes   stored by all blocks of its component: what is read between two of its visits
    """

    model: str
    component: str
    index: int
    name: str
    units: tuple[Unit, ...]
    variant: Variant
    precision: Precision
    compute_units: ComputeUnits
    engine_bytes: int = UNBOUNDED
    loading: Loading = "core_ml"
    component_bytes: int = 0

    @property
    def falls_back(self) -> bool:
        """Whether the Neural Engine was asked for and refuses the package for its size."""
        if self.loading == "core_ai":  # what it takes was settled where it was compiled
            return False
        return PROCESSORS[self.compute_units] == "ane" and self.stored_bytes > self.engine_bytes

    @property
    def is_mapped(self) -> bool:
        """Whether its weights are clean pages of a file, which the app is not charged for."""
        return self.loading == "core_ai" and self.processor == "gpu"

    @cached_property
    def processor(self) -> Processor:
        return "gpu" if self.falls_back else PROCESSORS[self.compute_units]

    def package(self, is_separate: bool) -> tuple[str, str, str]:
        """What tells its package from others: a block's variants share one, or each has its own."""
        return self.component, self.name, self.variant if is_separate else ""

    @cached_property
    def parameters(self) -> int:
        """How many numbers its package stores."""
        return sum(unit.stored for unit in self.units)

    @cached_property
    def runs(self) -> int:
        """How often it runs in a visit: for the branches of guidance, one after the other."""
        return max(unit.work(self.variant).runs for unit in self.units)

    @cached_property
    def stored_bytes(self) -> int:
        return stored_bytes_of(self.units, self.precision)
