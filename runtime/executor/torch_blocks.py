"""Blocks as torch modules: weights are read from a block store into buffers, and lie nowhere else.

A block has weights only while it runs: its modules' parameters are then views into the buffer, copied nowhere. Weights
that the modules held before are dropped when the backend is opened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.schedule import Schedule
from ondevice_sora.plans.schema import Plan
from ondevice_sora.profiles.blocks import Processor
from ondevice_sora.runtime.executor.backend import Progress
from ondevice_sora.runtime.executor.buffers import Buffer
from ondevice_sora.runtime.executor.reading import FileReader, Reader
from ondevice_sora.runtime.executor.slots import Assignment, Holding
from ondevice_sora.runtime.executor.store import DTYPES, VECTOR_BYTES, Store, StoredBlock
from ondevice_sora.runtime.networks.network import HeldWeight, Network, WeightPlace, weight_places
from ondevice_sora.runtime.networks.units import State, Unit, run_units


class TorchBlocks:
    """The blocks of a schedule out of a store."""

    def __init__(
        self, schedule: Schedule, networks: Sequence[Network], store: Store, reader: Reader | None = None
    ) -> None:
        """Raises UserError if the store was cut otherwise than the plan says, or the plan wants another processor."""
        check_host(schedule.plan)
        self.store = store
        self.reader = reader or FileReader(store)
        self._visits = schedule.visits
        by_name = {network.name: network for network in networks}
        self._blocks = [
            RuntimeBlock(
                by_name[spec.component], store.block(spec.component, spec.units[0].name, spec.units[-1].name),
                spec.variant, [unit.name for unit in spec.units],
            )
            for spec in schedule.blocks
        ]  # fmt: skip
        self._is_separate = schedule.plan.tdtm.packages == "separate"
        self._views: dict[tuple[str, int], list[Tensor]] = {}
        self.buffers: list[Buffer] = []

    @property
    def model(self) -> str:
        return self.store.manifest.model

    @property
    def directory(self) -> Path:
        return self.store.directory

    @property
    def tells_progress(self) -> bool:
        return True

    def lane_of(self, block: int) -> Processor:
        return "cpu"

    def file_of(self, block: int) -> str:
        found = self._blocks[block]
        return found.stored.file + (f" {found.variant}" if self._is_separate else "")

    def size_of(self, block: int) -> int:
        return self._blocks[block].stored.data_bytes

    def detach(self) -> None:
        for block in self._blocks:
            block.unbind()
        self._views.clear()

    def open(self, assignment: Assignment, *, populate: bool) -> None:
        self.buffers = [Buffer(size) for size in assignment.buffer_bytes]
        if populate:
            for buffer in self.buffers:
                buffer.populate()
        self._make_views(assignment)

    def load(self, block: int, holding: Holding, progress: Progress) -> None:
        view = self.buffers[holding.buffer].view
        assert view is not None, "loads come between open and close"
        self.reader.read(self._blocks[block].stored, view, progress)

    def run(self, block: int, holding: Holding, state: State, units: Sequence[Unit] | None) -> State:
        found, buffer = self._blocks[block], self.buffers[holding.buffer]
        try:
            found.bind(self._views[found.stored.file, holding.buffer])
            return found.run(state, buffer, units)
        finally:
            found.unbind()

    def evict(self, holding: Holding, *, trim: bool) -> None:
        """The buffer's pages stay for its next block unless they are to be given back."""
        if trim or not holding.keep:
            self.buffers[holding.buffer].give_back(holding.keep)

    def close(self) -> None:
        for buffer in self.buffers:
            buffer.release()
        self.buffers = []

    def facts(self) -> Mapping[str, str]:
        if not isinstance(self.reader, FileReader):
            return {}
        return {"loads": ", ".join(f"{count} {way}" for way, count in self.reader.ways.items() if count) or "none"}

    def _make_views(self, assignment: Assignment) -> None:
        """Views of every block in every buffer that it comes to lie in.

        Made during the run, these small things that stay would lie between activations, and hold on to the heap around
        them: 15 to 20 MB with the small model's 39 units.
        """
        for visit, holding in zip(self._visits, assignment.holdings, strict=True):
            stored = self._blocks[visit.block].stored
            if (stored.file, holding.buffer) not in self._views:
                self._views[stored.file, holding.buffer] = self.buffers[holding.buffer].tensors(stored.tensors)


class RuntimeBlock:
    """A block in one variant: its units, where its weights belong, and what it hands on."""

    def __init__(self, network: Network, stored: StoredBlock, variant: str, names: Sequence[str]) -> None:
        self.stored, self.variant = stored, variant
        units = network.units("tdtm" if variant == "tdtm" else "plain")
        start = next(i for i, unit in enumerate(units) if unit.name == names[0])
        self.span = slice(start, start + len(names))
        self.units: tuple[Unit, ...] = units[self.span]
        later = units[start + len(names) :]
        self.hands_on = {name for unit in later for name in unit.reads} if later else set()
        self.hands_on |= set(units[-1].writes)
        slots = dict(pair for unit in self.units for pair in weight_places(unit))
        known = {entry.name for entry in stored.tensors}
        if known != set(slots):
            differing = ", ".join(sorted(known ^ set(slots))[:5])
            raise UserError(f"block '{stored.name}' has other weights than the network: {differing}", stored.file)
        for entry in stored.tensors:
            wanted, dtype = slots[entry.name].get(), DTYPES[entry.dtype]
            if (entry.shape, dtype) != (tuple(wanted.shape), wanted.dtype):
                held, needed = f"{dtype} {list(entry.shape)}", f"{wanted.dtype} {list(wanted.shape)}"
                raise UserError(f"{entry.name} is {held} in block '{stored.name}', and {needed} here", stored.file)
        self.slots: list[WeightPlace | HeldWeight] = [slots[entry.name] for entry in stored.tensors]
        self.aligned = [entry.start % VECTOR_BYTES == 0 for entry in stored.tensors]
        self.absent = [_absent(slot) for slot in self.slots]

    def bind(self, tensors: Sequence[Tensor]) -> None:
        """Put weights in their places. Few and small ones lie off VECTOR_BYTES; these are copied.

        Matrix products may round otherwise where a weight lies otherwise, and a whole model's weights are aligned.
        """
        for slot, tensor, is_aligned in zip(self.slots, tensors, self.aligned, strict=True):
            slot.put(tensor if is_aligned else tensor.clone())

    def unbind(self) -> None:
        for slot, tensor in zip(self.slots, self.absent, strict=True):
            slot.put(tensor)

    def run(self, state: State, buffer: Buffer, units: Sequence[Unit] | None = None) -> State:
        """The state after the block, without what nobody reads later; nothing in it lies in the buffer."""
        after = run_units(self.units if units is None else units[self.span], state)
        kept = {name: tensor for name, tensor in after.items() if name in self.hands_on}
        return {name: tensor.clone() if buffer.contains(tensor) else tensor for name, tensor in kept.items()}


def _absent(slot: WeightPlace | HeldWeight) -> Tensor:
    """A tensor without data in the weight's place: using a block that is not bound fails at once."""
    tensor = slot.get()
    if tensor.is_meta or isinstance(slot, HeldWeight):
        return tensor
    bare = torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
    return torch.nn.Parameter(bare, requires_grad=False) if slot.is_parameter else bare


def check_host(plan: Plan) -> None:
    """Raises UserError, about a key of the plan, for one that blocks in PyTorch on this machine cannot follow."""
    for name, settings in plan.components.items():
        where = f"$.components.{name}"
        if settings.compute_units != "cpu_only":
            what = f"this machine runs blocks on the CPU only, not on '{settings.compute_units}'"
            raise UserError(what, mend="Write compute_units: cpu_only.", field=f"{where}.compute_units")
        if settings.stored != "float32":
            what = f"this machine stores blocks in float32, not in '{settings.stored}'"
            raise UserError(what, mend="Write precision: float32.", field=f"{where}.precision")
