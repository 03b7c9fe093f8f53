"""Models described from configs: FLOPs as PyTorch's own counter has them on the whole model, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

pytest.importorskip("diffusers")
pytest.importorskip("transformers")

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.reading import read_yaml
from ondevice_sora.profiles.models.catalogue import checked_model
from ondevice_sora.profiles.models.configured import (
    DESCRIPTIONS,
    ConfiguredModel,
    InChunks,
    NetworkConfig,
    Request,
    Shape,
    config_names,
    shipped_config,
)
from ondevice_sora.profiles.models.model import Component, Model
from ondevice_sora.profiles.networks import flops
from ondevice_sora.runtime.describe.describe import DECODER, DENOISER, _config, describe, write_model
from ondevice_sora.runtime.describe.inputs import denoiser_inputs, encoder_inputs, is_video, latents_of, usual_latents
from ondevice_sora.runtime.describe.pipeline import made, pipeline_config
from ondevice_sora.studies.descriptions import shipped_requests

SMALL = {
    "wan2.1-1.3b": Shape(128, 96, 9), "wan2.2-ti2v-5b": Shape(128, 96, 9), "ltx-video-2b": Shape(128, 96, 9),
    "flux2-klein-4b": Shape(128, 128), "sd3.5-medium": Shape(128, 128), "sd1.5": Shape(128, 128),
    "sdxl": Shape(128, 128),
}  # fmt: skip


def by_name(model: Model) -> dict[str, Component]:
    return {component.name: component for component in model.components}


def total(component: Component) -> float:
    walks = 1 if component.passes == "steps" else component.passes
    return walks * sum(flops(unit.plain) for unit in component.units)


def by_torchs_counter(name: str, shape: Shape) -> dict[str, tuple[int, int]]:
    """Component -> parameters that it has and FLOPs of one forward pass, counted on the whole network in one go."""
    pipeline = shipped_config(name)
    networks = {each: made(network) for each, network in pipeline.components.items()}
    decoder = networks[DECODER]
    latents = latents_of(decoder, decoder.config, shape.width, shape.height, shape.frames, 4)
    found = {}
    for each, network in networks.items():
        tokens = pipeline.components[each].tokens or pipeline.text_tokens
        with torch.device("meta"), torch.no_grad():
            if each == DENOISER:
                read = max(
                    part.tokens or pipeline.text_tokens
                    for key, part in pipeline.components.items() if key.startswith("text_encoder")
                )  # fmt: skip
                options = list(
                    denoiser_inputs(network, network.config, latents, pipeline.branches, read + pipeline.joined_tokens)
                )
            elif each == DECODER:
                size = (latents.frames, latents.rows, latents.columns)[0 if is_video(network) else 1 :]
                options = [{"z": torch.empty(1, latents.channels, *size)}]
            else:
                options = list(encoder_inputs(network, pipeline.branches, tokens))
            for given in options:
                counter = FlopCounterMode(display=False)
                try:
                    with counter:
                        network.decode(**given) if each == DECODER else network(**given)
                except (RuntimeError, ValueError):
                    continue
                break
        found[each] = sum(parameter.numel() for parameter in network.parameters()), counter.get_total_flops()
    return found


def compare(name: str, shape: Shape) -> None:
    request = Request(ConfiguredModel(name), shape, shipped_config(name).branches)
    components = by_name(describe(request))
    for each, (parameters, count) in by_torchs_counter(name, shape).items():
        assert total(components[each]) == pytest.approx(count, rel=0.01), each
        if each != DECODER:
            assert sum(unit.parameters for unit in components[each].units) == parameters, each


@pytest.mark.parametrize("name", ["sd1.5", "ltx-video-2b", "flux2-klein-4b"])
def test_flops_and_parameters_are_those_of_the_whole_model(name: str) -> None:
    compare(name, SMALL[name])


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", sorted(SMALL))
def test_flops_and_parameters_at_the_usual_shape(name: str) -> None:
    shape = shipped_config(name).video
    assert shape is not None
    compare(name, shape)


def test_every_shipped_config_is_compared() -> None:
    assert sorted(SMALL) == config_names()


def check_shipped(stem: str, tmp_path: Path) -> None:
    path = tmp_path / f"{stem}.yaml"
    write_model(path, describe(shipped_requests()[stem]))
    assert path.read_text() == (DESCRIPTIONS / path.name).read_text()


def test_a_shipped_description_is_what_describe_writes(tmp_path: Path) -> None:
    check_shipped("sd1.5_512x512x1_b2", tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize("stem", sorted(shipped_requests()))
def test_all_shipped_descriptions_are_what_describe_writes(stem: str, tmp_path: Path) -> None:
    check_shipped(stem, tmp_path)


def test_what_is_written_is_read_again_as_it_was(tmp_path: Path) -> None:
    model = describe(Request(ConfiguredModel("sd1.5"), SMALL["sd1.5"]))
    write_model(tmp_path / "model.yaml", model)
    assert checked_model(read_yaml(tmp_path / "model.yaml")) == model


TINY_T5 = {
    "architectures": ["T5EncoderModel"], "vocab_size": 100, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2,
    "num_heads": 4,
}  # fmt: skip
TINY_WAN = {
    "_class_name": "WanTransformer3DModel", "num_attention_heads": 2, "attention_head_dim": 12, "in_channels": 16,
    "out_channels": 16, "text_dim": 32, "freq_dim": 16, "ffn_dim": 64, "num_layers": 2,
}  # fmt: skip
TINY_VAE = {"_class_name": "AutoencoderKLWan", "base_dim": 8, "z_dim": 16}


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """A folder as the hub has them, of a tiny Wan."""
    folder = tmp_path / "tiny-wan"
    index = {
        "_class_name": "WanPipeline", "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "T5EncoderModel"], "tokenizer": ["transformers", "T5TokenizerFast"],
        "transformer": ["diffusers", "WanTransformer3DModel"], "vae": ["diffusers", "AutoencoderKLWan"],
    }  # fmt: skip
    for name, config in (("text_encoder", TINY_T5), ("transformer", TINY_WAN), ("vae", TINY_VAE)):
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").write_text(json.dumps(config))
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


TINY = Shape(64, 64, 5)


def asked(config: Path, shape: Shape = TINY, branches: int = 2, **settings: object) -> Request:
    return Request(msgspec.convert({"config": str(config), **settings}, ConfiguredModel), shape, branches)


def test_a_folder_of_a_pipeline_is_described_whole(pipeline: Path) -> None:
    model = describe(asked(pipeline))
    assert (model.name, model.is_rectified_flow) == ("tiny-wan", True)
    assert [(each.name, each.passes) for each in model.components] == [
        ("text_encoder", 1), ("denoiser", "steps"), ("decoder", 2),
    ]  # fmt: skip


def test_a_pipeline_that_a_picture_leads_reads_one_token(tmp_path: Path) -> None:
    unet = {"_class_name": "UNetSpatioTemporalConditionModel", "num_frames": 3, **SVD}
    vae = {"_class_name": "AutoencoderKLTemporalDecoder", **SVD_DECODER}
    index = {"image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
             "unet": ["diffusers", unet["_class_name"]], "vae": ["diffusers", vae["_class_name"]]}  # fmt: skip
    for name, config in (("unet", unet), ("vae", vae)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    one, asked_for, more = (
        describe(Request(ConfiguredModel(str(tmp_path)), Shape(128, 128, 3), 1, tokens)) for tokens in (None, 1, 9)
    )
    assert [component.name for component in one.components] == [DENOISER, DECODER]
    assert total(one.components[0]) == total(asked_for.components[0]) < total(more.components[0])


def test_branches_in_turn_do_the_work_of_a_batch_with_fewer_activations(pipeline: Path) -> None:
    batch, in_turn = (
        by_name(describe(msgspec.structs.replace(asked(pipeline), guidance=how)))["denoiser"]
        for how in ("batch", "in_turn")
    )
    assert total(in_turn) == pytest.approx(total(batch))
    working = [max(unit.plain.working_elements for unit in each.units) for each in (batch, in_turn)]
    assert working[0] / 2 < working[1] < working[0]


def test_tiles_take_more_work_and_less_memory(pipeline: Path) -> None:
    shape = Shape(256, 256, 5)
    whole, tiled = (by_name(describe(asked(pipeline, shape, decoder_tile=tile)))["decoder"] for tile in (None, 128))
    assert whole.passes == 2  # latent frames
    assert tiled.passes == 2 * 3 * 3  # tiles of 128 pixels, 96 apart
    assert total(tiled) > total(whole)
    working = [max(unit.plain.working_elements for unit in each.units) for each in (whole, tiled)]
    assert working[1] < working[0]


def test_attention_in_chunks_lies_between_fused_and_scores(pipeline: Path) -> None:
    held = [
        max(unit.plain.working_elements for unit in by_name(describe(asked(pipeline, attention=how)))["denoiser"].units)
        for how in ("fused", InChunks(4), "scores")
    ]
    assert held[0] <= held[1] < held[2]


def test_rows_in_place_of_the_table_leave_the_table_out(pipeline: Path) -> None:
    stored, rows = (
        by_name(describe(asked(pipeline, embeddings=how)))["text_encoder"].units[0] for how in ("stored", "rows")
    )
    assert stored.stored == 100 * 32
    assert rows.stored == 2 * 512 * 32  # both branches' rows


def test_one_config_file_is_one_network(pipeline: Path) -> None:
    for name, role in (("text_encoder", "text_encoder"), ("transformer", "denoiser"), ("vae", "decoder")):
        (component,) = describe(asked(pipeline / name / "config.json", branches=1)).components
        assert component.name == role


@pytest.mark.parametrize("config", [
    {"_class_name": "FluxTransformer2DModel", "num_layers": 1, "num_single_layers": 2, "attention_head_dim": 16,
     "num_attention_heads": 2, "axes_dims_rope": [4, 4, 8]},
    {"_class_name": "CogVideoXTransformer3DModel", "num_layers": 2},
    {"_class_name": "PixArtTransformer2DModel", "num_layers": 2, "caption_channels": 64},
    {"_class_name": "SanaTransformer2DModel", "num_layers": 2},
    {"_class_name": "HunyuanVideoTransformer3DModel", "num_layers": 2, "num_single_layers": 2, "num_refiner_layers": 1},
    {"_class_name": "QwenImageTransformer2DModel", "num_layers": 2},
    {"architectures": ["LlamaForCausalLM"], "num_hidden_layers": 2},
    {"architectures": ["Gemma2Model"], "num_hidden_layers": 2},
    {"architectures": ["T5ForConditionalGeneration"]},
    {"architectures": ["CLIPVisionModel"], "num_hidden_layers": 2},
], ids=lambda config: config.get("_class_name") or config["architectures"][0])  # fmt: skip
def test_networks_that_do_not_ship_are_described_too(config: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    (network,) = pipeline_config(str(path), tmp_path).components.values()
    frames = 9 if "3D" in network.class_name else 1
    (component,) = describe(asked(path, Shape(128, 128, frames), branches=1)).components
    learned = sum(parameter.numel() for parameter in made(network).parameters())
    assert sum(unit.parameters for unit in component.units) == learned
    assert len(component.units) > 2
    assert total(component) > 0


SVD = {
    "block_out_channels": [32, 64], "layers_per_block": 1, "cross_attention_dim": 16, "num_attention_heads": [2, 2],
    "down_block_types": ["CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"],
    "up_block_types": ["UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"],
    "addition_time_embed_dim": 32, "projection_class_embeddings_input_dim": 96,
}  # fmt: skip
SVD_DECODER = {
    "block_out_channels": [32, 32, 32, 32], "latent_channels": 4, "down_block_types": ["DownEncoderBlock2D"] * 4,
    "layers_per_block": 1,
}  # fmt: skip
WHISPER = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "vocab_size": 100, "pad_token_id": 1,
    "bos_token_id": 2, "eos_token_id": 2, "decoder_start_token_id": 2, "max_source_positions": 20,
}  # fmt: skip


def ones(*size: int) -> torch.Tensor:
    return torch.ones(*size)


def tokens(*size: int) -> torch.Tensor:
    return torch.ones(*size, dtype=torch.long)


@pytest.mark.parametrize(
    ("config", "frames", "given"),
    [
        (
            {
                "_class_name": "MochiTransformer3DModel",
                "num_layers": 2,
                "num_attention_heads": 2,
                "attention_head_dim": 16,
                "pooled_projection_dim": 24,
                "text_embed_dim": 32,
                "time_embed_dim": 16,
            },
            13,
            lambda: {
                "hidden_states": ones(1, 12, 3, 16, 16),
                "encoder_hidden_states": ones(1, 16, 32),
                "timestep": ones(1),
                "encoder_attention_mask": ones(1, 16),
            },
        ),
        (
            {
                "_class_name": "ZImageTransformer2DModel",
                "n_layers": 2,
                "n_refiner_layers": 1,
                "dim": 64,
                "n_heads": 2,
                "n_kv_heads": 2,
                "cap_feat_dim": 24,
                "axes_dims": [8, 12, 12],
            },
            1,
            lambda: {"x": [ones(16, 1, 16, 16)], "t": ones(1), "cap_feats": [ones(16, 24)]},
        ),
        (
            {
                "_class_name": "DiTTransformer2DModel",
                "num_layers": 2,
                "num_attention_heads": 2,
                "attention_head_dim": 16,
                "sample_size": 16,
            },
            1,
            lambda: {"hidden_states": ones(1, 4, 16, 16), "timestep": tokens(1), "class_labels": tokens(1)},
        ),
        (
            {"_class_name": "UNetSpatioTemporalConditionModel", **SVD},
            3,
            lambda: {
                "sample": ones(1, 3, 8, 16, 16),
                "timestep": ones(1),
                "encoder_hidden_states": ones(1, 16, 16),
                "added_time_ids": ones(1, 3),
            },
        ),
        (
            {"_class_name": "AutoencoderKLTemporalDecoder", **SVD_DECODER},
            3,
            lambda: {"z": ones(3, 4, 16, 16), "num_frames": 3},
        ),
        (
            {"architectures": ["WhisperModel"], **WHISPER},
            1,
            lambda: {"input_features": ones(1, 80, 40), "decoder_input_ids": tokens(1, 16)},
        ),
        (
            {"architectures": ["WhisperForConditionalGeneration"], **WHISPER},
            1,
            lambda: {"input_features": ones(1, 80, 40), "decoder_input_ids": tokens(1, 16)},
        ),
    ],
    ids=lambda value: value.get("_class_name") or value["architectures"][0] if isinstance(value, dict) else "",
)
@pytest.mark.filterwarnings("ignore:In CPU autocast")
def test_networks_with_inputs_of_their_own_are_those_of_torchs_counter(
    config: dict[str, Any], frames: int, given: Any, tmp_path: Path
) -> None:
    """The whole network, with numbers and on the CPU, beside what is described without."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    (component,) = describe(Request(ConfiguredModel(str(path)), Shape(128, 128, frames), 1, 16)).components
    (described,) = pipeline_config(str(path), tmp_path).components.values()
    network = made(described)
    learned = sum(parameter.numel() for parameter in network.parameters())
    network.to_empty(device="cpu")
    for each in (*network.parameters(), *network.buffers()):
        each.data.fill_(1)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        network.decode(**given()) if component.name == DECODER else network(**given())
    assert total(component) == pytest.approx(counter.get_total_flops(), rel=0.01)
    if component.name != DECODER:
        assert sum(unit.parameters for unit in component.units) == learned


@pytest.mark.parametrize(("config", "shape", "message"), [
    ({"_class_name": "LTX2VideoTransformer3DModel", "num_layers": 1}, TINY, "makes sound beside pictures"),
    ({"_class_name": "StableCascadeUNet"}, TINY, "'timestep_ratio', of which nothing is known"),
    ({"_class_name": "Kandinsky5Transformer3DModel", "num_visual_blocks": 1, "num_text_blocks": 1}, TINY,
     "has no 'pooled_projection_dim'"),
    ({"_class_name": "WanTransformer4DModel"}, TINY, "no model of the class 'WanTransformer4DModel'"),
    ({"_class_name": "os.system"}, TINY, "'os.system' is no class"),
    ({"_class_name": "DDIMScheduler"}, TINY, "no model of the class 'DDIMScheduler'"),
    ({"num_layers": 2}, TINY, "neither `_class_name`"),
    ({"_class_name": "MotionAdapter"}, Shape(64, 64, 5), "MotionAdapter computes nothing by itself"),
    ({**TINY_WAN, "num_layers": "two"}, TINY, "cannot be made from its config"),
    ({**TINY_WAN, "in_channels": 16, "attention_head_dim": 7}, TINY, "cannot be"),
    (TINY_VAE, Shape(64, 60, 5), "60 pixels are no multiple of 8"),
    (TINY_VAE, Shape(64, 64, 6), "6 frames are not one more than a multiple of 4"),
])  # fmt: skip
def test_what_cannot_be_described_is_refused(
    config: dict[str, object], shape: Shape, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    with pytest.raises(UserError, match=message):
        describe(asked(path, shape))


@pytest.mark.parametrize(("name", "config", "tokens"), [
    ("SanaTransformer2DModel", {"num_layers": 1, "attention_head_dim": 8, "num_attention_heads": 2}, 2 * 4),
    ("QwenImageTransformer2DModel",
     {"num_layers": 1, "attention_head_dim": 16, "num_attention_heads": 2, "axes_dims_rope": [4, 4, 8]}, 4 * 8),
    ("PixArtTransformer2DModel",
     {"num_layers": 1, "attention_head_dim": 8, "num_attention_heads": 2, "caption_channels": 64}, 4 * 8),
])  # fmt: skip
def test_a_denoiser_alone_gets_the_latents_of_the_decoder_it_is_published_with(
    name: str, config: dict[str, Any], tokens: int
) -> None:
    """64x128 pixels: 2x4 latents of 32x32 pixels, or 8x16 of 8x8, of which 2x2 are one token."""
    network = made(NetworkConfig(library="diffusers", class_name=name, config=config))
    usual = usual_latents(network)
    latents = latents_of(None, {}, 128, 64, 1, _config(network).get("in_channels", 4), usual)
    given = next(iter(denoiser_inputs(network, _config(network), latents, 1, 8)))["hidden_states"]
    patch = _config(network).get("patch_size", 1) if given.ndim == 4 else 1
    places = given.shape[1] if given.ndim == 3 else given.shape[2] * given.shape[3] // patch**2
    assert places == tokens


def test_what_is_taken_for_a_latent_is_said(pipeline: Path) -> None:
    alone = describe(asked(pipeline / "transformer" / "config.json", branches=1))
    assert "; without a decoder, a latent is taken for 8x8 pixels of 4 frames" in alone.source
    assert "without a decoder" not in describe(asked(pipeline)).source


def test_networks_of_a_pipeline_that_are_not_described_are_named(pipeline: Path) -> None:
    index = json.loads((pipeline / "model_index.json").read_text())
    (pipeline / "safety_checker").mkdir()
    (pipeline / "safety_checker" / "config.json").write_text("{}")
    checked = {**index, "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"]}
    (pipeline / "model_index.json").write_text(json.dumps(checked))
    assert "; left out: safety_checker" in describe(asked(pipeline)).source, "and no tokenizer nor scheduler"
    (pipeline / "model_index.json").write_text(json.dumps({"safety_checker": checked["safety_checker"]}))
    with pytest.raises(UserError, match=r"names no text encoder, denoiser .*\nGive one of its networks: .*/safety_ch"):
        describe(asked(pipeline))


def test_networks_in_a_folder_without_an_index_are_pointed_at(pipeline: Path) -> None:
    (pipeline / "model_index.json").unlink()
    with pytest.raises(UserError, match=r"Give one of its networks: .*/text_encoder, .*/transformer, .*/vae\."):
        describe(asked(pipeline))


def test_a_folder_without_configs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"neither a model_index\.json nor a config\.json"):
        describe(asked(tmp_path))
