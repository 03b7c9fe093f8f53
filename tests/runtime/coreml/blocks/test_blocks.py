"""A plan's export played by the executor: the reference executor makes torch's video, and Core ML is called right."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

pytest.importorskip("coremltools")

from ondevice_sora.base.errors import UserError
from ondevice_sora.runtime.coreml.blocks.core_ml import CoreMLBlocks, coremltools_tools, package_bytes
from ondevice_sora.runtime.coreml.blocks.programs import ProgramBlocks, program_bytes, programs_of
from ondevice_sora.runtime.coreml.export.exported import Export
from ondevice_sora.runtime.executor.executor import Executor
from ondevice_sora.runtime.sampling.generation import Video, generate

import coremltools as ct  # isort: skip

from worlds.partitioned import held_bytes

if TYPE_CHECKING:
    from worlds.exports import Exported

IDS, MASK = torch.tensor([[3, 7, 2, 9, 1, 0, 0, 0, 0]]), torch.tensor([[1, 1, 1, 1, 1, 0, 0, 0, 0]])


def played(directory: Path) -> tuple[Video, Executor]:
    """A video by the reference executor, through the executor and the schedule that play torch blocks too."""
    export = Export.open(directory)
    schedule, costs = export.schedule(lambda block: program_bytes(export, block))
    with Executor(schedule, costs, ProgramBlocks(schedule, export)) as executor:
        return generate(export.video, IDS, MASK, player=executor, seed=1), executor


def psnr(found: NDArray[np.uint8], expected: NDArray[np.uint8]) -> float:
    error = np.mean((found.astype(float) - expected) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-12)))


def test_the_reference_executor_makes_torchs_video(exported: Exported) -> None:
    """Plain and merging steps, and at the end a shorter chunk."""
    video, executor = played(exported.directory)
    expected = exported.torch_frames(seed=1)
    assert expected.std() > 10, "a video of one grey would prove nothing"
    assert psnr(video.frames, expected) >= 60
    assert held_bytes(executor) == 0
    variants = [span.variant for span in executor.trace().spans if span.block == "spatial_0..temporal_0"]
    assert set(variants) == {"plain", "tdtm"}


def test_in_float16_and_int8_it_makes_nearly_the_same(exported_small: Exported) -> None:
    video, _ = played(exported_small.directory)
    assert 35 <= psnr(video.frames, exported_small.torch_frames(seed=1)) < 80


def test_weights_are_held_once_and_decompressed(exported: Exported, exported_small: Exported) -> None:
    """Two functions of a package share what they hold; int8 weights are held as the float32 they are computed with."""
    export, small = Export.open(exported.directory), Export.open(exported_small.directory)
    pair = export.manifest.block("denoiser", "spatial_0", "temporal_0")
    programs = programs_of(export.directory / pair.packages[0].file)
    alone = max(sum(program.held.values()) for program in programs.values())
    assert len(programs) == 2 and alone <= program_bytes(export, pair) <= 1.02 * alone
    text, compressed = (each.manifest.block("text_encoder", "embed", "final_norm") for each in (export, small))
    held, held_small = program_bytes(export, text), program_bytes(small, compressed)
    assert held_small == pytest.approx(held, rel=0.02)
    assert compressed.packages[0].num_bytes < text.packages[0].num_bytes


def test_inputs_of_other_shapes_are_refused(exported: Exported) -> None:
    export = Export.open(exported.directory)
    schedule, costs = export.schedule(package_bytes)
    with (
        Executor(schedule, costs, ProgramBlocks(schedule, export)) as executor,
        pytest.raises(UserError, match="takes no inputs of these shapes"),
    ):
        executor.play("text_encoder", {"input_ids": IDS[:, :4], "attention_mask": MASK[:, :4]})


class FakeTools:
    """coremltools' calls as CoreMLBlocks makes them, carried out by the reference executor."""

    ComputeUnit = ct.ComputeUnit

    def __init__(self) -> None:
        self.compiled: list[str] = []
        self.loads: list[tuple[str, str, str | None, Any]] = []

    def compile_model(self, model: str, destination_path: str | None = None) -> str:
        assert destination_path is not None and destination_path.endswith(".mlmodelc")
        Path(destination_path).mkdir()
        (Path(destination_path) / "from").write_text(model)
        self.compiled.append(Path(model).name)
        return destination_path

    def CompiledMLModel(  # noqa: N802
        self, path: str, compute_units: Any = ct.ComputeUnit.ALL, function_name: str | None = None,
        optimization_hints: dict[str, Any] | None = None, asset: Any = None,
    ) -> Any:  # fmt: skip
        source = Path((Path(path) / "from").read_text())
        programs = programs_of(source)
        assert (function_name is None) == (len(programs) == 1), "the function of a multifunction package is named"
        program = programs[function_name or "main"]
        program.load()
        self.loads.append((source.name, compute_units.name, function_name, optimization_hints))

        def predict(data: dict[str, Any], state: Any = None) -> dict[str, Any]:
            assert all(array.dtype in (np.float32, np.int32) for array in data.values())
            outputs = program.run({name: torch.from_numpy(array) for name, array in data.items()})
            return {name: tensor.float().numpy() for name, tensor in outputs.items()}

        proxy = SimpleNamespace(
            get_load_duration_in_nano_seconds=lambda: 2_000_000, get_last_predict_duration_in_nano_seconds=lambda: 500
        )
        return SimpleNamespace(predict=predict, _proxy=proxy)


def test_core_ml_is_called_as_coremltools_expects(exported: Exported) -> None:
    export = Export.open(exported.directory)
    tools, hints = FakeTools(), {"allowLowPrecisionAccumulationOnGPU": True}
    schedule, costs = export.schedule(package_bytes)
    blocks = CoreMLBlocks(schedule, export, optimization_hints=hints, tools=tools)
    with Executor(schedule, costs, blocks) as executor:
        video = generate(export.video, IDS, MASK, player=executor, seed=1)
    assert psnr(video.frames, exported.torch_frames(seed=1)) >= 60
    units = {name.split(".")[0]: unit for name, unit, _, _ in tools.loads}
    assert units == {"text_encoder": "CPU_AND_GPU", "denoiser": "CPU_AND_GPU", "decoder": "CPU_ONLY"}
    assert all(given == hints for *_, given in tools.loads)
    assert {(name, function) for name, _, function, _ in tools.loads} == {
        ("text_encoder.000.mlpackage", None),
        ("denoiser.000.mlpackage", None),
        ("denoiser.001.mlpackage", "plain"),
        ("denoiser.001.mlpackage", "tdtm"),
        ("denoiser.002.mlpackage", None),
        ("decoder.temporal.000.mlpackage", "plain"),
        ("decoder.temporal.000.mlpackage", "tail"),
        ("decoder.spatial.000.mlpackage", None),
    }
    assert sorted(tools.compiled) == sorted({p.file for block in export.manifest.blocks for p in block.packages})
    assert {d.action for d in blocks.durations} == {"load", "predict"}
    assert blocks.durations[0].seconds == 0.002
    again = FakeTools()
    with Executor(schedule, costs, CoreMLBlocks(schedule, export, tools=again)):
        pass
    assert not again.compiled, "what is compiled stays"


def test_the_fake_has_the_signatures_of_coremltools() -> None:
    real = coremltools_tools()
    for name in ("compile_model", "CompiledMLModel"):
        wanted = inspect.signature(getattr(real, name)).parameters
        faked = inspect.signature(getattr(FakeTools(), name)).parameters
        assert list(faked) == list(wanted), name
        assert [p.default for p in faked.values()] == [p.default for p in wanted.values()], name
    predict = inspect.signature(ct.models.CompiledMLModel.predict).parameters
    assert list(predict) == ["self", "data", "state"]


def test_what_core_ml_refuses_names_the_package(exported_small: Exported) -> None:
    export = Export.open(exported_small.directory)
    schedule, costs = export.schedule(package_bytes)

    class Refusing(FakeTools):
        def compile_model(self, model: str, destination_path: str | None = None) -> str:
            raise Exception("no")

    executor = Executor(schedule, costs, CoreMLBlocks(schedule, export, tools=Refusing()))
    with pytest.raises(UserError, match=r"text_encoder\.000\.mlpackage: Core ML does not compile this package: no"):
        executor.__enter__()
