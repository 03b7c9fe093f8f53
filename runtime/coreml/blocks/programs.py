"""Exported blocks in the reference executor: Core ML's programs, evaluated by torch on any machine.

For correctness, not for speed. Weights are held as the executor computes with them, so int8 ones decompressed; the
compute units that the plan asks for are not looked at.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

from ondevice_sora.plans.played import Played
from ondevice_sora.profiles.blocks import Processor
from ondevice_sora.runtime.coreml.blocks.packages import PackageBlocks
from ondevice_sora.runtime.coreml.export.exported import Export
from ondevice_sora.runtime.coreml.package.reading import read_package
from ondevice_sora.runtime.coreml.program.program import Held, Program
from ondevice_sora.runtime.executor.backend import CancelledLoadError, Progress
from ondevice_sora.runtime.executor.slots import Assignment, Holding
from ondevice_sora.runtime.networks.units import State, Unit


class ProgramBlocks(PackageBlocks):
    """The blocks of a schedule, out of an export."""

    def __init__(self, played: Played, export: Export) -> None:
        """Raises PackageError for a package that cannot be read, or holds an operation that is not done here."""
        super().__init__(played, export)
        files = {block.package for block in played.file.blocks}
        self._programs = {file: programs_of(export.directory / file) for file in sorted(files)}

    def lane_of(self, block: int) -> Processor:
        return "cpu"

    def detach(self) -> None:
        for programs in self._programs.values():
            for program in programs.values():
                program.evict()

    def open(self, assignment: Assignment, *, populate: bool) -> None:
        pass  # memory is allocated by each load

    def load(self, block: int, holding: Holding, progress: Progress) -> None:
        cache: dict[Hashable, list[Held]] = {}
        for program in self._programs[holding.file].values():
            program.load(cache)
            try:
                progress(0)
            except CancelledLoadError:
                self.evict(holding, trim=True)
                raise

    def run(self, block: int, holding: Holding, state: State, units: Sequence[Unit] | None) -> State:
        function = self.function_for(block, state)
        program = self._programs[function.package][function.function]
        outputs = program.run({each.feature: state[each.tensor] for each in function.inputs})
        written = {each.tensor: outputs[each.feature] for each in function.outputs}
        return self.handed_on(block, state, written)

    def evict(self, holding: Holding, *, trim: bool) -> None:
        for program in self._programs[holding.file].values():
            program.evict()

    def close(self) -> None:
        self.detach()

    def facts(self) -> Mapping[str, str]:
        return {"blocks": "ML Programs in the reference executor"}


def programs_of(path: Path) -> dict[str, Program]:
    """Every function of a package by name, not loaded. Raises PackageError."""
    return {name: Program(function, path) for name, function in read_package(path).functions.items()}
