"""What is counted in converted blocks is what profiles/models/opensora.py derives from the architecture.

On equal terms: one branch, so that the app's joined cross-attention is no other than ours, and as many caption tokens
as the denoiser attends to. Small widths; the rules do not know sizes.
"""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("coremltools")

from ondevice_sora.profiles.models.model import Variant
from ondevice_sora.profiles.models.opensora import opensora
from ondevice_sora.profiles.models.opensora_sizes import (
    DecoderConfig,
    DenoiserConfig,
    OpenSoraConfig,
    TextEncoderConfig,
)
from ondevice_sora.runtime.coreml.estimate.counting import count
from ondevice_sora.runtime.coreml.export.conversion import convert_block
from ondevice_sora.runtime.coreml.package.reading import read_package
from ondevice_sora.runtime.coreml.package.weights import weights_of
from ondevice_sora.runtime.networks.spatial_vae import SpatialVAE, SpatialVAEConfig
from ondevice_sora.runtime.networks.stdit3 import LatentSize, PixelSize, STDiT3, STDiT3Config
from ondevice_sora.runtime.networks.t5 import T5Config, T5Encoder
from ondevice_sora.runtime.networks.units import BlockModule, run_units

TOKENS, WIDTH, HEADS = 12, 64, 2
DESCRIBED = opensora(
    128, 128, 68, TOKENS, guidance_batch=1,
    config=OpenSoraConfig(
        text_encoder=TextEncoderConfig(2, WIDTH, HEADS, 32, 96, 50, tokens=TOKENS),
        denoiser=DenoiserConfig(depth=1, hidden=WIDTH, heads=HEADS),
        decoder=DecoderConfig(spatial_widths=(16, 32, 32, 32)),
    ),
)  # fmt: skip
LATENT = LatentSize(20, 16, 16)


def described(component: str, names: tuple[str, ...], variant: Variant = "plain"):
    """FLOPs, moved elements and parameters of units together."""
    (found,) = [each for each in DESCRIBED.components if each.name == component]
    units = [unit for unit in found.units if unit.name in names]
    assert len(units) == len(names)
    works = [unit.work(variant) for unit in units]
    flops = sum(work.matmul_flops + work.attention_flops + work.convolution_flops for work in works)
    return flops, sum(work.moved_elements for work in works), sum(unit.stored for unit in units)


def drawn(network):
    """With no weight that conversion could fold away."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        parameter.data.normal_(0, 0.1)
    return network.eval()


@pytest.fixture
def converted(tmp_path):
    """What is counted in units start..stop of a network, and their weights."""

    def converted(units, start, stop, state):
        with torch.no_grad():
            state = run_units(units[:start], state)
            block = BlockModule(units, start, stop)
            convert_block(block, [state[name] for name in block.inputs], "float32").save(str(tmp_path / "b.mlpackage"))
        package = read_package(tmp_path / "b.mlpackage")
        weights = weights_of([package])
        return count(package.function()), weights.parameters - weights.filler

    return converted


@pytest.mark.parametrize("variant", ["plain", "tdtm"])
def test_a_pair_of_blocks_of_the_denoiser(converted, variant):
    config = STDiT3Config(1, WIDTH, HEADS, caption_channels=WIDTH, model_max_length=TOKENS)
    network = drawn(STDiT3(config))
    units = network.units(LATENT, PixelSize(128, 128), merged_blocks=network.block_names if variant == "tdtm" else ())
    inputs = (torch.zeros(1, 4, *LATENT), torch.ones(1), torch.zeros(1, TOKENS, WIDTH))
    counted, parameters = converted(units, 1, 3, network.initial_state(*inputs, fps=torch.ones(1)))
    flops, moved, described_parameters = described("denoiser", ("spatial_0", "temporal_0"), variant)
    assert counted.flops == flops
    assert counted.moved_bytes / 4 == pytest.approx(moved, rel=0.1)
    assert parameters == described_parameters
    assert counted.token_merges == (8 if variant == "tdtm" else 0)


def test_a_layer_of_the_text_encoder(converted):
    network = drawn(T5Encoder(T5Config(50, WIDTH, 32, 96, 2, HEADS)))
    state = network.initial_state(torch.ones(1, TOKENS, dtype=torch.int32), torch.ones(1, TOKENS, dtype=torch.int32))
    counted, parameters = converted(network.units(), 2, 3, state)
    flops, moved, described_parameters = described("text_encoder", ("layer_1",))
    assert counted.flops == flops
    assert counted.moved_bytes / 4 == pytest.approx(moved, rel=0.15)
    assert parameters == described_parameters


def test_a_unit_of_the_spatial_decoder(converted):
    config = SpatialVAEConfig(block_out_channels=(16, 32, 32, 32), norm_num_groups=8)
    network = drawn(SpatialVAE(config, with_encoder=False))
    units = network.decode_units(1.0)
    names = [unit.name for unit in units]
    counted, parameters = converted(units[:2], 1, 2, {"latent_frames": torch.zeros(4, 4, 16, 16)})
    flops, moved, described_parameters = described("decoder.spatial", (names[1],))
    assert counted.flops == flops
    assert counted.moved_bytes / 4 == pytest.approx(moved, rel=0.01)
    assert parameters == described_parameters
