"""What the simulator is told of a network evaluation without guidance is what one does: one branch, one prompt.

With guidance the description has the reference app's joined branches, with twice the useful cross-attention.
"""

from __future__ import annotations

import msgspec
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from ondevice_sora.plans.plan_file import LoadedPlan, load_plan
from ondevice_sora.plans.schema import Tdtm
from ondevice_sora.profiles.models.model import Unit as DescribedUnit
from ondevice_sora.profiles.models.model import Variant
from ondevice_sora.runtime.models import SIZES, request_of_plan, without_weights
from ondevice_sora.runtime.networks.components import DENOISER
from ondevice_sora.runtime.sampling.video import VideoNetworks
from ondevice_sora.runtime.sampling.walks import walks_of
from ondevice_sora.simulator.prepare import model_of


def without_guidance(name: str) -> LoadedPlan:
    """A ready plan with a guidance of 1.0, merging on all steps."""
    loaded = load_plan(name)
    sampler = msgspec.structs.replace(loaded.plan.sampler, guidance=1.0)
    return LoadedPlan(msgspec.structs.replace(loaded.plan, sampler=sampler, tdtm=Tdtm("all")), loaded.document)


def described(loaded: LoadedPlan) -> dict[str, DescribedUnit]:
    """What a simulation of the plan takes the denoiser's units to be."""
    (denoiser,) = (each for each in model_of(loaded).model.components if each.name == DENOISER)
    return {unit.name: unit for unit in denoiser.units}


def counted(loaded: LoadedPlan, variant: Variant) -> dict[str, int]:
    """FLOPs of products in each unit of one network evaluation, run in the plan's shapes without values.

    Embedding the frames' numbers is left out, where there is that: it depends on no input, and packages have a table.
    """
    plan = loaded.plan
    video = VideoNetworks.of(without_weights(*SIZES[plan.model_name]), request_of_plan(plan))
    denoiser = video.model.denoiser
    walk = walks_of(video, plan, denoiser.config.model_max_length)[DENOISER][variant]
    flops = {}
    for unit, state in zip(walk.units, walk.states(), strict=False):
        with FlopCounterMode(display=False) as counter:
            unit(state)
        flops[unit.name] = counter.get_total_flops()
    if denoiser.config.embed_frames:
        with FlopCounterMode(display=False) as counter:
            denoiser.frame_embedder(torch.arange(float(walk.state["latent"].shape[2]), device="meta"))
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
