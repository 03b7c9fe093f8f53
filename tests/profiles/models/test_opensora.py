"""Open-Sora v1.2 against the published architecture's parameter counts and against closed forms of its work."""

import json
import math

import pytest
from msgspec.structs import replace
from worlds.paths import ROOT, SHARED

from ondevice_sora.base.errors import UserError
from ondevice_sora.profiles.models.model import Component, Model, Unit, Work
from ondevice_sora.profiles.models.opensora import opensora, reference_partition
from ondevice_sora.profiles.models.opensora_sizes import (
    OPENSORA_V1_2,
    DecoderConfig,
    DenoiserConfig,
    OpenSoraConfig,
    TextEncoderConfig,
)
from ondevice_sora.profiles.models.operators import Graph

TINY = OpenSoraConfig(
    TextEncoderConfig(
        layers=2, hidden=32, heads=4, head_width=8, feed_forward=64, vocabulary=64, relative_buckets=32, tokens=12
    ),
    DenoiserConfig(depth=2, hidden=64, heads=4, timestep_width=256),
    DecoderConfig(temporal_filters=8, temporal_res=2, spatial_widths=(8, 8, 16, 16), spatial_res=2),
)


@pytest.fixture(scope="module")
def model():
    return opensora(256, 256, 68, 300)


def component(model, name):
    return next(part for part in model.components if part.name == name)


def unit(model, component_name, name):
    return next(part for part in component(model, component_name).units if part.name == name)


def total(model, name, quantity, variant="plain"):
    return sum(getattr(part.work(variant), quantity) for part in component(model, name).units)


def largest(model, name, variant="plain"):
    return max(part.work(variant).working_elements for part in component(model, name).units)


def flops(work):
    return work.matmul_flops + work.attention_flops + work.convolution_flops


# --- units and parameters -------------------------------------------------------------------------------------------


def test_units_stand_in_the_order_they_run(model):
    names = {part.name: [unit.name for unit in part.units] for part in model.components}
    assert list(names) == ["text_encoder", "denoiser", "decoder.temporal", "decoder.spatial"]
    assert names["text_encoder"] == ["embed", *(f"layer_{i}" for i in range(24)), "final_norm"]
    assert names["denoiser"] == [
        "input",
        *(f"{kind}_{i}" for i in range(28) for kind in ("spatial", "temporal")),
        "output",
    ]
    four, three = range(4), range(3)
    assert names["decoder.temporal"] == [
        "input",
        *(f"res_{i}" for i in four),
        *(f"level3_res_{i}" for i in four),
        "level3_up",
        *(f"level2_res_{i}" for i in four),
        "level2_up",
        *(f"level1_res_{i}" for i in four),
        *(f"level0_res_{i}" for i in four),
        "output",
    ]
    assert names["decoder.spatial"] == [
        *("input", "mid_res_0", "mid_attention", "mid_res_1"),
        *(f"up0_res_{i}" for i in three),
        "up0_up",
        *(f"up1_res_{i}" for i in three),
        "up1_up",
        *(f"up2_res_{i}" for i in three),
        "up2_up",
        *(f"up3_res_{i}" for i in three),
        "output",
    ]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("text_encoder", 4_762_310_656),
        ("denoiser", 1_207_643_972),
        ("decoder.temporal", 165_265_924 + 20),
        ("decoder.spatial", 49_490_179 + 20),
    ],
)
def test_parameters_add_up_to_the_published_architecture(model, name, parameters):
    """Counts of the modules built from Open-Sora v1.2.0, transformers and diffusers; + 20 is post_quant_conv."""
    assert sum(part.parameters for part in component(model, name).units) == parameters


@pytest.mark.parametrize(
    ("component_name", "name", "parameters"),
    [
        ("text_encoder", "embed", 131_596_288),
        ("text_encoder", "layer_0", 192_948_224),
        ("text_encoder", "layer_1", 192_946_176),
        ("text_encoder", "layer_23", 192_946_176),
        ("denoiser", "spatial_0", 21_255_696),
        ("denoiser", "temporal_27", 21_255_696),
    ],
)
def test_parameters_of_one_unit(model, component_name, name, parameters):
    assert unit(model, component_name, name).parameters == parameters


@pytest.fixture(scope="module")
def tensors():
    """Checkpoint -> parameter tensors -> number of elements."""
    for folder in (ROOT / "shared", SHARED):
        path = folder / "reference" / "checkpoints.json"
        if path.is_file():
            return {
                name: {tensor: math.prod(shape) for tensor, shape in entry["tensors"].items()}
                for name, entry in json.loads(path.read_text()).items()
                if isinstance(entry, dict) and "tensors" in entry
            }
    pytest.skip("reference/checkpoints.json is not beside this repository")


def holds(tensors, *prefixes):
    return sum(elements for name, elements in tensors.items() if name.startswith(prefixes))


def test_denoiser_units_hold_the_tensors_of_their_modules(model, tensors):
    manifest = tensors["STDiT3-XL/2"]
    for part in component(model, "denoiser").units:
        kind, _, index = part.name.partition("_")
        prefixes = {
            "input": ("x_embedder.", "t_embedder.", "fps_embedder.", "t_block.", "y_embedder.y_proj.", "rope."),
            "output": ("final_layer.",),
        }.get(kind, (f"{kind}_blocks.{index}.",))
        assert part.parameters == holds(manifest, *prefixes), part.name


def test_text_encoder_units_hold_the_tensors_of_their_modules(model, tensors):
    manifest = tensors["T5-v1.1-XXL-encoder"]
    for part in component(model, "text_encoder").units:
        prefixes = {"embed": "shared.", "final_norm": "encoder.final_layer_norm."}
        prefix = prefixes.get(part.name, f"encoder.block.{part.name.removeprefix('layer_')}.")
        assert part.parameters == holds(manifest, prefix), part.name


def test_temporal_decoder_units_hold_the_tensors_of_their_modules(model, tensors):
    manifest, decoder = tensors["OpenSoraVAE_V1_2"], "temporal_vae.decoder."
    for part in component(model, "decoder.temporal").units:
        level, _, rest = part.name.removeprefix("level").partition("_")
        prefixes: tuple[str, ...]
        if part.name == "input":
            prefixes = ("temporal_vae.post_quant_conv.", f"{decoder}conv1.")
        elif part.name == "output":
            prefixes = (f"{decoder}norm1.", f"{decoder}conv_out.")
        elif part.name.startswith("res_"):
            prefixes = (f"{decoder}res_blocks.{rest}.",)
        elif rest == "up":
            prefixes = (f"{decoder}conv_blocks.{int(level) - 1}.",)
        else:
            prefixes = (f"{decoder}block_res_blocks.{level}.{rest.removeprefix('res_')}.",)
        assert part.parameters == holds(manifest, *prefixes), part.name


def test_spatial_decoder_units_hold_the_tensors_of_their_modules(model, tensors):
    manifest, decoder = tensors["OpenSoraVAE_V1_2"], "spatial_vae.module.decoder."
    special = {
        "input": ("spatial_vae.module.post_quant_conv.", f"{decoder}conv_in."),
        "mid_res_0": (f"{decoder}mid_block.resnets.0.",),
        "mid_attention": (f"{decoder}mid_block.attentions.0.",),
        "mid_res_1": (f"{decoder}mid_block.resnets.1.",),
        "output": (f"{decoder}conv_norm_out.", f"{decoder}conv_out."),
    }
    for part in component(model, "decoder.spatial").units:
        level, _, rest = part.name.removeprefix("up").partition("_")
        module = "upsamplers.0." if rest == "up" else f"resnets.{rest.removeprefix('res_')}."
        assert part.parameters == holds(manifest, *special.get(part.name, (f"{decoder}up_blocks.{level}.{module}",)))


def test_parameters_do_not_depend_on_the_shape(model):
    def parameters(described):
        return [part.parameters for stage in described.components for part in stage.units]

    assert parameters(opensora(320, 192, 22, 40, guidance_batch=1)) == parameters(model)


# --- frames and passes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frames", "latent_frames"), [(1, 1), (4, 1), (5, 2), (16, 4), (17, 5), (22, 7), (34, 10), (51, 15), (68, 20)]
)
def test_latent_frames_of_a_video(frames, latent_frames):
    assert DecoderConfig().latent_frames(frames) == latent_frames


@pytest.mark.parametrize(
    ("frames", "temporal", "spatial"), [(1, 1, 1), (17, 1, 5), (22, 2, 6), (51, 3, 13), (68, 4, 17)]
)
def test_decoder_passes(frames, temporal, spatial):
    model = opensora(64, 64, frames, 10)
    assert component(model, "decoder.temporal").passes == temporal
    assert component(model, "decoder.spatial").passes == spatial
    assert component(model, "text_encoder").passes == 1
    assert component(model, "denoiser").passes == "steps"


def test_a_ragged_last_group_counts_for_what_it_has():
    """22 frames: groups of 5 and 2 latent frames, 5 batches of 4 frames and one of 2; totals are linear in frames."""
    whole, ragged = opensora(128, 128, 17 * 20, 10), opensora(128, 128, 22, 10)
    for name, share in (("decoder.temporal", (5 + 2) / 100), ("decoder.spatial", 22 / 340)):
        for quantity in ("convolution_flops", "attention_flops", "matmul_flops"):
            totals = [total(m, name, quantity) * component(m, name).passes for m in (whole, ragged)]
            assert totals[1] == pytest.approx(totals[0] * share)
        assert largest(ragged, name) == largest(whole, name)


# --- work against closed forms --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(256, 256, 68, 300), (192, 320, 51, 33), (64, 64, 4, 1), (200, 72, 22, 77)])
@pytest.mark.parametrize("guidance_batch", [1, 2])
def test_denoiser_blocks_against_a_closed_form(shape, guidance_batch):
    """14 C^2 multiply-adds a token (qkv 3, projections 1+1+1, MLP 8), 2 C^2 a text token, 2 C a query and key."""
    width, height, frames, text = shape
    model = opensora(*shape, guidance_batch=guidance_batch)
    c, b = 1152, guidance_batch
    s = math.ceil(width / 16) * math.ceil(height / 16)
    t = frames // 17 * 5 + math.ceil(frames % 17 / 4)
    for variant in ("plain", "tdtm") if t > 1 else ("plain",):
        merged = math.ceil(t / 2) if variant == "tdtm" else t
        linear = b * merged * s * 6 * c**2 + b * t * s * 8 * c**2 + b * text * 2 * c**2
        cross = (b * merged * s) * (b * text) * 2 * c
        attention = {"spatial_0": b * merged * s * s * 2 * c + cross, "temporal_0": b * s * merged**2 * 2 * c + cross}
        for name, products in attention.items():
            work = unit(model, "denoiser", name).work(variant)
            assert work.matmul_flops == 2 * linear
            assert work.attention_flops == 2 * products
            assert work.convolution_flops == 0


def test_text_encoder_against_a_closed_form(model):
    """Every weight of a layer meets every one of 300 tokens once, except the norms and the position table."""
    assert total(model, "text_encoder", "matmul_flops") == 2 * 300 * 24 * (4 * 4096**2 + 3 * 4096 * 10240)
    assert total(model, "text_encoder", "attention_flops") == 24 * 2 * (2 * 300 * 300 * 4096)


def test_temporal_decoder_against_a_closed_form(model):
    """A convolution does 2 flops a weight and position; the frames double after levels 3 and 2."""
    frames = {"input": 5, "res": 5, "level3": 5, "level2": 10, "level1": 20, "level0": 20, "output": 20}
    for part in component(model, "decoder.temporal").units:
        weights = _weights_of_temporal(part.name)
        assert 0 < part.parameters - weights < 4 * 1024, "norms and biases are the rest"
        expected = 2 * frames[part.name.split("_")[0]] * 1024 * weights
        assert part.plain.convolution_flops == expected, part.name


def _weights_of_temporal(name):
    wide, middle, narrow = 27 * 512 * 512, 27 * 256 * 256, 27 * 128 * 128
    if name.startswith(("res_", "level3_res")):
        return 2 * wide
    return {
        "input": 4 * 4 + 27 * 4 * 512,
        "level3_up": 2 * wide,
        "level2_res_0": 27 * 512 * 256 + middle + 512 * 256,
        "level2_up": 2 * middle,
        "level0_res_0": 27 * 256 * 128 + narrow + 256 * 128,
        "output": 27 * 128 * 4,
    }.get(name, 2 * narrow if name.startswith("level0") else 2 * middle)


def test_spatial_decoder_against_a_closed_form(model):
    """3x3 convolutions of 4 frames at 32, 64, 128 and 256 rows, by hand; one attention over 1024 places."""
    area = 4 * 32 * 32
    wide, middle, narrow = 9 * 512 * 512, 9 * 256 * 256, 9 * 128 * 128
    weights = (
        (16 + 9 * 4 * 512 + 4 * wide + 6 * wide)
        + 4 * (wide + 6 * wide)
        + 16 * (wide + 9 * 512 * 256 + 512 * 256 + 5 * middle)
        + 64 * (middle + 9 * 256 * 128 + 256 * 128 + 5 * narrow + 9 * 128 * 3)
    )
    assert total(model, "decoder.spatial", "convolution_flops") == 2 * area * weights
    assert total(model, "decoder.spatial", "matmul_flops") == 2 * area * 4 * 512**2
    assert total(model, "decoder.spatial", "attention_flops") == 2 * area * 1024 * 2 * 512


def test_denoiser_input_and_output_by_hand():
    """Tiny sizes: C 64, 8x8 latent pixels in 4x4 patches, 1 latent frame, 12 caption rows a branch, 2 branches."""
    model = opensora(64, 64, 1, 5, config=TINY)
    first = unit(model, "denoiser", "input").plain
    assert first.convolution_flops == 2 * (2 * 16 * 64 * 4 * 4)
    caption = 2 * 12 * (32 * 64 + 64 * 64)
    assert first.matmul_flops == 2 * (2 * 2 * (256 * 64 + 64 * 64) + 2 * 64 * 6 * 64 + caption)
    assert unit(model, "denoiser", "output").plain.matmul_flops == 2 * (2 * 16 * 64 * 32)


def test_odd_latent_sides_are_padded_to_whole_patches():
    """72 pixels are 9 latent pixels, 5 patches; the decoder sees 9."""
    odd, even = opensora(72, 64, 17, 5), opensora(80, 64, 17, 5)
    assert unit(odd, "denoiser", "spatial_0") == unit(even, "denoiser", "spatial_0")
    assert total(odd, "decoder.spatial", "convolution_flops") == pytest.approx(
        0.9 * total(even, "decoder.spatial", "convolution_flops")
    )


# --- working memory -------------------------------------------------------------------------------------------------


def test_the_dense_text_mask_decides_the_denoisers_working_memory(model):
    """Mask, scores and their sum: 3 x 16 x 10240 x 600 elements, 1.18 GB in float32, and little else beside them."""
    scores = 16 * (2 * 20 * 256) * (2 * 300)
    state = 2 * 20 * 256 * 1152 + 2 * 7 * 1152 + 600 * 1152  # residual, t and modulation, text
    beside = 600 * 1152 + 2 * 6 * 1152  # v, modulation of this unit
    for name in ("spatial_0", "temporal_0"):
        work = unit(model, "denoiser", name)
        assert work.plain.working_elements == 3 * scores + state + beside
        assert work.tdtm.working_elements == 3 * scores / 2 + state + beside


def test_one_branch_has_a_quarter_of_the_scores_and_half_of_the_rest():
    """Under TDTM the MLP, 9 C a token, then needs more than scores and their sum; the mask is there all the same."""
    model = opensora(256, 256, 68, 300, guidance_batch=1)
    scores, tokens = 16 * (20 * 256) * 300, 20 * 256 * 1152
    beside = 300 * 1152 + 7 * 1152 + 6 * 1152  # text, t and modulation, modulation of this unit
    for name in ("spatial_0", "temporal_0"):
        work = unit(model, "denoiser", name)
        assert work.plain.working_elements == 3 * scores + tokens + beside + 300 * 1152
        assert work.tdtm.working_elements == scores / 2 + 9 * tokens + beside


def test_what_one_branch_moves_is_half_but_for_the_text_which_is_a_quarter():
    """Five times the scores: scores and mask in, their sum out and in again, the softmax out. Weights are read once."""
    one, two = (opensora(256, 256, 68, 300, guidance_batch=branches) for branches in (1, 2))
    scores, weights = 16 * (20 * 256) * 300, 6 * 1152
    for name in ("spatial_0", "temporal_0"):
        moved = [unit(model, "denoiser", name).plain.moved_elements for model in (one, two)]
        assert moved[1] - weights - 4 * 5 * scores == 2 * (moved[0] - weights - 5 * scores)


def test_with_little_text_the_mlp_or_the_scores_over_places_decide_it():
    """MLP: residual, 4C hidden and its activation. Over places: residual, v, scores and their softmax."""
    model, tokens = opensora(256, 256, 68, 1), 2 * 20 * 256 * 1152
    scores = 2 * 20 * 16 * 256 * 256
    peaks = [unit(model, "denoiser", name).plain.working_elements for name in ("temporal_0", "spatial_0")]
    assert peaks == [pytest.approx(9 * tokens, rel=0.01), pytest.approx(2 * tokens + 2 * scores, rel=0.01)]


def test_the_widest_level_decides_the_spatial_decoders_working_memory(model):
    """up3_res_0 at 256x256: its input, the normalised and the activated copy, 256 channels each."""
    assert largest(model, "decoder.spatial") == 3 * 4 * 256 * 256 * 256
    assert unit(model, "decoder.spatial", "up3_res_0").plain.working_elements == largest(model, "decoder.spatial")


# --- token merging --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(256, 256, 68, 300), (192, 192, 68, 30), (64, 64, 9, 1), (64, 2048, 5, 300)])
def test_token_merging_does_less_work_in_no_more_memory(shape):
    for part in component(opensora(*shape), "denoiser").units:
        if part.name in ("input", "output"):
            assert part.tdtm is None
        else:
            assert part.tdtm.matmul_flops < part.plain.matmul_flops
            assert part.tdtm.attention_flops < part.plain.attention_flops
            assert part.tdtm.working_elements <= part.plain.working_elements
            assert (part.plain.token_merges, part.tdtm.token_merges) == (0, 4)


def test_a_single_latent_frame_has_nothing_to_merge():
    assert all(part.tdtm is None for part in component(opensora(256, 256, 4, 20), "denoiser").units)


def test_only_the_denoiser_merges(model):
    others = [part for stage in model.components if stage.name != "denoiser" for part in stage.units]
    assert all(part.tdtm is None for part in others)


# --- laws -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        ((192, 256, 68, 60), (256, 256, 68, 60)),
        ((256, 192, 68, 60), (256, 256, 68, 60)),
        ((256, 256, 51, 60), (256, 256, 68, 60)),
        ((256, 256, 51, 60), (256, 256, 52, 60)),
        ((256, 256, 68, 60), (256, 256, 68, 61)),
    ],
)
def test_a_larger_video_never_takes_less(smaller, larger):
    def sums(shape):
        model = opensora(*shape)
        for stage in model.components:
            passes = 1 if stage.passes == "steps" else stage.passes
            for variant in ("plain", "tdtm"):
                yield passes * sum(flops(part.work(variant)) for part in stage.units)
                yield passes * sum(part.work(variant).moved_elements for part in stage.units)
                yield largest(model, stage.name, variant)

    pairs = list(zip(sums(smaller), sums(larger), strict=True))
    assert all(small <= large for small, large in pairs)
    assert any(small < large for small, large in pairs)


def test_spatial_attention_is_linear_in_frames_and_temporal_attention_is_not():
    """One text token, so that cross-attention hardly counts."""
    short, long = opensora(256, 256, 34, 1), opensora(256, 256, 68, 1)
    ratio = {
        name: unit(long, "denoiser", name).plain.attention_flops / unit(short, "denoiser", name).plain.attention_flops
        for name in ("spatial_0", "temporal_0")
    }
    assert ratio["spatial_0"] == 2
    assert 3 < ratio["temporal_0"] < 4


def test_the_text_encoder_always_runs_on_the_padded_prompt(model):
    assert component(opensora(64, 128, 17, 7), "text_encoder") == component(model, "text_encoder")


def test_cross_attention_of_joined_branches_is_quadratic_in_branches():
    """Without guidance one branch attends to one prompt: a quarter of the cross-attention, half of everything else."""
    one, two = (opensora(256, 256, 68, 300, guidance_batch=b) for b in (1, 2))
    cross = 2 * (20 * 256) * 300 * 2 * 1152
    attention = [unit(m, "denoiser", "temporal_0").plain.attention_flops for m in (one, two)]
    assert (attention[1] - 4 * cross) == 2 * (attention[0] - cross)


def test_branches_in_turn_do_the_work_of_one_twice_beside_what_the_other_starts_from():
    """What waits in a unit: x, t, t_mlp, the caption and the mask of one branch, in elements."""
    one, turned = (opensora(256, 256, 68, 60, guidance_batch=1, guidance_runs=runs) for runs in (1, 2))
    for variant, frames in (("plain", 20), ("tdtm", 10)):
        work, twice = (unit(m, "denoiser", "spatial_3").work(variant) for m in (one, turned))
        assert (work.runs, twice.runs) == (1, 2)
        for name in ("matmul_flops", "attention_flops", "moved_elements", "token_merges"):
            assert getattr(twice, name) == 2 * getattr(work, name)
        waiting = (20 * 256 + 1 + 6 + 60) * 1152 + 16 * frames * 256 * 60
        assert twice.working_elements == work.working_elements + waiting
    for name in ("text_encoder", "decoder.temporal", "decoder.spatial"):
        assert component(turned, name) == component(one, name)
    with pytest.raises(UserError, match="guidance_runs 2 of 2 branches"):
        opensora(256, 256, 68, 60, guidance_runs=2)


# --- reference partition --------------------------------------------------------------------------------------------


def test_reference_partition_covers_every_unit_once_in_order(model):
    for name, blocks in reference_partition(model).items():
        assert [unit for block in blocks for unit in block] == [unit.name for unit in component(model, name).units]


def test_reference_partition_has_the_apps_parts(model):
    partition = reference_partition(model)
    assert {name: len(blocks) for name, blocks in partition.items()} == {
        "text_encoder": 1 + 24 + 1,
        "denoiser": 1 + 28 + 1,
        "decoder.temporal": 9,
        "decoder.spatial": 9,
    }
    assert partition["denoiser"][:2] == (("input",), ("spatial_0", "temporal_0"))
    assert partition["denoiser"][-1] == ("output",)
    temporal, spatial = partition["decoder.temporal"], partition["decoder.spatial"]
    assert temporal[0] == ("input", "res_0", "res_1", "res_2", "res_3")
    assert [len(block) for block in temporal] == [5, 5, 5, 1, 1, 1, 1, 4, 1]
    assert spatial[1] == ("mid_res_0", "mid_attention", "mid_res_1")
    assert [len(block) for block in spatial] == [1, 3, 4, 4, 4, 1, 1, 1, 1]


def test_a_reference_pair_is_the_published_size(model):
    """170.05 MB in float32: the size of each of the app's 28 denoiser blocks."""
    pair = reference_partition(model)["denoiser"][1]
    assert 4 * sum(unit(model, "denoiser", name).parameters for name in pair) == 170_045_568


def test_another_models_component_has_no_reference_partition():
    other = Model("other", "test", (Component("unet", 1, (Unit("a", 1, Work()),)),))
    with pytest.raises(UserError, match="component 'unet' has no reference partition"):
        reference_partition(other)


# --- arguments ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((250, 256, 68, 300), r"width 250 is not a multiple of 8 pixels\nUse 248 or 256\."),
        ((256, 2047, 68, 300), r"height 2047 is not a multiple of 8 pixels\nUse 2040 or 2048\."),
        ((0, 256, 68, 300), r"width 0 is out of range\nGive a whole number from 64 to 2048\."),
        ((256, -8, 68, 300), "height -8 is out of range"),
        ((256, 2056, 68, 300), "height 2056 is out of range"),
        ((256, 256, 0, 300), r"frames 0 is out of range\nGive a whole number from 1 to 1000\."),
        ((256, 256, 1001, 300), "frames 1001 is out of range"),
        ((256, 256, 68, 0), "text_tokens 0 is out of range"),
        ((256, 256, 68, 301), r"text_tokens 301 is out of range\nGive a whole number from 1 to 300\."),
        ((256.0, 256, 68, 300), "width 256.0 is not a whole number"),
        ((256, 256, True, 300), "frames True is not a whole number"),
    ],
)
def test_a_shape_that_cannot_be_is_refused_with_a_mend(arguments, message):
    with pytest.raises(UserError, match=message):
        opensora(*arguments)


@pytest.mark.parametrize("guidance_batch", [0, 3])
def test_guidance_has_one_or_two_branches(guidance_batch):
    with pytest.raises(UserError, match=f"guidance_batch {guidance_batch} is out of range"):
        opensora(256, 256, 68, 300, guidance_batch=guidance_batch)


# --- other sizes, work ----------------------------------------------------------------------------------------------


def test_a_small_model_of_the_same_classes_is_described_too():
    tiny = opensora(64, 64, 68, 12, config=TINY)
    assert [len(part.units) for part in tiny.components] == [4, 6, 1 + 2 * 5 + 2 + 1, 4 + 4 * 2 + 3 + 1]
    assert tiny.name != opensora(64, 64, 68, 12, config=OPENSORA_V1_2).name
    assert len(reference_partition(tiny)["denoiser"]) == 4


def test_units_that_do_the_same_are_counted_once(monkeypatch):
    """A description stands in the command line's start-up path: its work does not grow with a network's depth."""
    counted = []
    make = Graph.__init__

    def noted(graph):
        counted.append(graph)
        make(graph)

    def graphs(config):
        counted.clear()
        opensora(256, 256, 71, 300, config=config)
        return len(counted)

    monkeypatch.setattr(Graph, "__init__", noted)
    deep = replace(
        OPENSORA_V1_2,
        text_encoder=replace(OPENSORA_V1_2.text_encoder, layers=96),
        denoiser=replace(OPENSORA_V1_2.denoiser, depth=112),
    )
    assert graphs(deep) == graphs(OPENSORA_V1_2) < 70
