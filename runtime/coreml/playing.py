"""A video from an export: the generation that every player plays, by the export's schedule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from torch import Tensor

from ondevice_sora.plans.played import Played
from ondevice_sora.records.trace import Trace
from ondevice_sora.runtime.coreml.blocks.core_ml import CoreMLBlocks
from ondevice_sora.runtime.coreml.blocks.packages import PackageBlocks
from ondevice_sora.runtime.coreml.blocks.programs import ProgramBlocks
from ondevice_sora.runtime.coreml.export.exported import Export
from ondevice_sora.runtime.executor.executor import Executor
from ondevice_sora.runtime.sampling.generation import Video, generate
from ondevice_sora.runtime.sampling.leap import rule_of
from ondevice_sora.runtime.sampling.sampler import StepRecord

BackendName = Literal["coreml", "reference"]
BACKENDS: dict[BackendName, Callable[[Played, Export], PackageBlocks]] = {
    "coreml": CoreMLBlocks,
    "reference": ProgramBlocks,
}


def play(
    export: Export,
    played: Played,
    token_ids: Tensor,
    token_mask: Tensor,
    *,
    backend: PackageBlocks,
    seed: int,
    device: str | None = None,
    on_step: Callable[[StepRecord], None] | None = None,
    on_slow: Callable[[str, float], None] | None = None,
) -> tuple[Video, Trace]:
    """One video for one prompt, tokens [1, L], and the trace of it, which names `device` as where it was made.

    `on_slow` is told of loads that take long.

    Raises UserError as the executor does.
    """
    file = played.file
    video = replace(export.video, request=replace(export.video.request, leap=rule_of(file.leap)))
    with Executor(
        played.schedule,
        played.costs,
        backend,
        device=device,
        memory=file.memory,
        limit_bytes=file.limit_bytes,
        on_slow=on_slow,
    ) as executor:
        result = generate(video, token_ids, token_mask, seed=seed, player=executor, on_step=on_step)
    facts = {"schedule": f"for {file.device}, priced by {file.profile.name}"}
    return result, executor.trace(facts)
