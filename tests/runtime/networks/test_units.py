"""A network is the composition of its units: any partition into blocks computes the same bits."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ondevice_sora.runtime.networks.stdit3 import LatentSize, PixelSize, STDiT3
from ondevice_sora.runtime.networks.t5 import T5Encoder
from ondevice_sora.runtime.networks.units import BlockModule, Unit, run_units
from ondevice_sora.runtime.networks.video_vae import VideoVAE

LAW = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
SIZE = LatentSize(5, 3, 4)
PIXELS = PixelSize(24, 32)


def cuts_of(num_units: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(1, num_units - 1), unique=True).map(sorted)


def run_blocks(units: Sequence[Unit], cuts: Sequence[int], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Run block after block, handing on nothing but what each block declares."""
    available = dict(state)
    edges = [0, *cuts, len(units)]
    for start, stop in pairwise(edges):
        block = BlockModule(units, start, stop)
        outputs = block(*(available[name] for name in block.inputs))
        later = {name: available[name] for name in available if any(name in unit.reads for unit in units[stop:])}
        available = {**later, **dict(zip(block.outputs, outputs, strict=True))}
    return available


def denoiser_inputs(with_frame_mask: bool) -> dict[str, Any]:
    inputs: dict[str, Any] = {
        "fps": torch.tensor([24.0]),
        "text_mask": torch.tensor([[1, 1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0, 0]]),
    }
    if with_frame_mask:
        inputs["frame_mask"] = torch.tensor([[True, False, True, True, True], [False, False, True, True, True]])
    return inputs


@LAW
@given(data=st.data())
def test_any_partition_of_the_denoiser_equals_the_whole(denoiser: STDiT3, data: st.DataObject) -> None:
    merged = data.draw(st.sets(st.sampled_from(denoiser.block_names)))
    inputs = denoiser_inputs(with_frame_mask=data.draw(st.booleans()))
    latent, timestep, caption = torch.randn(2, 4, *SIZE), torch.tensor([700.0, 20.0]), torch.randn(2, 7, 12)
    whole = denoiser(latent, timestep, caption, pixels=PIXELS, merged_blocks=merged, **inputs)

    units = denoiser.units(SIZE, PIXELS, merged_blocks=merged, with_frame_mask="frame_mask" in inputs)
    state = denoiser.initial_state(latent, timestep, caption, **inputs)
    assert torch.equal(run_blocks(units, data.draw(cuts_of(len(units))), state)["velocity"], whole)


@LAW
@given(data=st.data())
def test_any_partition_of_the_text_encoder_equals_the_whole(text_encoder: T5Encoder, data: st.DataObject) -> None:
    ids, mask = torch.randint(0, 20, (2, 9)), torch.tensor([[1] * 9, [1] * 5 + [0] * 4])
    units = text_encoder.units()
    cuts = data.draw(cuts_of(len(units)))
    assert torch.equal(
        run_blocks(units, cuts, text_encoder.initial_state(ids, mask))["caption"], text_encoder(ids, mask)
    )


@LAW
@given(data=st.data())
def test_any_partition_of_the_decoder_equals_the_whole(video_vae: VideoVAE, data: st.DataObject) -> None:
    latent = torch.randn(1, 4, 5, 2, 3)
    temporal, spatial = video_vae.temporal_units(17), video_vae.spatial_units()
    frames = run_blocks(temporal, data.draw(cuts_of(len(temporal))), {"latent_chunk": latent})["latent_frames"]
    assert torch.equal(frames, video_vae.decode_temporal(latent, 17))

    cuts = data.draw(cuts_of(len(spatial)))
    images = [
        run_blocks(spatial, cuts, {"latent_frames": batch})["images"]
        for batch in torch.split(frames[0].transpose(0, 1), 4)
    ]
    assert torch.equal(torch.cat(images).transpose(0, 1)[None], video_vae.decode(latent, 17))


def test_units_carry_the_names_plans_use(denoiser: STDiT3, text_encoder: T5Encoder, video_vae: VideoVAE) -> None:
    names = [unit.name for unit in denoiser.units(SIZE, PIXELS)]
    assert names == ["input", "spatial_0", "temporal_0", "spatial_1", "temporal_1", "output"]
    assert [unit.name for unit in text_encoder.units()] == ["embed", "layer_0", "layer_1", "layer_2", "final_norm"]
    assert " ".join(unit.name for unit in video_vae.temporal_units(17)) == (
        "input res_0 res_1 level3_res_0 level3_res_1 level3_up level2_res_0 level2_res_1 level2_up "
        "level1_res_0 level1_res_1 level0_res_0 level0_res_1 output"
    )
    assert " ".join(unit.name for unit in video_vae.spatial_units()) == (
        "input mid_res_0 mid_attention mid_res_1 up0_res_0 up0_res_1 up0_up up1_res_0 up1_res_1 up1_up "
        "up2_res_0 up2_res_1 up2_up up3_res_0 up3_res_1 output"
    )


def test_every_weight_belongs_to_exactly_one_unit(
    denoiser: STDiT3, text_encoder: T5Encoder, video_vae: VideoVAE
) -> None:
    def owned(units: Sequence[Unit]) -> list[str]:
        return [name for unit in units for name, _ in unit.tensors()]

    null_caption = {"y_embedder.y_embedding"}
    assert sorted(owned(denoiser.units(SIZE, PIXELS))) == sorted(denoiser.state_dict())
    assert null_caption <= set(owned(denoiser.units(SIZE, PIXELS))[:20])
    assert sorted([*owned(text_encoder.units()), "encoder.embed_tokens.weight"]) == sorted(text_encoder.state_dict())
    decoder = [*owned(video_vae.temporal_units(17)), *owned(video_vae.spatial_units())]
    assert sorted(decoder) == sorted(video_vae.state_dict())


def all_networks(denoiser: STDiT3, text_encoder: T5Encoder, video_vae: VideoVAE) -> list[tuple[list[Unit], Callable]]:
    def video_state() -> dict[str, Tensor]:
        return denoiser.initial_state(
            torch.randn(2, 4, *SIZE), torch.rand(2) * 1000, torch.randn(2, 7, 12), **denoiser_inputs(True)
        )

    def text_state() -> dict[str, Tensor]:
        return text_encoder.initial_state(torch.randint(0, 20, (2, 9)), torch.randint(0, 2, (2, 9)))

    merged = denoiser.block_names[:2]
    return [
        (denoiser.units(SIZE, PIXELS, merged_blocks=merged, with_frame_mask=True), video_state),
        (text_encoder.units(), text_state),
        (video_vae.temporal_units(17), lambda: {"latent_chunk": torch.randn(1, 4, 5, 2, 3)}),
        (video_vae.spatial_units(), lambda: {"latent_frames": torch.randn(4, 4, 2, 3)}),
    ]


def test_no_tensor_has_more_than_the_five_dimensions_core_ml_takes(
    denoiser: STDiT3, text_encoder: T5Encoder, video_vae: VideoVAE
) -> None:
    class LargestRank(TorchDispatchMode):
        rank = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = func(*args, **(kwargs or {}))
            for tensor in out if isinstance(out, tuple | list) else (out,):
                if isinstance(tensor, Tensor):
                    self.rank = max(self.rank, tensor.ndim)
            return out

    for units, make_state in all_networks(denoiser, text_encoder, video_vae):
        state = make_state()
        with LargestRank() as largest:
            run_units(units, state)
        assert 4 <= largest.rank <= 5


@pytest.mark.filterwarnings("ignore")  # the tracer warns of shapes turned into constants, which is what is wanted
def test_a_traced_block_computes_what_the_block_computes_on_other_values(
    denoiser: STDiT3, text_encoder: T5Encoder, video_vae: VideoVAE
) -> None:
    for units, make_state in all_networks(denoiser, text_encoder, video_vae):
        block = BlockModule(units, 0, len(units))
        example, other = make_state(), make_state()
        traced = torch.jit.trace(block, tuple(example[name] for name in block.inputs))
        inputs = tuple(other[name] for name in block.inputs)
        torch.testing.assert_close(traced(*inputs), block(*inputs))


def test_a_block_outside_the_network_is_refused(denoiser: STDiT3) -> None:
    with pytest.raises(ValueError, match="units 5 to 7 are not a block of a network of 6 units"):
        BlockModule(denoiser.units(SIZE, PIXELS), 5, 7)
