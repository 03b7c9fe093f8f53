"""A block: contiguous units of one component that are loaded, run and evicted together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ondevice_sora.profiles.models.model import STORED_BYTES, Precision, Unit, Variant

ComputeUnits = Literal["cpu_only", "cpu_and_gpu", "cpu_and_ne"]
Processor = Literal["cpu", "gpu", "ane"]
PROCESSORS: dict[ComputeUnits, Processor] = {"cpu_only": "cpu", "cpu_and_gpu": "gpu", "cpu_and_ne": "ane"}


def span_name(first_unit: str, last_unit: str) -> str:
    """The name of the block from one unit to another: 'input', or 'spatial_0..temporal_3'."""
    return first_unit if first_unit == last_unit else f"{first_unit}..{last_unit}"


def block_name(units: Sequence[Unit]) -> str:
    """The name of the block that these units make."""
    return span_name(units[0].name, units[-1].name)


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

    def package(self, is_separate: bool) -> tuple[str, str, str]:
        """What tells its package from others: a block's variants share one, or each has its own."""
        return self.component, self.name, self.variant if is_separate else ""

    @property
    def stored_bytes(self) -> int:
        return round(sum(unit.stored for unit in self.units) * STORED_BYTES[self.precision])
