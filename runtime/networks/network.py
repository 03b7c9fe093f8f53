"""A network as a list of units with a plain and, where it differs, a TDTM variant; and where weights go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from ondevice_sora.profiles.models.model import Variant
from ondevice_sora.runtime.networks.units import Unit


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
class WeightPlace:
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
class HeldWeight:
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


def weight_places(unit: Unit) -> Iterator[tuple[str, WeightPlace | HeldWeight]]:
    """Checkpoint name and place of every weight. Raises ValueError for one that its function holds without memory."""
    for name, tensor in unit.buffers.items():
        if tensor.is_meta:
            raise ValueError(f"unit {unit.name} holds {name} on the meta device, where nothing can be put")
        yield name, HeldWeight(tensor)
    for prefix, module in unit.modules.items():
        for name in module.state_dict():
            path, _, attribute = name.rpartition(".")
            owner = module.get_submodule(path)
            yield f"{prefix}.{name}", WeightPlace(owner, attribute, attribute in owner._parameters)


@contextmanager
def bound(slots: Mapping[str, WeightPlace | HeldWeight], tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """The modules with these weights, inside the `with`; afterwards as they were."""
    before = {name: slot.get() for name, slot in slots.items()}
    try:
        for name, slot in slots.items():
            slot.put(tensors[name])
        yield
    finally:
        for name, slot in slots.items():
            slot.put(before[name])
