"""What each unit takes on this machine, from one run of every kind of unit in the shapes of a video.

Units that read and hold tensors of the same shapes are of one kind: the spatial blocks of Open-Sora are measured once.
Weights and inputs are filled in for it: what they are changes no time and no memory.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ondevice_sora.base.interrupts import check
from ondevice_sora.profiles.models.model import Variant
from ondevice_sora.runtime.executor.store import DTYPES, StoredTensor
from ondevice_sora.runtime.executor.unit_store import UnitFile
from ondevice_sora.runtime.networks.network import Network, WeightPlace, bound, weight_places
from ondevice_sora.runtime.networks.units import State, Unit
from ondevice_sora.runtime.sampling.walks import Kind

FILLED = 0.01
"""A value whose products neither grow without bounds nor get so small that processors are slow with them."""


@dataclass(frozen=True)
class UnitCosts:
    """Of one unit in one variant.

    run_s           seconds, with the widening of weights that are stored in 16 bits
    working_bytes   the most bytes of tensors that exist at one time besides inputs and stored weights
    state_bytes     bytes of what it and the units after it read, where it begins
    left_bytes      bytes of what the units after it read, where it ends
    """

    run_s: float
    working_bytes: int
    state_bytes: int
    left_bytes: int


UnitKey = tuple[str, str, Variant]
"""Component, unit and variant."""


def probe_units(
    networks: Sequence[Network],
    shapes: Mapping[str, Mapping[Kind, Sequence[State]]],
    files: Sequence[UnitFile],
    variants: Collection[Variant] = ("plain", "tdtm"),
    on_kind: Callable[[str], None] | None = None,
) -> dict[UnitKey, UnitCosts]:
    """The costs of all units. `shapes` has, by component and variant, the states before each unit, on the meta device.

    Units that merge tokens are measured in these `variants` alone, other units as they are. `on_kind` is told of each
    kind's first unit before it runs. Raises Interrupted.
    """
    stored = {(file.component, file.unit): file.tensors for file in files}
    found: dict[UnitKey, UnitCosts] = {}
    measured: dict[Any, tuple[float, int]] = {}
    for network, variant in product(networks, VARIANTS):
        states = shapes[network.name].get(variant)
        if states is None:
            continue
        units = network.units(variant)
        for index, unit in enumerate(units):
            if variant not in (variants if network.merges(index) else ("plain",)):
                continue
            check()
            state, tensors = states[index], stored[network.name, unit.name]
            inputs = {name: state[name] for name in unit.reads}
            kind = (variant, unit.reads, unit.writes, _like(inputs.values()), [e.shape for e in tensors])
            key = repr((kind, [entry.dtype for entry in tensors]))
            if key not in measured:
                if on_kind is not None:
                    on_kind(f"{unit.name} of {network.name}")
                measured[key] = _run(unit, inputs, tensors)
            held, left = (_held(states[place], units[place:]) for place in (index, index + 1))
            found[network.name, unit.name, variant] = UnitCosts(*measured[key], held, left)
    return found


def _held(state: State, later: Sequence[Unit]) -> int:
    """Bytes of what these units read of a state."""
    needed = {name for unit in later for name in unit.reads}
    return sum(_size(tensor) for name, tensor in state.items() if name in needed)


VARIANTS: tuple[Variant, ...] = ("plain", "tdtm")


@torch.no_grad()
def _run(unit: Unit, inputs: State, tensors: Sequence[StoredTensor]) -> tuple[float, int]:
    """Seconds and working bytes of one run."""
    slots = {name: slot for name, slot in weight_places(unit) if isinstance(slot, WeightPlace)}
    weights = {e.name: torch.full(e.shape, FILLED, dtype=DTYPES[e.dtype]) for e in tensors if e.name in slots}
    state = {name: _filled(tensor) for name, tensor in inputs.items()}
    with LiveBytes([*weights.values(), *state.values()]) as live:
        began = time.perf_counter()
        with bound(slots, {name: weight.to(torch.float32) for name, weight in weights.items()}):
            after = unit(state)
        seconds = time.perf_counter() - began
        del after
    return seconds, live.peak


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the tensors that operations make inside the `with`; `peak` is the most at one time.

    A convolution counts copies of its input and its kernel besides, which oneDNN lays out in its own way while it runs.
    Other scratch memory is not seen. Of twelve units of Open-Sora at 256 x 256 (x86), those for which the system
    charged more than 300 MB come out within 1 %, smaller ones up to 55 MB short. Tensors `known` before do not count.
    """

    def __init__(self, known: Sequence[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._seen = {tensor.untyped_storage().data_ptr() for tensor in known}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._count(leaf.untyped_storage())
        if func is torch.ops.aten.convolution.default:
            self.peak = max(self.peak, self.now + _size(args[0]) + _size(args[1]))
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        place, size = storage.data_ptr(), storage.nbytes()
        if not place or place in self._seen:
            return
        self._seen.add(place)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._free, place, size)

    def _free(self, place: int, size: int) -> None:
        self._seen.discard(place)
        self.now -= size


def _filled(like: Tensor) -> Tensor:
    """A tensor of this shape and type: a small value, or ones, which are tokens, and masks that hide nothing."""
    return torch.full(tuple(like.shape), FILLED if like.is_floating_point() else 1, dtype=like.dtype)


def _like(tensors: Any) -> list[Any]:
    return [(tuple(tensor.shape), tensor.dtype) for tensor in tensors]


def _size(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
