"""A plan's export played by the executor: the reference executor makes torch's video, and Core ML is called right."""

from __future__ import annotations

import inspect
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

pytest.importorskip("coremltools")

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.played import Played
from ondevice_sora.runtime.coreml.blocks.core_ml import CoreMLBlocks, coremltools_tools
from ondevice_sora.runtime.coreml.blocks.packages import PackageBlocks
from ondevice_sora.runtime.coreml.blocks.programs import ProgramBlocks, programs_of
from ondevice_sora.runtime.coreml.export.exported import Export
from ondevice_sora.runtime.coreml.export.manifest import ExportedBlock
from ondevice_sora.runtime.coreml.playing import play
from ondevice_sora.runtime.executor.backend import CancelledLoadError
from ondevice_sora.runtime.executor.executor import Executor
from ondevice_sora.runtime.executor.slots import Assignment, Holding
from ondevice_sora.runtime.sampling.generation import Video, generate

import coremltools as ct  # isort: skip

from worlds.exports import export
from worlds.partitioned import held_bytes

if TYPE_CHECKING:
    from worlds.exports import Exported

IDS, MASK = torch.tensor([[3, 7, 2, 9, 1, 0, 0, 0, 0]]), torch.tensor([[1, 1, 1, 1, 1, 0, 0, 0, 0]])


def opened(directory: Path) -> tuple[Export, Played]:
    export = Export.open(directory)
    return export, export.played()


def executor_of(played: Played, blocks: PackageBlocks, **options: Any) -> Executor:
    return Executor(played.schedule, played.costs, blocks, memory=played.file.memory, **options)


def generated(directory: Path) -> tuple[Video, Executor]:
    """A video by the reference executor, through the executor that plays torch blocks too."""
    export, played = opened(directory)
    with executor_of(played, ProgramBlocks(played, export)) as executor:
        return generate(export.video, IDS, MASK, player=executor, seed=1), executor


def held_by(directory: Path, block: ExportedBlock) -> int:
    """Bytes that the reference executor holds for a block's first package: of all its functions, each value once."""
    held = {}
    for program in programs_of(directory / block.packages[0].file).values():
        held.update(program.held)
    return sum(held.values())


def psnr(found: NDArray[np.uint8], expected: NDArray[np.uint8]) -> float:
    error = np.mean((found.astype(float) - expected) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-12)))


def test_the_reference_executor_makes_torchs_video(exported: Exported) -> None:
    """Plain and merging steps, and at the end a shorter chunk."""
    video, executor = generated(exported.directory)
    expected = exported.torch_frames(seed=1)
    assert expected.std() > 10, "a video of one grey would prove nothing"
    assert psnr(video.frames, expected) >= 60
    assert held_bytes(executor) == 0
    variants = [span.variant for span in executor.trace().spans if span.block == "spatial_0..temporal_0"]
    assert set(variants) == {"plain", "tdtm"}


@pytest.mark.parametrize(
    ("lpl", "evaluations"),
    [
        ("{mode: fixed, leap_step: 1}", 2),
        ("{mode: dynamic, rule: curvature, accepted_error: 10.0}", 3),
        ("{mode: dynamic, rule: paper}", 3),
    ],
)
def test_it_leaps_where_torch_does(exported: Exported, lpl: str, evaluations: int, tmp_path: Path) -> None:
    """By the rule in schedule.json; the denoiser's remaining visits are skipped, and what they held is let go."""
    shutil.copytree(exported.directory, tmp_path / "out")
    leaping = export(exported.weights, tmp_path, "float32", "float32", "[1]", f"lpl: {lpl}\n")
    of, played = opened(leaping.directory)
    tokens = IDS, MASK
    video, trace = play(of, played, *tokens, backend=ProgramBlocks(played, of), seed=1)
    assert psnr(video.frames, leaping.torch_frames(seed=1)) >= 60
    assert len(video.sample.steps) == evaluations
    steps = {span.step for span in trace.spans if span.component == "denoiser" and span.action == "run"}
    assert steps == set(range(evaluations))
    assert trace.memory[-1].resident == 0


def test_branches_in_turn_make_torchs_video_in_as_many_loads(exported: Exported, tmp_path: Path) -> None:
    """Every block of the denoiser runs for both within its visit."""
    shutil.copytree(exported.directory, tmp_path / "out")
    sampler = "sampler: {steps: 3, guidance: 4.0, branches: in_turn}\n"
    turning = export(exported.weights, tmp_path, "float32", "float32", "[1]", sampler)
    video, executor = generated(turning.directory)
    assert psnr(video.frames, turning.torch_frames(seed=1)) >= 60
    assert psnr(video.frames, exported.torch_frames(seed=1)) >= 60
    _, batched = generated(exported.directory)
    visits = [
        [(span.action, span.component, span.block, span.step) for span in each.trace().spans if span.action != "evict"]
        for each in (executor, batched)
    ]
    assert sorted(visits[0]) == sorted(visits[1])


def test_in_float16_and_int8_it_makes_nearly_the_same(exported_small: Exported) -> None:
    video, _ = generated(exported_small.directory)
    assert 35 <= psnr(video.frames, exported_small.torch_frames(seed=1)) < 80


def test_weights_are_held_once_and_decompressed(exported: Exported, exported_small: Exported) -> None:
    """Two functions of a package share what they hold; int8 weights are held as the float32 they are computed with."""
    export, small = Export.open(exported.directory), Export.open(exported_small.directory)
    pair = export.manifest.block("denoiser", "spatial_0", "temporal_0")
    programs = programs_of(export.directory / pair.packages[0].file)
    alone = max(sum(program.held.values()) for program in programs.values())
    assert len(programs) == 2 and alone <= held_by(export.directory, pair) <= 1.02 * alone
    text, compressed = (each.manifest.block("text_encoder", "embed", "final_norm") for each in (export, small))
    held, held_small = held_by(export.directory, text), held_by(small.directory, compressed)
    assert held_small == pytest.approx(held, rel=0.02)
    assert compressed.packages[0].num_bytes < text.packages[0].num_bytes


def test_inputs_of_other_shapes_are_refused(exported: Exported) -> None:
    export, played = opened(exported.directory)
    with (
        executor_of(played, ProgramBlocks(played, export)) as executor,
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
    export, played = opened(exported.directory)
    tools, hints = FakeTools(), {"allowLowPrecisionAccumulationOnGPU": True}
    blocks = CoreMLBlocks(played, export, optimization_hints=hints, tools=tools)
    with executor_of(played, blocks) as executor:
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
    with executor_of(played, CoreMLBlocks(played, export, tools=again)):
        pass
    assert not again.compiled, "what is compiled stays"
    lanes = {(span.component, span.action, span.lane) for span in executor.trace().spans if span.action != "evict"}
    assert ("denoiser", "run", "gpu") in lanes and ("decoder.spatial", "run", "cpu") in lanes
    assert {lane for _, action, lane in lanes if action == "load"} == {"load"}


def test_a_first_load_that_takes_minutes_is_told_and_waited_for(exported: Exported) -> None:
    """Core ML reports no progress: after the time that would end another run, the user is told once, and it goes on."""
    export, played = opened(exported.directory)
    now, is_told = [0.0], threading.Event()

    class Slow(FakeTools):
        def CompiledMLModel(self, path: str, *args: Any, **settings: Any) -> Any:  # noqa: N802
            if not self.loads:
                while not is_told.wait(0.01):  # it began before the runner came to wait for it
                    now[0] += 100.0
            return super().CompiledMLModel(path, *args, **settings)

    told = []

    def tell(block: str, seconds: float) -> None:
        told.append((block, seconds))
        is_told.set()

    blocks = CoreMLBlocks(played, export, tools=Slow())
    with executor_of(played, blocks, clock=lambda: now[0], on_slow=tell) as executor:
        executor.play("text_encoder", {"input_ids": IDS, "attention_mask": MASK})
    ((block, seconds),) = told
    assert block == "block 'embed..final_norm' of text_encoder, step 0" and seconds >= 60


def test_a_load_that_is_no_longer_wanted_is_let_go_of_as_it_ends(exported: Exported) -> None:
    """Core ML cannot break one off, so the ledger counts it to its end, and nothing of it stays."""
    export, played = opened(exported.directory)
    blocks = CoreMLBlocks(played, export, tools=FakeTools())
    block = next(i for i, each in enumerate(played.file.blocks) if each.component == "denoiser")
    holding = Holding(blocks.file_of(block), blocks.size_of(block), 0, 0, 1)

    def unwanted(_: int) -> None:
        raise CancelledLoadError

    blocks.open(Assignment((), ()), populate=False)
    with pytest.raises(CancelledLoadError):
        blocks.load(block, holding, unwanted)
    assert not blocks._models


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
    export, played = opened(exported_small.directory)

    class Refusing(FakeTools):
        def compile_model(self, model: str, destination_path: str | None = None) -> str:
            raise Exception("no")

    executor = executor_of(played, CoreMLBlocks(played, export, tools=Refusing()))
    with pytest.raises(UserError, match=r"text_encoder\.000\.mlpackage: Core ML does not compile this package: no"):
        executor.__enter__()
