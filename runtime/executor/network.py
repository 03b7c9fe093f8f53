"""Networks as the executor plays them: ordered units with a plain and, where it differs, a TDTM variant.

Any list of units will do. `listed_model` describes it for the schedule: names and parameter counts, with no operations,
because what a run costs here is measured, not worked out. Weights count as float32: a unit's `parameters` are its bytes
over four, so that the schedule's bytes are the store's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from torch import Tensor, nn

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.writing import write_yaml
from ondevice_sora.plans.schedule import MemoryModel, Schedule, build_schedule
from ondevice_sora.plans.schema import Plan
from ondevice_sora.profiles.blocks import BlockSpec
from ondevice_sora.profiles.costs import BlockCosts, Pricer
from ondevice_sora.profiles.models import model as models
from ondevice_sora.profiles.models.model import Component, Model, Variant, Work
from ondevice_sora.runtime.networks.units import Unit

FLOAT32_BYTES = 4


@dataclass(frozen=True)
class Network:
    """One component. `tdtm` has the units of the TDTM variant: same names, same weights, `merged_names` run otherwise.

    The modules may lie on the `meta` device: the executor gives a block its weights when it runs, and takes them away.
    """

    name: str
    passes: int | Literal["steps"]
    plain: tuple[Unit, ...]
    tdtm: tuple[Unit, ...] | None = None

    merged_names: frozenset[str] = frozenset()

    def units(self, variant: Variant) -> tuple[Unit, ...]:
        return self.tdtm if variant == "tdtm" and self.tdtm is not None else self.plain

    def merges(self, index: int) -> bool:
        """Whether the unit has a TDTM variant that differs from the plain one."""
        return self.tdtm is not None and self.tdtm[index].name in self.merged_names


@dataclass(frozen=True)
class Slot:
    """Where a weight belongs: a tensor registered in a module under a name."""

    module: nn.Module
    attribute: str
    is_parameter: bool

    def get(self) -> Tensor:
        held = self.module._parameters if self.is_parameter else self.module._buffers
        tensor = held[self.attribute]
        assert tensor is not None
        return tensor

    def put(self, tensor: Tensor) -> None:
        if self.is_parameter:
            self.module._parameters[self.attribute] = tensor  # type: ignore[assignment]
        else:
            self.module._buffers[self.attribute] = tensor


@dataclass(frozen=True)
class HeldSlot:
    """A weight that a unit's function holds itself (`Unit.buffers`), a few numbers: filled by copying, and kept."""

    tensor: Tensor

    def get(self) -> Tensor:
        return self.tensor

    def put(self, tensor: Tensor) -> None:
        if tensor is not self.tensor:
            self.tensor.copy_(tensor)


def weights(unit: Unit) -> Iterator[tuple[str, Tensor]]:
    """Checkpoint name and tensor of every weight of a unit, tied ones under each name."""
    for name, tensor in unit.tensors():
        yield name, tensor.detach()


def weight_slots(unit: Unit) -> Iterator[tuple[str, Slot | HeldSlot]]:
    """Checkpoint name and place of every weight. Raises ValueError for one that its function holds without memory."""
    for name, tensor in unit.buffers.items():
        if tensor.is_meta:
            raise ValueError(f"unit {unit.name} holds {name} on the meta device, where nothing can be put")
        yield name, HeldSlot(tensor)
    for prefix, module in unit.modules.items():
        for name in module.state_dict():
            path, _, attribute = name.rpartition(".")
            owner = module.get_submodule(path)
            yield f"{prefix}.{name}", Slot(owner, attribute, attribute in owner._parameters)


def listed_model(name: str, networks: Sequence[Network], source: str = "listed from its units") -> Model:
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


def stored_pricer(working: Mapping[tuple[str, str, str, Variant], int] | None = None) -> Pricer:
    """Prices without seconds: bytes from the store, working memory as given by component, first and last unit, variant.

    Enough to play a schedule: its order and its gates depend on bytes alone.
    """
    known = working or {}

    def price(blocks: Sequence[BlockSpec]) -> BlockCosts:
        size = tuple(block.stored_bytes for block in blocks)
        none = np.zeros((len(blocks), 1))
        return BlockCosts(
            load_warm_s=none, load_cold_s=none, run_s=none, first_run_s=none, unload_s=none,
            resident_bytes=size,
            working_bytes=tuple(
                known.get((block.component, block.units[0].name, block.units[-1].name, block.variant), 0)
                for block in blocks
            ),
            stored_bytes=size,
            load_marks=({},) * len(blocks),
            run_marks=({},) * len(blocks),
        )  # fmt: skip

    return price


def schedule_run(
    plan: Plan,
    model: Model,
    *,
    price: Pricer | None = None,
    memory: MemoryModel | None = None,
    evaluations: int | None = None,
) -> tuple[Schedule, BlockCosts]:
    """The schedule that the executor plays.

    Raises UserError, about a key of the plan without its line, for a plan that this machine cannot run as it says.

    The budget counts what the run adds to the process as it was before: `memory.baseline` is what it adds beside
    weights and working memory, nothing unless given. With dynamic LPL all steps are scheduled, for the video decides;
    the executor ends early.
    """
    for name, settings in plan.components.items():
        where = f"$.components.{name}"
        if settings.compute_units != "cpu_only":
            what = f"'{settings.compute_units}' is not to be had here: blocks run on the CPU"
            raise UserError(what, mend="Write compute_units: cpu_only.", field=f"{where}.compute_units")
        if settings.precision != "float32":
            what = f"'{settings.precision}' is not stored here: blocks are in float32"
            raise UserError(what, mend="Write precision: float32.", field=f"{where}.precision")
    if evaluations is None:
        evaluations = plan.sampler.steps if plan.lpl.mode == "dynamic" else plan.evaluations()
    return build_schedule(plan, model, {}, price or stored_pricer(), memory or MemoryModel(), evaluations)


def _parameters(unit: Unit) -> int:
    held = sum(tensor.numel() * tensor.element_size() for _, tensor in weights(unit))
    return math.ceil(held / FLOAT32_BYTES)
