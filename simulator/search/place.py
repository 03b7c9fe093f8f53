"""A device to plan for, and its prices, each block's worked out once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec.structs import replace

from ondevice_sora.plans.schedule import MemoryModel
from ondevice_sora.plans.schema import Packages, Plan
from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.profiles.costs import BlockCosts, Pricer
from ondevice_sora.profiles.models.model import Model
from ondevice_sora.simulator.machine import Machine, machine_of
from ondevice_sora.simulator.prepare import Setting, stored_bytes

BlockKey = tuple[str, ...]


class BlockPrices:
    """A pricer that remembers: each distinct block is priced once."""

    def __init__(self, price: Pricer) -> None:
        self.price = price
        self.rows: dict[BlockKey, tuple[Any, ...]] = {}

    def __call__(self, blocks: Sequence[BlockSpec]) -> BlockCosts:
        """Prices at the figures' values, one sample."""
        rows = self.rows
        keys = [
            (b.component, b.units[0].name, b.units[-1].name, b.variant, b.precision, b.compute_units, b.loading)
            for b in blocks
        ]
        missing = {key: block for key, block in zip(keys, blocks, strict=True) if key not in rows}
        if missing:
            costs = self.price(list(missing.values()))
            seconds = (costs.load_warm_s, costs.load_cold_s, costs.run_s, costs.first_run_s, costs.unload_s)
            columns = [array[:, 0].tolist() for array in seconds]
            columns += [
                costs.resident_bytes,
                costs.working_bytes,
                costs.stored_bytes,
                costs.load_marks,
                costs.run_marks,
                costs.clean_bytes or (0,) * len(missing),
                costs.cold_marks or costs.load_marks,
                costs.first_marks or costs.run_marks,
            ]
            for key, *row in zip(missing, *columns, strict=True):
                rows[key] = tuple(row)
        found = [rows[key] for key in keys]
        table = np.array([row[:5] for row in found], dtype=np.float64)
        resident, working, stored, load_marks, run_marks, clean, cold_marks, first_marks = zip(
            *(row[5:] for row in found), strict=True
        )
        return BlockCosts(
            load_warm_s=table[:, 0:1],
            load_cold_s=table[:, 1:2],
            run_s=table[:, 2:3],
            first_run_s=table[:, 3:4],
            unload_s=table[:, 4:5],
            resident_bytes=resident,
            working_bytes=working,
            stored_bytes=stored,
            load_marks=load_marks,
            run_marks=run_marks,
            clean_bytes=clean,
            cold_marks=cold_marks,
            first_marks=first_marks,
        )


@dataclass(frozen=True)
class Place:
    """A device to plan for: its machine, and its prices where variants share packages and where they do not.

    Both are the same, unless twice the packages are too many for the system to keep their files in memory.
    """

    setting: Setting
    machine: Machine
    prices: BlockPrices
    separate_prices: BlockPrices

    @property
    def memory(self) -> MemoryModel:
        return self.machine.memory

    def prices_of(self, packages: Packages) -> BlockPrices:
        return self.prices if packages == "shared" else self.separate_prices


def place_of(setting: Setting, plan: Plan, model: Model) -> Place:
    """The device of a setting for plans of the model that are stored as this one is, their packages aside."""
    profile, device = setting.profile, setting.device

    def is_cached(packages: Packages) -> bool:
        stored = stored_bytes(replace(plan, tdtm=replace(plan.tdtm, packages=packages)), model)
        return profile.fits_page_cache(device, stored)

    def prices(is_cached: bool) -> BlockPrices:
        return BlockPrices(profile.pricer(device, is_cached=is_cached))

    shared, separate = is_cached("shared"), is_cached("separate")
    own = prices(shared)
    machine = machine_of(profile.costs, setting.limit_bytes, is_thermal=setting.is_thermal)
    return Place(setting, machine, own, own if separate == shared else prices(separate))
