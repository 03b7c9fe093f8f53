"""Exported blocks on Core ML itself, through coremltools on macOS.

Packages are compiled once, into `.compiled` in the export's folder, before the first load: Core ML keeps what it made
for a device beside the compiled model, so later loads are warm. A load is one function on the plan's compute units. The
other functions of its package are loaded when first run, and let go with it.

This backend has not run on Apple hardware: its calls are tested against stand-ins of coremltools 9.0's signatures.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.played import Played
from ondevice_sora.profiles.blocks import Processor
from ondevice_sora.runtime.coreml.blocks.packages import PackageBlocks
from ondevice_sora.runtime.coreml.export.exported import Export
from ondevice_sora.runtime.coreml.export.manifest import ExportedBlock, ExportedFunction
from ondevice_sora.runtime.coreml.private import duration_ns
from ondevice_sora.runtime.executor.backend import CancelledLoadError, Progress
from ondevice_sora.runtime.executor.slots import Assignment, Holding
from ondevice_sora.runtime.networks.units import State, Unit

COMPILED = ".compiled"
COMPUTE_UNITS = {"cpu_only": "CPU_ONLY", "cpu_and_gpu": "CPU_AND_GPU", "cpu_and_ne": "CPU_AND_NE", "all": "ALL"}


class Tools(Protocol):
    """The part of coremltools that is used here: `coremltools.models` and `coremltools` put together."""

    ComputeUnit: Any

    def compile_model(self, model: str, destination_path: str | None = None) -> str: ...

    def CompiledMLModel(  # noqa: N802
        self,
        path: str,
        compute_units: Any = ...,
        function_name: str | None = None,
        optimization_hints: dict[str, Any] | None = None,
    ) -> Any: ...


@dataclass(frozen=True)
class Duration:
    """What Core ML says that a load or a prediction took, without this program's share."""

    action: Literal["load", "predict"]
    component: str
    block: str
    function: str
    seconds: float


class CoreMLBlocks(PackageBlocks):
    """The blocks of a schedule, out of an export. `durations` has what Core ML measured, in order.

    `optimization_hints` are coremltools' own: {"specializationStrategy": SpecializationStrategy.FastPrediction}.
    """

    def __init__(
        self,
        played: Played,
        export: Export,
        *,
        optimization_hints: Mapping[str, Any] | None = None,
        tools: Tools | None = None,
    ) -> None:
        """Raises ModuleNotFoundError if coremltools is not installed."""
        super().__init__(played, export)
        self._hints = dict(optimization_hints) if optimization_hints else None
        self._tools = tools or coremltools_tools()
        self._compiled: dict[str, Path] = {}
        self._lock = threading.Lock()
        """of `_models`, which the loader and the runner both change; not held while Core ML works"""
        self._models: dict[tuple[str, str], Any] = {}
        self.durations: list[Duration] = []

    def lane_of(self, block: int) -> Processor:
        """Where the schedule takes it to run: Core ML chooses among the block's compute units and does not say."""
        return self.played.file.blocks[block].lane

    def detach(self) -> None:
        with self._lock:
            self._models.clear()

    def open(self, assignment: Assignment, *, populate: bool) -> None:
        """Compile the packages that are not compiled yet. Raises UserError if Core ML refuses one."""
        for exported in self.blocks:
            for package in exported.packages:
                self._compiled[package.file] = self._compile(package.file, package.checksum)

    def load(self, block: int, holding: Holding, progress: Progress) -> None:
        exported = self.blocks[block]
        self._load(exported, self.first_function(block))
        try:
            progress(0)
        except CancelledLoadError:  # what cannot be broken off is let go of as it ends
            self.evict(holding, trim=True)
            raise

    def run(self, block: int, holding: Holding, state: State, units: Sequence[Unit] | None) -> State:
        exported, function = self.blocks[block], self.function_for(block, state)
        with self._lock:
            model = self._models.get((function.package, function.function))
        if model is None:
            model = self._load(exported, function)
        features = {each.feature: _to_numpy(state[each.tensor], each.dtype) for each in function.inputs}
        outputs = model.predict(features)
        self._note("predict", exported, function, model)
        written = {each.tensor: _to_torch(outputs[each.feature], each.shape) for each in function.outputs}
        return self.handed_on(block, state, written)

    def evict(self, holding: Holding, *, trim: bool) -> None:
        with self._lock:
            self._models = {key: model for key, model in self._models.items() if key[0] != holding.file}

    def close(self) -> None:
        self.detach()

    def facts(self) -> Mapping[str, str]:
        spent = {action: sum(d.seconds for d in self.durations if d.action == action) for action in ("load", "predict")}
        return {
            "blocks": "Core ML",
            "lanes": "as the schedule has them; Core ML does not say",
            **{f"Core ML's own {action}s, s": f"{spent[action]:.6g}" for action in spent},
        }

    def _load(self, exported: ExportedBlock, function: ExportedFunction) -> Any:
        name = None if function.function == "main" else function.function
        units = getattr(self._tools.ComputeUnit, COMPUTE_UNITS[exported.compute_units])
        path = self._compiled[function.package]
        try:
            model = self._tools.CompiledMLModel(
                str(path), compute_units=units, function_name=name, optimization_hints=self._hints
            )
        except Exception as error:  # coremltools raises plain Exception, and RuntimeError out of the framework
            raise UserError(f"Core ML does not load function '{function.function}': {error}", str(path)) from error
        with self._lock:
            self._models[function.package, function.function] = model
        self._note("load", exported, function, model)
        return model

    def _note(
        self, action: Literal["load", "predict"], exported: ExportedBlock, function: ExportedFunction, model: Any
    ) -> None:
        nanoseconds = duration_ns(model, "load" if action == "load" else "last_predict")
        if nanoseconds is not None:
            spent = Duration(action, exported.component, exported.name, function.kind, nanoseconds / 1e9)
            self.durations.append(spent)

    def _compile(self, file: str, checksum: str) -> Path:
        compiled = self.directory / COMPILED / f"{Path(file).stem}-{checksum[:16]}.mlmodelc"
        if compiled.is_dir():
            return compiled
        partial = compiled.with_suffix(".part.mlmodelc")
        try:
            compiled.parent.mkdir(exist_ok=True)
            shutil.rmtree(partial, ignore_errors=True)
            self._tools.compile_model(str(self.directory / file), str(partial))
            partial.rename(compiled)
        except Exception as error:  # as above
            shutil.rmtree(partial, ignore_errors=True)
            raise UserError(f"Core ML does not compile this package: {error}", str(self.directory / file)) from error
        return compiled


def coremltools_tools() -> Tools:
    """What is used of the installed coremltools. Raises ModuleNotFoundError if there is none."""
    from types import SimpleNamespace
    from typing import cast

    from ondevice_sora.runtime.coreml.quiet import quietly

    with quietly() as ct:
        found = SimpleNamespace(
            ComputeUnit=ct.ComputeUnit,
            compile_model=ct.models.utils.compile_model,
            CompiledMLModel=ct.models.CompiledMLModel,
        )
    return cast(Tools, found)


def _to_numpy(tensor: Tensor, dtype: str) -> np.ndarray[Any, Any]:
    """As Core ML takes it: coremltools widens float16 arrays, and Core ML rounds them again."""
    return np.ascontiguousarray(tensor.detach().numpy().astype(np.int32 if dtype == "int32" else np.float32))


def _to_torch(array: Any, shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32)).reshape(shape)
