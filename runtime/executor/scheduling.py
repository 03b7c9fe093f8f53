"""Networks as models and schedules: names and parameter counts, with no operations.

What a run costs here is measured, not worked out. Weights count as float32: a unit's `parameters` are its bytes
over four, so that the schedule's bytes are the store's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from ondevice_sora.base.files.writing import write_yaml
from ondevice_sora.plans.schedule import MemoryModel, Schedule, Speeds, build_schedule
from ondevice_sora.plans.schema import Plan
from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.profiles.costs import BlockCosts, Pricer
from ondevice_sora.profiles.models import model as models
from ondevice_sora.profiles.models.catalogue import Reference
from ondevice_sora.profiles.models.model import Component, Model, Work
from ondevice_sora.runtime.networks.network import Network, weights
from ondevice_sora.runtime.networks.units import Unit

FLOAT32_BYTES = 4


def describe_networks(name: str, networks: Sequence[Network], source: str = "listed from its units") -> Model:
    """The model's description for schedules and simulations: names and parameters, no operations."""
    return Model(
        name=name,
        source=source,
        components=tuple(
            Component(
                network.name,
                network.passes,
                tuple(
                    models.Unit(unit.name, _parameters(unit), Work(), Work() if network.merges(index) else None)
                    for index, unit in enumerate(network.plain)
                ),
            )
            for network in networks
        ),
        is_rectified_flow=any(network.passes == "steps" for network in networks),
    )


def write_model(path: Path, model: Model) -> None:
    """The description as a YAML file that a plan's `model` may name."""
    write_yaml(path, msgspec.to_builtins(model), f"Listed from the units of {model.name}: parameters, no operations.")


SizeOf = Callable[[BlockSpec], int]
WorkingOf = Callable[[BlockSpec], int]


def stored_pricer(size_of: SizeOf | None = None, working_of: WorkingOf | None = None) -> Pricer:
    """Prices without seconds, for blocks that hold these bytes, those stored unless given, and this working memory.

    Enough to play a schedule: its order and its gates depend on bytes alone.
    """

    def price(blocks: Sequence[BlockSpec]) -> BlockCosts:
        size = tuple(block.stored_bytes if size_of is None else size_of(block) for block in blocks)
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


def schedule_run(
    plan: Plan,
    model: Model,
    *,
    price: Pricer | None = None,
    memory: MemoryModel | None = None,
    reference: Reference | None = None,
    evaluations: int | None = None,
    speeds: Speeds | None = None,
) -> tuple[Schedule, BlockCosts]:
    """The schedule that an executor plays. Raises UserError, about a key of the plan, if its budget cannot be kept.

    The budget counts what the run adds to the process as it was before: `memory.baseline` is what it adds beside
    weights and working memory, nothing unless given. `reference` is what `blocks: reference` means, every unit alone
    unless given. With dynamic LPL all steps are scheduled, for the video decides; the executor ends early.
    """
    if evaluations is None:
        evaluations = plan.sampler.steps if plan.lpl.mode == "dynamic" else plan.evaluations()
    memory = memory or MemoryModel()
    return build_schedule(plan, model, reference or {}, price or stored_pricer(), memory, evaluations, speeds=speeds)


def _parameters(unit: Unit) -> int:
    held = sum(tensor.numel() * tensor.element_size() for _, tensor in weights(unit))
    return math.ceil(held / FLOAT32_BYTES)
