"""Random weights in the published layout: the networks read them, and they are those of an export without weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from safetensors import safe_open

from benchmarks.published_weights import DTYPES, TINY, write_published_weights
from ondevice_sora.runtime.models import random_weights, without_weights
from ondevice_sora.runtime.networks.components import load_text_to_video

EMBEDDINGS = {"shared.weight", "encoder.embed_tokens.weight"}


@pytest.mark.parametrize("in_safetensors", [False, True])
@pytest.mark.parametrize("dtype", DTYPES.values())
def test_the_networks_read_them(dtype: torch.dtype, in_safetensors: bool, tmp_path: Path) -> None:
    write_published_weights(tmp_path, TINY, dtype, seed=3, in_safetensors=in_safetensors)
    model = load_text_to_video(tmp_path)
    source = random_weights(without_weights(TINY.text_encoder, TINY.denoiser, TINY.decoder), 3)
    for component, network in vars(model).items():
        for name, tensor in network.state_dict().items():
            if name not in EMBEDDINGS:
                drawn = source.read(component, {name: tuple(tensor.shape)})[name]
                assert torch.equal(tensor, drawn.to(dtype).float()), (component, name)


@pytest.mark.parametrize(("in_safetensors", "kept"), [(False, EMBEDDINGS), (True, {"shared.weight"})])
def test_shards_hold_what_fits_and_tied_embeddings_as_their_kind_has_them(
    in_safetensors: bool, kept: set[str], tmp_path: Path
) -> None:
    write_published_weights(tmp_path, TINY, shard_bytes=10_000, in_safetensors=in_safetensors)
    (index,) = (tmp_path / "text_encoder").glob("*.index.json")
    weight_map = json.loads(index.read_text())["weight_map"]
    shards = sorted(set(weight_map.values()))
    assert len(shards) > 2 and shards[0].endswith(
        f"-00001-of-{len(shards):05}.{'safetensors' if in_safetensors else 'bin'}"
    )
    assert EMBEDDINGS & set(weight_map) == kept


def test_the_decoders_file_has_the_encoder_too(tmp_path: Path) -> None:
    write_published_weights(tmp_path, TINY)
    with safe_open(tmp_path / "decoder/model.safetensors", "pt") as opened:
        names = set(opened.keys())
    assert {
        "spatial_vae.module.encoder.conv_in.weight",
        "temporal_vae.quant_conv.conv.weight",
        "scale",
        "shift",
    } <= names


def test_a_folder_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    write_published_weights(tmp_path, TINY)
    with pytest.raises(FileExistsError):
        write_published_weights(tmp_path, TINY)
