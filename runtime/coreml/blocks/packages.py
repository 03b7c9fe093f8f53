"""What backends of exported blocks have in common: which package and function a visit means, and what it hands on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.played import Played
from ondevice_sora.runtime.coreml.export.exported import Export
from ondevice_sora.runtime.coreml.export.manifest import ExportedBlock, ExportedFunction
from ondevice_sora.runtime.executor.backend import Backend
from ondevice_sora.runtime.networks.units import State


class PackageBlocks(Backend):
    """What backends of exported blocks share: the packages of a schedule's blocks, by the blocks' numbers in it.

    Bytes are the schedule's: what is charged is what was simulated.
    """

    def __init__(self, played: Played, export: Export) -> None:
        """`played` is a schedule of this export (Export.played)."""
        self.export, self.played = export, played
        self.blocks = [export.block_of(spec) for spec in played.schedule.blocks]
        writes = {component.name: component.writes for component in export.manifest.components}
        self._hands_on = [
            {
                feature.tensor
                for later in _after(block, export.manifest.blocks)
                for function in later.functions
                for feature in function.inputs
            }
            | set(writes[block.component])
            for block in self.blocks
        ]

    @property
    def model(self) -> str:
        return self.export.manifest.model

    @property
    def directory(self) -> Path:
        return self.export.directory

    def first_function(self, block: int) -> ExportedFunction:
        """The function of the visit's variant, for inputs of the usual shapes."""
        return self.export.function_of(self.played.schedule.blocks[block])

    def file_of(self, block: int) -> str:
        """The package that a visit of this block loads."""
        return self.played.file.blocks[block].package

    def size_of(self, block: int) -> int:
        return self.played.file.blocks[block].resident_bytes

    @property
    def tells_progress(self) -> bool:
        """Loads are one call: nothing says how far they are."""
        return False

    def function_for(self, block: int, state: Mapping[str, object]) -> ExportedFunction:
        """The function to call: the visit's variant, or `tail` where the inputs are of its shapes.

        Raises UserError if no function takes inputs of these shapes.
        """
        exported = self.blocks[block]
        tail = exported.function("tail")
        for function in (self.first_function(block), *([tail] if tail is not None else [])):
            if all(tuple(getattr(state[each.tensor], "shape", ())) == each.shape for each in function.inputs):
                return function
        shapes = {name: tuple(getattr(tensor, "shape", ())) for name, tensor in state.items()}
        raise UserError(
            f"block '{exported.name}' of {exported.component} takes no inputs of these shapes: {shapes}",
            str(self.directory),
            "Export the plan for this video and text length.",
        )

    def handed_on(self, block: int, state: State, written: State) -> State:
        """What blocks after this one read, and what its component writes."""
        return {name: tensor for name, tensor in {**state, **written}.items() if name in self._hands_on[block]}


def _after(block: ExportedBlock, blocks: Sequence[ExportedBlock]) -> list[ExportedBlock]:
    return [each for each in blocks if each.component == block.component and each.number > block.number]
