"""weights check: what is there, missing and misshapen, told from headers."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("google.protobuf")

import torch
from safetensors.torch import load_file, save_file

from benchmarks.published_weights import TINY, write_published_weights, write_tokenizer
from ondevice_sora.base.installation import how_to_install
from ondevice_sora.commands.main import main
from ondevice_sora.runtime.networks.components import load_text_to_video
from ondevice_sora.runtime.small.shipped import WEIGHTS


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layout of the published weights with tiny networks, the text encoder in two shards."""
    folder = tmp_path_factory.mktemp("published") / "weights"
    write_published_weights(folder, TINY, shard_bytes=20_000)
    return folder


@pytest.fixture
def weights(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(published, "weights"))


def checked(capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str, str]:
    status = main(["weights", "check", "weights", *more])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_the_published_layout_is_complete_and_loads(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = checked(capsys)
    assert (status, err) == (0, "")
    assert "complete for the model 'opensora'" in out
    model = load_text_to_video(weights)
    assert model.text_encoder.config == TINY.text_encoder and model.denoiser.config == TINY.denoiser
    assert torch.equal(model.decoder.shift, torch.tensor(TINY.decoder.shift)[None, :, None, None, None])


def test_the_table_fits_eighty_columns(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = checked(capsys)
    assert max(map(len, out.splitlines())) <= 80
    assert [line.split()[:3] for line in out.splitlines()[1:5]] == [
        ["text", "encoder", "complete"], ["tokenizer", "complete", "1"], ["denoiser", "complete", "2"],
        ["decoder", "complete", "2"],
    ]  # fmt: skip


def test_json_has_the_same(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = checked(capsys, "--json")
    document = json.loads(out)
    assert status == 0
    states = {part["name"]: part["state"] for part in document["parts"]}
    assert states == dict.fromkeys(("text_encoder", "tokenizer", "denoiser", "decoder"), "complete")
    denoiser = next(part for part in document["parts"] if part["name"] == "denoiser")
    assert denoiser["types"] == ["float32"]
    assert denoiser["file_bytes"]["model.safetensors"] == (weights / "denoiser/model.safetensors").stat().st_size
    assert document["is_complete"] is True
    assert document["num_bytes"] == sum(path.stat().st_size for path in weights.rglob("*") if path.is_file())


def test_the_small_model_is_complete_without_a_tokenizer(capsys: pytest.CaptureFixture[str]) -> None:
    if not (WEIGHTS / "denoiser/model.safetensors").is_file():
        pytest.skip("the small model's weights are not here")
    assert main(["weights", "check", str(WEIGHTS), "--model", "small"]) == 0
    assert "complete for the model 'small'" in capsys.readouterr().out


def test_other_words_than_the_small_models_are_told(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = checked(capsys, "--model", "small")
    assert status == 2 and "this model reads" in err


def pointer(path: Path) -> None:
    path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 4830575888\n")


def without_a_tensor(path: Path) -> None:
    tensors = load_file(path)
    del tensors["x_embedder.proj.bias"]
    save_file(tensors, path)


def of_another_shape(path: Path) -> None:
    tensors = load_file(path)
    save_file(tensors | {"x_embedder.proj.bias": torch.zeros(3)}, path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def larger(path: Path) -> None:
    write_tokenizer(path.parent, 400, 0)


DENOISER = "denoiser/model.safetensors"
SHARD = "text_encoder/pytorch_model-00002-of-00002.bin"


@pytest.mark.parametrize(
    ("file", "change", "part", "state", "what"),
    [
        (DENOISER, Path.unlink, "denoiser", "missing", "denoiser: no weights here"),
        (DENOISER, without_a_tensor, "denoiser", "misshapen", "1 missing: x_embedder.proj.bias"),
        (DENOISER, of_another_shape, "denoiser", "misshapen", "1 misshapen: x_embedder.proj.bias [3] for [32]"),
        (DENOISER, cut, "denoiser", "unusable", "not a whole safetensors file"),
        (DENOISER, pointer, "denoiser", "unusable", "this is a pointer that Git LFS left in the file's place"),
        (SHARD, Path.unlink, "text_encoder", "missing", "shard pytorch_model-00002-of-00002.bin is missing"),
        (SHARD, cut, "text_encoder", "unusable", "not a whole torch checkpoint"),
        ("text_encoder/spiece.model", Path.unlink, "tokenizer", "missing", "no spiece.model and no tokenizer.json"),
        ("text_encoder/spiece.model", lambda p: p.write_bytes(b"x" * 99), "tokenizer", "unusable",
         "not a unigram model of sentencepiece's"),
        ("text_encoder/spiece.model", larger, "tokenizer", "unusable", "ids up to 399, the text encoder 288 tokens"),
        ("text_encoder/spiece.model", pointer, "tokenizer", "unusable", "a pointer that Git LFS left"),
        ("decoder", shutil.rmtree, "decoder", "missing", "decoder: no such file or directory"),
        ("decoder/config.json", lambda p: p.write_text("[" * 10**6), "decoder", "unusable", "nested"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_part(
    file: str, change: Callable[[Path], Any], part: str, state: str, what: str, weights: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    change(weights / file)
    status, out, err = checked(capsys, "--json")
    assert status == 2 and what in err and err.count("error:") == 1
    states = {part["name"]: part["state"] for part in json.loads(out)["parts"] if part["state"] != "complete"}
    assert states == {part: state}


def test_everything_wrong_is_told_at_once(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (weights / DENOISER).unlink()
    (weights / "text_encoder/spiece.model").unlink()
    _, _, err = checked(capsys)
    assert "denoiser: no weights here" in err and "no spiece.model" in err


def test_components_that_do_not_go_together_are_told(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from dataclasses import replace

    shutil.rmtree(weights)
    write_published_weights(weights, replace(TINY, denoiser=replace(TINY.denoiser, caption_channels=8)))
    status, _, err = checked(capsys)
    assert status == 2 and "the text encoder writes 16 channels, the denoiser reads 8" in err


def test_an_unfinished_download_is_told(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (weights / DENOISER).rename(weights / "denoiser/.model.safetensors.0123456789ab.partial")
    _, _, err = checked(capsys)
    assert "A download is unfinished" in err and "of model.safetensors): `ondevice-sora weights get` goes on" in err


@pytest.mark.parametrize("name", ["denoiser/model.bin", "denoiser/.x.partial", "text_encoder/tokenizer.json"])
def test_pipes_and_links_that_lead_nowhere_are_passed_over(
    name: str, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(weights / name)
    assert checked(capsys)[0] == 0
    (weights / name).unlink()
    (weights / name).symlink_to("nowhere")
    assert checked(capsys)[0] == 0


def test_a_name_of_any_bytes_is_written_out(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open(os.fsencode(weights / "denoiser") + b"/\xff\x1b[31m", "wb"):
        pass
    status, out, _ = checked(capsys, "--json")
    assert status == 0 and "\x1b" not in out
    assert len(json.loads(out)["parts"][2]["file_bytes"]) == 3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_are_named(dtype: Any, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(weights)
    write_published_weights(weights, TINY, dtype, in_safetensors=True)
    status, out, _ = checked(capsys, "--json")
    assert status == 0
    types = {tuple(part["types"]) for part in json.loads(out)["parts"] if part["name"] != "tokenizer"}
    assert types == {(str(dtype).removeprefix("torch."),)}


def test_without_the_library_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert main(["weights", "get", "opensora", "-o", str(tmp_path / "out")]) == 2
    said = f"error: this needs huggingface_hub, which is not installed\n{how_to_install('weights')}\n"
    assert capsys.readouterr().err == said
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_there_and_an_unknown_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert checked(capsys)[::2] == (
        2,
        "error: weights: no such directory\nPoint to the folder that holds the three components.\n",
    )
    assert "unknown model 'sdxl'" in checked(capsys, "--model", "sdxl")[2]
