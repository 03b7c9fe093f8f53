"""Units: the smallest pieces a network can be cut at, and modules made of contiguous units.

A unit is a pure function from named tensors to named tensors. It says which it reads and which it writes, so the
tensors that cross any cut are known without running anything. Shapes are fixed when the units are built and nothing
inside a unit depends on the values of its inputs: `torch.jit.trace` of a `BlockModule` is therefore exact. No tensor in
it has more than five dimensions, which is what Core ML accepts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

State = dict[str, Tensor]


@dataclass(frozen=True)
class Unit:
    """One named piece of a network.

    `function` takes the tensors named in `reads`, in that order, and returns those named in `writes` (a bare tensor
    where there is one). `modules` maps checkpoint prefixes to the modules whose weights the unit needs, `buffers`
    maps checkpoint names to single tensors; no weight belongs to two units of a network.
    """

    name: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    function: Callable[..., Tensor | tuple[Tensor, ...]]
    modules: Mapping[str, nn.Module] = field(default_factory=dict)
    buffers: Mapping[str, Tensor] = field(default_factory=dict)

    def __call__(self, state: Mapping[str, Tensor]) -> State:
        """The state after this unit: the one given, with the written tensors added or replaced."""
        outputs = self.function(*(state[name] for name in self.reads))
        written = (outputs,) if isinstance(outputs, Tensor) else outputs
        return {**state, **dict(zip(self.writes, written, strict=True))}

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Checkpoint name and tensor of every weight the unit needs."""
        yield from self.buffers.items()
        for prefix, module in self.modules.items():
            for name, tensor in module.state_dict().items():
                yield f"{prefix}.{name}", tensor


def run_units(units: Sequence[Unit], state: Mapping[str, Tensor]) -> State:
    """The state after all units, in order."""
    result = dict(state)
    for unit in units:
        result = unit(result)
    return result


def tensors_read(units: Sequence[Unit]) -> tuple[str, ...]:
    """Names that the units read before any of them has written them, in order of first use."""
    written: set[str] = set()
    read: dict[str, None] = {}
    for unit in units:
        read.update(dict.fromkeys(name for name in unit.reads if name not in written))
        written.update(unit.writes)
    return tuple(read)


class BlockModule(nn.Module):
    """Units `start` to `stop` (exclusive) of a network as one module with the smallest possible interface.

    `forward` takes the tensors named in `inputs` and returns those named in `outputs`, as a tuple: what later units
    read and, for the last block, what the network's last unit writes.
    """

    def __init__(self, units: Sequence[Unit], start: int, stop: int) -> None:
        super().__init__()
        if not 0 <= start < stop <= len(units):
            raise ValueError(f"units {start} to {stop} are not a block of a network of {len(units)} units")
        self.units = tuple(units[start:stop])
        self.inputs = tensors_read(self.units)
        needed_later = set(tensors_read(units[stop:])) if stop < len(units) else set(units[-1].writes)
        written = dict.fromkeys(name for unit in self.units for name in unit.writes)
        self.outputs = tuple(name for name in written if name in needed_later)
        for unit in self.units:
            for prefix, module in unit.modules.items():
                self.add_module(prefix.replace(".", "_"), module)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        state = run_units(self.units, dict(zip(self.inputs, inputs, strict=True)))
        return tuple(state[name] for name in self.outputs)
