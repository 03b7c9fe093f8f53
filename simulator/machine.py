"""The machine that a schedule is played on: limits, interference and heat, as plain numbers for one sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ondevice_sora.plans.heat import NO_HEAT, Heat
from ondevice_sora.plans.schedule import MemoryModel
from ondevice_sora.profiles.blocks import Processor
from ondevice_sora.profiles.costs import Costs, Sample, nominal


@dataclass(frozen=True)
class Machine:
    """Bytes, relative speeds of loader and runner while both are active, by processor, and what heat does."""

    memory: MemoryModel
    load_rate: dict[Processor, float]
    run_rate: dict[Processor, float]
    heat: Heat = NO_HEAT

    def speeds(self, processor: Processor) -> tuple[float, float]:
        """Of the loader and of a run on this processor while both are active, relative to being alone."""
        return self.load_rate[processor], self.run_rate[processor]


def machine_of(costs: Costs, limit_bytes: int, *, is_thermal: bool = False) -> Machine:
    """The machine at the figures' own values."""
    return machines_of(costs, limit_bytes, nominal(costs), is_thermal=is_thermal)[0]


def machines_of(costs: Costs, limit_bytes: int, sample: Sample, *, is_thermal: bool = False) -> list[Machine]:
    """The machine for each sample of the parameters."""
    names = list(costs.processors)
    load_rates = [np.minimum(1.0, sample[f"processors.{name}.load_rate"]).tolist() for name in names]
    run_rates = [np.minimum(1.0, sample[f"processors.{name}.run_rate"]).tolist() for name in names]
    thermal = [f"thermal.{name}" for name in ("floor", "time_constant_s")]
    columns = ("baseline_bytes", "loads.transient_share", "loads.residual_share", *thermal)
    return [
        Machine(
            memory=MemoryModel(round(baseline), limit_bytes, transient, residual),
            load_rate=dict(zip(names, load_rate, strict=True)),
            run_rate=dict(zip(names, run_rate, strict=True)),
            heat=Heat(True, floor, time_constant_s) if is_thermal else NO_HEAT,
        )
        for (baseline, transient, residual, floor, time_constant_s), load_rate, run_rate in zip(
            zip(*(sample[name].tolist() for name in columns), strict=True),
            zip(*load_rates, strict=True),
            zip(*run_rates, strict=True),
            strict=True,
        )
    ]
