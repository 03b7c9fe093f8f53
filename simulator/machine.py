"""The machine that a schedule is played on: limits, interference and heat, as plain numbers for one sample."""

from __future__ import annotations

from dataclasses import dataclass

from ondevice_sora.plans.heat import NO_HEAT, Heat
from ondevice_sora.plans.schedule import MemoryModel
from ondevice_sora.profiles.blocks import Processor
from ondevice_sora.profiles.costs import Costs, Sample, figures
from ondevice_sora.records.trace import Lane

LANES: dict[Processor, Lane] = {"cpu": "cpu", "gpu": "gpu", "ane": "ane"}


@dataclass(frozen=True)
class Thermal:
    """What heat does to throughput, see plans/heat.py."""

    floor: float
    time_constant_s: float


@dataclass(frozen=True)
class Machine:
    """Bytes, and relative speeds of loader and runner while both are active, by processor."""

    memory: MemoryModel
    load_rate: dict[Processor, float]
    run_rate: dict[Processor, float]
    thermal: Thermal | None = None

    def speeds(self, processor: Processor) -> tuple[float, float]:
        """Of the loader and of a run on this processor while both are active, relative to being alone."""
        return self.load_rate[processor], self.run_rate[processor]

    @property
    def heat(self) -> Heat:
        """The thermal figures as engine and recurrence take them."""
        return NO_HEAT if self.thermal is None else Heat(True, self.thermal.floor, self.thermal.time_constant_s)


def machine_of(
    costs: Costs, limit_bytes: int, *, sample: Sample | None = None, index: int = 0, is_thermal: bool = False
) -> Machine:
    """The machine for one sample of the parameters, the figures' own values if none is given."""
    values = {name: figure.value for name, figure in figures(costs).items()}
    if sample is not None:
        values = {name: float(array[index]) for name, array in sample.items()}
    return Machine(
        memory=MemoryModel(
            baseline=round(values["baseline_bytes"]),
            available=limit_bytes,
            transient=values["loads.transient_share"],
            residual=values["loads.residual_share"],
        ),
        load_rate={name: min(1.0, values[f"processors.{name}.load_rate"]) for name in costs.processors},
        run_rate={name: min(1.0, values[f"processors.{name}.run_rate"]) for name in costs.processors},
        thermal=Thermal(values["thermal.floor"], values["thermal.time_constant_s"]) if is_thermal else None,
    )
