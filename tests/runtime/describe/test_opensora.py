"""Open-Sora by the road of every other model: our own networks, counted on meta tensors, beside the description."""

from __future__ import annotations

from functools import cache

import msgspec
import pytest
from torch import Tensor, nn

from ondevice_sora.plans.plan_file import LoadedPlan, load_plan
from ondevice_sora.profiles.models.model import Component
from ondevice_sora.runtime.describe.counting import Counted, counted
from ondevice_sora.runtime.describe.trace import traced
from ondevice_sora.runtime.models import SIZES, request_of_plan, without_weights
from ondevice_sora.runtime.networks.units import BlockModule, State, Unit
from ondevice_sora.runtime.sampling.video import VideoNetworks
from ondevice_sora.runtime.sampling.walks import walks_of
from ondevice_sora.simulator.prepare import model_of

COMPONENTS = ("text_encoder", "denoiser", "decoder.temporal", "decoder.spatial")


class Walked(nn.Module):
    """A network of ours as one module whose layers are its units."""

    def __init__(self, units: tuple[Unit, ...]) -> None:
        super().__init__()
        self.units = nn.ModuleList([BlockModule(units, index, index + 1) for index in range(len(units))])

    def forward(self, state: State) -> list[Tensor]:
        state, blocks = dict(state), [each for each in self.units if isinstance(each, BlockModule)]
        for block in blocks:
            state.update(zip(block.outputs, block(*(state[name] for name in block.inputs)), strict=True))
        return [state[name] for name in blocks[-1].outputs]


@cache
def both(name: str) -> dict[str, tuple[Component, Counted]]:
    """Component -> as described, and as counted; without guidance, since the app's joined branches do more."""
    loaded = load_plan(name)
    sampler = msgspec.structs.replace(loaded.plan.sampler, guidance=1.0)
    loaded = LoadedPlan(msgspec.structs.replace(loaded.plan, sampler=sampler), loaded.document)
    described = {each.name: each for each in model_of(loaded).model.components}
    plan = loaded.plan
    video = VideoNetworks.of(without_weights(*SIZES[plan.model_name]), request_of_plan(plan))
    found = {}
    for component, kinds in walks_of(video, plan, video.model.denoiser.config.model_max_length).items():
        walk = kinds["plain"]
        network = Walked(walk.units)
        trace = traced(network, lambda network=network, walk=walk: network(walk.state), walk.state)
        layers = [f"units.{index}" for index in range(len(walk.units))]
        found[component] = described[component], counted(trace, layers, "scores")
    return found


@pytest.mark.parametrize("component", COMPONENTS)
def test_units_have_the_parameters_and_products_of_the_description(component: str) -> None:
    described, found = both("small")[component]
    assert len(found.units) == len(described.units)
    shared = sum(unit.parameters for unit in found.units)
    assert shared == sum(unit.parameters for unit in described.units)
    for ours, theirs in zip(found.units, described.units, strict=True):
        assert ours.plain.matmul_flops == theirs.plain.matmul_flops, theirs.name
        assert ours.plain.attention_flops == theirs.plain.attention_flops, theirs.name
        assert ours.plain.convolution_flops == theirs.plain.convolution_flops, theirs.name


@pytest.mark.parametrize(("component", "held", "moved"), [
    ("text_encoder", 0.05, 0.2), ("denoiser", 0.05, 0.2), ("decoder.temporal", 0.0, 0.1),
    ("decoder.spatial", 0.0, 0.05),
])  # fmt: skip
def test_memory_and_traffic_agree_with_the_description(component: str, held: float, moved: float) -> None:
    """The description writes operators down by hand: a rotary embedding or an attention's copies are a little apart."""
    described, found = both("small")[component]
    peak = max(unit.plain.working_elements for unit in described.units)
    assert max(unit.plain.working_elements for unit in found.units) == pytest.approx(peak, rel=held)
    total = sum(unit.plain.moved_elements for unit in described.units)
    assert sum(unit.plain.moved_elements for unit in found.units) == pytest.approx(total, rel=moved)
