"""Blocks as torch modules: weights are read from a block store into buffers, and lie nowhere else.

A unit has weights only while it runs: its modules' parameters are then views into the buffer, copied nowhere. Those
that the store holds in 16 bits are copied, to float32, in which all arithmetic is, and only for the unit that runs.
Weights that the modules held before are dropped when the backend is opened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.checks import refuse_core_ai
from ondevice_sora.plans.schedule import Schedule
from ondevice_sora.plans.schema import Plan
from ondevice_sora.profiles.blocks import Processor, span_name
from ondevice_sora.runtime.executor.backend import Progress
from ondevice_sora.runtime.executor.buffers import Buffer, placed
from ondevice_sora.runtime.executor.reading import FileReader, Reader
from ondevice_sora.runtime.executor.slots import Assignment, Holding
from ondevice_sora.runtime.executor.store import DTYPES, VECTOR_BYTES, Store, StoredBlock
from ondevice_sora.runtime.networks.network import HeldWeight, Network, WeightPlace, weight_places
from ondevice_sora.runtime.networks.units import State, Unit


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
                by_name[spec.component],
                store.files_of(spec.component, spec.units[0].name, spec.units[-1].name),
                spec.variant,
                [unit.name for unit in spec.units],
            )
            for spec in schedule.blocks
        ]
        self._is_separate = schedule.plan.tdtm.is_separate
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
        return found.name + (f" {found.variant}" if self._is_separate else "")

    def size_of(self, block: int) -> int:
        return self._blocks[block].num_bytes

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
        found = self._blocks[block]
        for file, offset in zip(found.files, found.offsets, strict=True):
            self.reader.read(file, view[offset:], progress)

    def run(self, block: int, holding: Holding, state: State, units: Sequence[Unit] | None) -> State:
        found, buffer = self._blocks[block], self.buffers[holding.buffer]
        return found.run(state, self._views[found.name, holding.buffer], buffer, units)

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
            found, buffer = self._blocks[visit.block], self.buffers[holding.buffer]
            if (found.name, holding.buffer) not in self._views:
                self._views[found.name, holding.buffer] = found.tensors(buffer)


class RuntimeBlock:
    """A block in one variant: its units, where their weights belong and lie, and what it hands on.

    `files` hold the units one after the other. `offsets` are where their data lie in a buffer.
    """

    def __init__(self, network: Network, files: Sequence[StoredBlock], variant: str, names: Sequence[str]) -> None:
        """Raises UserError if the files hold other weights than these units."""
        self.files, self.variant = files, variant
        self.offsets, self.num_bytes = placed([file.data_bytes for file in files])
        units = network.units("tdtm" if variant == "tdtm" else "plain")
        start = next(i for i, unit in enumerate(units) if unit.name == names[0])
        self.span = slice(start, start + len(names))
        self.units: tuple[Unit, ...] = units[self.span]
        later = units[start + len(names) :]
        self.hands_on = {name for unit in later for name in unit.reads} if later else set()
        self.hands_on |= set(units[-1].writes)
        self.weights = [[StoredWeight(name, slot) for name, slot in weight_places(unit)] for unit in self.units]
        self._match()

    @property
    def name(self) -> str:
        """Of the file, or of the first and the last: blocks of the same files are the same in memory."""
        first, last = self.files[0].file, self.files[-1].file
        return first if len(self.files) == 1 else f"{first}..{last}"

    def _match(self) -> None:
        """Give every weight its place in the list that `tensors` makes. Raises UserError if there is another list."""
        name = span_name(self.files[0].first_unit, self.files[-1].last_unit)
        wanted = {weight.name: weight for weights in self.weights for weight in weights}
        entries = [entry for file in self.files for entry in file.tensors]
        known = {entry.name for entry in entries}
        if known != set(wanted):
            differing = ", ".join(sorted(known ^ set(wanted))[:5])
            raise UserError(f"block '{name}' has other weights than the network: {differing}", self.files[0].file)
        for index, entry in enumerate(entries):
            weight, dtype = wanted[entry.name], DTYPES[entry.dtype]
            needed = weight.slot.get()
            if entry.shape != tuple(needed.shape) or not (dtype == needed.dtype or is_widened(dtype, needed.dtype)):
                held, asked = f"{dtype} {list(entry.shape)}", f"{needed.dtype} {list(needed.shape)}"
                raise UserError(f"{entry.name} is {held} in block '{name}', and {asked} here", self.files[0].file)
            weight.index = index
            weight.is_used_where_it_lies = entry.start % VECTOR_BYTES == 0 and dtype == needed.dtype

    def tensors(self, buffer: Buffer) -> list[Tensor]:
        """Views of the block's weights in a buffer that it comes to lie in."""
        pairs = zip(self.files, self.offsets, strict=True)
        return [tensor for file, offset in pairs for tensor in buffer.tensors(file.tensors, offset)]

    def unbind(self) -> None:
        """Take the weights away from all units."""
        for weights in self.weights:
            for weight in weights:
                weight.take()

    def run(
        self, state: State, tensors: Sequence[Tensor], buffer: Buffer, units: Sequence[Unit] | None = None
    ) -> State:
        """The state after the block, without what nobody reads later; nothing in it lies in the buffer.

        Each unit has its weights while it runs: what is widened for it is gone before the next.
        """
        after = state
        for unit, weights in zip(self.units if units is None else units[self.span], self.weights, strict=True):
            try:
                for weight in weights:
                    weight.put(tensors[weight.index])
                after = unit(after)
            finally:
                for weight in weights:
                    weight.take()
        kept = {name: tensor for name, tensor in after.items() if name in self.hands_on}
        return {name: tensor.clone() if buffer.contains(tensor) else tensor for name, tensor in kept.items()}


class StoredWeight:
    """A weight of a unit: where it belongs, and which of its block's tensors it is."""

    def __init__(self, name: str, slot: WeightPlace | HeldWeight) -> None:
        self.name, self.slot = name, slot
        self.index = -1
        self.is_used_where_it_lies = False
        self._absent = _absent(slot)

    def put(self, tensor: Tensor) -> None:
        """Put it in its place: as it lies in the buffer, or a copy, widened where it is stored in half precision.

        Few and small ones lie off VECTOR_BYTES; these are copied too. Matrix products may round otherwise where a
        weight lies otherwise, and a whole model's weights are aligned.
        """
        self.slot.put(tensor if self.is_used_where_it_lies else tensor.to(self._absent.dtype, copy=True))

    def take(self) -> None:
        self.slot.put(self._absent)


def _absent(slot: WeightPlace | HeldWeight) -> Tensor:
    """A tensor without data in the weight's place: using a block that is not bound fails at once."""
    tensor = slot.get()
    if tensor.is_meta or isinstance(slot, HeldWeight):
        return tensor
    bare = torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
    return torch.nn.Parameter(bare, requires_grad=False) if slot.is_parameter else bare


def is_widened(stored: torch.dtype, needed: torch.dtype) -> bool:
    """Whether values of one type are stored for arithmetic in another: each is exact in it."""
    return needed == torch.float32 and stored in (torch.float16, torch.bfloat16)


def check_host(plan: Plan) -> None:
    """Raises UserError, about a key of the plan, for one that blocks in PyTorch on this machine cannot follow."""
    refuse_core_ai(plan)
    for name, settings in plan.components.items():
        where = f"$.components.{name}"
        if settings.compute_units != "cpu_only":
            what = f"this machine runs blocks on the CPU only, not on '{settings.compute_units}'"
            raise UserError(what, mend="Write compute_units: cpu_only.", field=f"{where}.compute_units")
        if settings.stored != "float32":
            what = f"this machine stores blocks in float32, not in '{settings.stored}'"
            raise UserError(what, mend="Write precision: float32.", field=f"{where}.precision")
