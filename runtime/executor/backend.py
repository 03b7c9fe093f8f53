"""The protocol that the executor plays any backend through: load, run, evict.

A schedule's blocks are numbered; what a load brings into memory is a holding (runtime/executor/slots.py): a file's
weights in one of the slots that the executor has assigned beforehand. Loads come from the executor's loader thread, one
at a time; everything else from the thread that runs, beside the load. A block runs between its holding's load and its
eviction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ondevice_sora.profiles.blocks import Processor
from ondevice_sora.runtime.executor.slots import Assignment, Holding
from ondevice_sora.runtime.networks.units import State, Unit

Progress = Callable[[int], None]
"""Called between a load's reads with the bytes read so far; raises CancelledLoadError when the load is not wanted."""


class CancelledLoadError(Exception):
    """The load under way is not wanted any more."""


class Backend(Protocol):
    """Blocks of one schedule. All sizes are bytes held while a block is resident."""

    @property
    def model(self) -> str:
        """The model's name, as in traces."""

    @property
    def directory(self) -> Path:
        """Where the blocks come from, for messages."""

    @property
    def tells_progress(self) -> bool:
        """Whether loads call `progress` while they go on. One that does not may take minutes, and is waited for."""

    def lane_of(self, block: int) -> Processor:
        """The processor that runs the block."""

    def file_of(self, block: int) -> str:
        """What a load of the block brings in; the same for blocks that share it."""

    def size_of(self, block: int) -> int:
        """What it holds."""

    def detach(self) -> None:
        """Take weights away from whatever holds them beside loads: before the first block runs, and after the last."""

    def open(self, assignment: Assignment, *, populate: bool) -> None:
        """Make ready for the loads to come; `populate` wants the slots' memory now. Raises UserError for lack of it."""

    def load(self, block: int, holding: Holding, progress: Progress) -> None:
        """Bring the block in. Raises UserError if it cannot be read, or what `progress` raises."""

    def run(self, block: int, holding: Holding, state: State, units: Sequence[Unit] | None) -> State:
        """What later blocks read and the block writes or passes on; no tensor of it changes with an eviction.

        `units` stand instead of the component's for a pass in another shape.
        """

    def evict(self, holding: Holding, *, trim: bool) -> None:
        """Let the holding go. `trim` wants its memory back now, beyond what the slot's next holding needs."""

    def close(self) -> None:
        """Give everything back. Nothing is under way."""

    def facts(self) -> Mapping[str, str]:
        """What a trace should say of how blocks were loaded and run."""
