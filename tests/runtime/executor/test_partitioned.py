"""A video generated block by block is the video of the model in memory, bit for bit, LPL and TDTM included."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from worlds.partitioned import held_bytes, plan_of

from ondevice_sora.plans.partition import cut
from ondevice_sora.plans.scheduling import build_schedule
from ondevice_sora.plans.schema import ComponentPlan, Tdtm, UnitsPerBlock
from ondevice_sora.profiles.costs import bytes_alone
from ondevice_sora.runtime.executor.executor import Executor
from ondevice_sora.runtime.executor.store import write_store
from ondevice_sora.runtime.executor.torch_blocks import TorchBlocks
from ondevice_sora.runtime.networks.components import TextToVideo
from ondevice_sora.runtime.networks.description import describe_networks
from ondevice_sora.runtime.networks.stdit3 import STDiT3
from ondevice_sora.runtime.networks.t5 import T5Encoder
from ondevice_sora.runtime.networks.video_vae import VideoVAE
from ondevice_sora.runtime.sampling.generation import generate
from ondevice_sora.runtime.sampling.leap import FixedLeap
from ondevice_sora.runtime.sampling.request import VideoRequest
from ondevice_sora.runtime.sampling.video import VideoNetworks

import torch  # isort: skip

STEPS = 4
TOKENS, MASK = torch.tensor([[3, 5, 7, 9, 1, 0, 0]]), torch.tensor([[1, 1, 1, 1, 1, 0, 0]])


@pytest.mark.parametrize("leap", [None, 1])
@pytest.mark.parametrize("units", [("*",), ("spatial_*", "temporal_1")])
@pytest.mark.parametrize("tdtm", ["none", (0, 1)])
@pytest.mark.parametrize(("prefetch", "keep", "num_frames"), [(0, "none", 5), (2, "optimal", 20)])
def test_the_video_is_the_same(
    denoiser: STDiT3,
    text_encoder: T5Encoder,
    video_vae: VideoVAE,
    tmp_path: Path,
    leap: int | None,
    tdtm: Any,
    units: tuple[str, ...],
    prefetch: int,
    keep: str,
    num_frames: int,
) -> None:
    whole = TextToVideo(text_encoder, denoiser, video_vae)
    merge_steps = () if tdtm == "none" else tdtm
    request = VideoRequest(
        num_frames, 16, 16, 8.0, STEPS, 4.0, merge_steps=merge_steps, merged_blocks=Tdtm(units=units).chosen,
        leap=None if leap is None else FixedLeap(leap),
    )  # fmt: skip
    expected = generate(VideoNetworks.of(whole, request), TOKENS, MASK, seed=1)

    plan = msgspec.structs.replace(plan_of(steps=STEPS), tdtm=Tdtm(tdtm, units))
    component = ComponentPlan(
        blocks=UnitsPerBlock(3), compute_units="cpu_only", prefetch=prefetch, keep=keep  # type: ignore[arg-type]
    )  # fmt: skip
    plan = msgspec.structs.replace(plan, components=dict.fromkeys(("text_encoder", "denoiser", "decoder"), component))
    video = VideoNetworks.of(copy.deepcopy(whole), request)
    model = describe_networks("tiny", video.networks)
    store = write_store(tmp_path, model, video.networks, cut(plan, model, {}))
    schedule, costs = build_schedule(plan, model, {}, bytes_alone())
    with Executor(schedule, costs, TorchBlocks(schedule, video.networks, store)) as executor:
        found = generate(video, TOKENS, MASK, player=executor, seed=1)
    assert np.array_equal(found.frames, expected.frames)
    assert torch.equal(found.sample.latent, expected.sample.latent)
    assert found.sample.leap_step == leap
    denoised = {span.step for span in executor.trace().spans if span.component == "denoiser" and span.action == "run"}
    assert len(denoised) == (STEPS if leap is None else leap + 1)
    assert held_bytes(executor) == 0
