"""What the simulator is told of a network evaluation without guidance is what one does: one branch, one prompt.

With guidance the description has the reference app's joined branches, with twice the useful cross-attention.
"""

from __future__ import annotations

import msgspec
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from ondevice_sora.plans.schema import LoadedPlan, load_plan
from ondevice_sora.profiles.models.model import Unit as DescribedUnit
from ondevice_sora.profiles.models.model import Variant
from ondevice_sora.runtime.coreml.export.workshop import SIZES, request_of_plan, without_weights
from ondevice_sora.runtime.networks.components import DENOISER
from ondevice_sora.runtime.sampling.video import VideoNetworks
from ondevice_sora.simulator.prepare import model_of


def without_guidance(name: str) -> LoadedPlan:
    loaded = load_plan(name)
    sampler = msgspec.structs.replace(loaded.plan.sampler, guidance=1.0)
    return LoadedPlan(msgspec.structs.replace(loaded.plan, sampler=sampler), loaded.document)


def described(loaded: LoadedPlan) -> dict[str, DescribedUnit]:
    """What a simulation of the plan takes the denoiser's units to be."""
    (denoiser,) = (each for each in model_of(loaded).model.components if each.name == DENOISER)
    return {unit.name: unit for unit in denoiser.units}


def counted(loaded: LoadedPlan, variant: Variant) -> dict[str, int]:
    """FLOPs of products in each unit of one network evaluation, run in the plan's shapes without values.

    Embedding the frames' numbers is left out, where there is that: it depends on no input, and packages have a table.
    """
    plan = loaded.plan
    video = VideoNetworks.of(without_weights(*SIZES[plan.model]), request_of_plan(plan))
    request, denoiser = video.request, video.model.denoiser
    size = video.model.decoder.config.latent_size(request.num_frames, request.height, request.width)
    channels = denoiser.config.caption_channels
    with torch.device("meta"):
        captions = video.captions(torch.empty(1, denoiser.config.model_max_length, channels))
        latents = torch.empty(len(captions), denoiser.config.in_channels, *size)
        state = denoiser.initial_state(latents, torch.empty(len(captions)), captions, fps=torch.empty(1))
    (network,) = (each for each in video.networks if each.name == DENOISER)
    flops = {}
    for unit in network.units(variant):
        with FlopCounterMode(display=False) as counter:
            state = unit(state)
        flops[unit.name] = counter.get_total_flops()
    if denoiser.config.embed_frames:
        with FlopCounterMode(display=False) as counter:
            denoiser.frame_embedder(torch.arange(float(size[0]), device="meta"))
        flops["input"] -= counter.get_total_flops()
    return flops


@pytest.mark.parametrize("name", ["small", "ours-256"])
@pytest.mark.parametrize("variant", ["plain", "tdtm"])
def test_products_of_one_branch(name: str, variant: Variant) -> None:
    loaded = without_guidance(name)
    works = {unit.name: unit.work(variant) for unit in described(loaded).values()}
    assert counted(loaded, variant) == {
        name: work.matmul_flops + work.attention_flops + work.convolution_flops for name, work in works.items()
    }
