"""Which packages a folder has, what component each is, and that one bad one does not end everything."""

from __future__ import annotations

import json
import shutil

import pytest

pytest.importorskip("coremltools")

from worlds.coreml_packages import Writer, linear_package
from worlds.layouts import LFS, in_hub_cache, zipped

from ondevice_sora.base.errors import UserError
from ondevice_sora.commands.main import main
from ondevice_sora.runtime.coreml.estimate.folders import find_packages


def names(found):
    return [(block.component, block.unit) for block in found.blocks]


def many(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        linear_package(folder / f"{name}.mlpackage")
    return folder


def test_a_folder_as_apples_converter_writes_it(tmp_path):
    stem = "Stable_Diffusion_version_runwayml_stable-diffusion-v1-5"
    parts = ("unet", "text_encoder", "vae_decoder", "vae_encoder", "unet_chunk1", "unet_chunk2", "safety_checker")
    found = find_packages([many(tmp_path / "sd", *(f"{stem}_{part}" for part in parts))])
    assert names(found) == [
        ("text_encoder", f"{stem}_text_encoder"),
        ("unet", f"{stem}_unet_chunk1"), ("unet", f"{stem}_unet_chunk2"),
        ("vae_decoder", f"{stem}_vae_decoder"), ("safety_checker", f"{stem}_safety_checker"),
    ]  # fmt: skip
    assert found.passes == {"unet": "steps"}
    assert [note.partition(":")[0] for note in found.notes] == [
        f"{stem}_unet.mlpackage is left out", f"{stem}_vae_encoder.mlpackage is left out",
    ]  # fmt: skip


def test_compiled_names_of_apples_converter(tmp_path):
    found = find_packages([many(tmp_path / "Resources", "TextEncoder", "TextEncoder2", "Unet", "VAEDecoder")])
    assert [component for component, _ in names(found)] == ["text_encoder", "text_encoder_2", "unet", "vae_decoder"]


def test_whisperkits_three_packages_are_three_components_in_the_order_in_which_they_run(tmp_path):
    found = find_packages(
        [many(tmp_path / "whisper", "AudioEncoder", "MelSpectrogram", "TextDecoder", "TextDecoderContextPrefill")]
    )
    assert names(found) == [
        ("mel", "MelSpectrogram"), ("audio_encoder", "AudioEncoder"), ("text_decoder", "TextDecoder"),
    ]  # fmt: skip
    assert [note.partition(":")[0] for note in found.notes] == ["TextDecoderContextPrefill.mlpackage is left out"]


def test_anemlls_chunks_are_one_component_from_the_embeddings_to_the_head(tmp_path):
    parts = (
        "llama_FFN_PF_lut6_chunk_02of02",
        "llama_FFN_PF_lut6_chunk_01of02",
        "llama_lm_head_lut6",
        "llama_embeddings",
    )
    found = find_packages([many(tmp_path / "llama", *parts)])
    assert names(found) == [("llama", parts[3]), ("llama", parts[1]), ("llama", parts[0]), ("llama", parts[2])]


def test_apples_sam_is_three_components(tmp_path):
    parts = [f"SAM2_1Tiny{part}FLOAT16" for part in ("MaskDecoder", "PromptEncoder", "ImageEncoder")]
    found = find_packages([many(tmp_path / "sam", *parts)])
    assert [component for component, _ in names(found)] == ["image_encoder", "prompt_encoder", "mask_decoder"]


def test_one_name_of_a_layout_or_a_foreign_one_beside_it_is_no_layout(tmp_path):
    assert names(find_packages([many(tmp_path / "one", "AudioEncoder")])) == [("one", "AudioEncoder")]
    found = find_packages([many(tmp_path / "mixed", "AudioEncoder", "Other", "TextDecoder")])
    assert {component for component, _ in names(found)} == {"mixed"}


def test_other_names_in_one_folder_are_one_component(tmp_path):
    found = find_packages([many(tmp_path / "llm", "embed", "chunk1", "chunk2", "unet")])
    assert {component for component, _ in names(found)} == {"llm"}


def test_components_are_put_together_by_hand(tmp_path):
    folder = many(tmp_path / "flat", "a", "b", "c")
    own = {"unet": [folder / "b.mlpackage", folder / "a.mlpackage"], "vae": [folder / "c.mlpackage"]}
    assert names(find_packages([], own)) == [("unet", "b"), ("unet", "a"), ("vae", "c")]


def test_packages_given_one_by_one_are_components_of_their_own(tmp_path):
    folder = many(tmp_path / "app", "clip", "net_part2", "net_part10", "NetChunk1", "vae", "clip_2")
    given = [folder / f"{name}.mlpackage" for name in ("clip", "net_part10", "net_part2", "NetChunk1", "vae", "clip_2")]
    assert names(find_packages(given)) == [
        ("clip", "clip"), ("net", "net_part2"), ("net", "net_part10"), ("Net", "NetChunk1"), ("vae", "vae"),
        ("clip_2", "clip_2"),
    ]  # fmt: skip


def test_packages_given_one_by_one_with_the_names_of_a_layout_are_its_components(tmp_path):
    folder = many(tmp_path / "app", "TextEncoder", "UNet", "VAEDecoder")
    found = find_packages(sorted(folder.iterdir()))
    assert [component for component, _ in names(found)] == ["text_encoder", "unet", "vae_decoder"]
    assert found.passes == {"unet": "steps"}


def test_an_archive_holds_packages_at_any_depth(tmp_path):
    one = linear_package(tmp_path / "one.mlpackage")
    assert names(find_packages([zipped(one, tmp_path / "one.mlpackage.zip")])) == [("one", "one")]
    bare = zipped(one, tmp_path / "bare.mlpackage.zip", inside="")
    assert names(find_packages([bare])) == [("bare", "bare")]
    deep = zipped(one, tmp_path / "deep.zip", inside="a/b/x.mlpackage")
    assert names(find_packages([deep])) == [("x", "x")]


def test_of_two_forms_of_one_model_one_is_taken(tmp_path):
    folder = many(tmp_path / "app", "net")
    zipped(folder / "net.mlpackage", folder / "net.mlpackage.zip")
    found = find_packages([folder])
    assert names(found) == [("app", "net")]
    assert found.notes == ["net.mlpackage.zip is left out: net.mlpackage beside it is taken for the same model"]


def test_a_cache_of_the_hub_is_its_one_snapshot_and_named_by_its_model(tmp_path):
    in_hub_cache(linear_package(tmp_path / "net.mlpackage"), tmp_path / "models--org--small")
    assert names(find_packages([tmp_path / "models--org--small"])) == [("small", "net")]
    (tmp_path / "models--org--small/snapshots/other").mkdir()
    with pytest.raises(UserError, match="the cache has 2 snapshots of this model"):
        find_packages([tmp_path / "models--org--small"])


def test_packages_further_below_are_pointed_at(tmp_path):
    linear_package(tmp_path / "repository/split_einsum/packages/net.mlpackage")
    with pytest.raises(UserError, match="There are some in split_einsum/packages"):
        find_packages([tmp_path / "repository"])


@pytest.fixture
def mixed(tmp_path, monkeypatch):
    """Of three packages one is good, one a Git LFS pointer and one a neural network."""
    monkeypatch.chdir(tmp_path)
    folder = many(tmp_path / "mixed", "good", "pointer")
    (folder / "pointer.mlpackage/Data/com.apple.CoreML/weights/weight.bin").write_bytes(LFS)
    writer = Writer()
    writer.model.neuralNetwork.layers.add()
    writer.save(folder / "old.mlpackage")
    shutil.copy(folder / "old.mlpackage/Data/com.apple.CoreML/model.mlmodel", folder / "bare.mlmodel")
    return folder


def test_bad_packages_are_told_at_the_end_and_by_the_exit_status(mixed, capsys):
    assert main(["profile", "estimate", "mixed"]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "mixed good" in out and "3 packages could not be counted:" in out
    assert "Git LFS pointer" in out and "Fetch it with `git lfs pull`." in out
    assert "a neural network of 1 layers, the older form of Core ML's models" in out
    assert main(["profile", "estimate", "mixed", "--json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert len(shown["packages"]) == 1 and len(shown["refused"]) == 3


def test_what_is_written_says_that_packages_are_missing(mixed, capsys):
    assert main(["profile", "estimate", "mixed", "-o", "out"]) == 1
    assert "3 more could not be counted and are missing" in " ".join(
        (mixed.parent / "out/model.yaml").read_text().split()
    )


def test_nothing_but_bad_packages_is_unusable(mixed, capsys):
    shutil.rmtree(mixed / "good.mlpackage")
    assert main(["profile", "estimate", "mixed"]) == 2
    assert "none of 3 packages can be counted; of this one:" in capsys.readouterr().err


def test_components_on_the_command_line(mixed, capsys):
    assert main(["profile", "estimate", "--component", "unet=mixed/good.mlpackage", "--passes", "unet=steps"]) == 0
    assert "unet good" in capsys.readouterr().out
    assert main(["profile", "estimate", "--component", "mixed/good.mlpackage"]) == 2
    assert "names no component" in capsys.readouterr().err
    assert main(["profile", "estimate"]) == 2
    assert "no package is named" in capsys.readouterr().err


def stage(model, name):
    """A model inside a pipeline."""
    model.pipeline.names.append(name)
    return model.pipeline.models.add()


def test_each_program_of_a_pipeline_is_a_block_and_the_rest_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    inner = linear_package(tmp_path / "inner.mlpackage")
    writer = Writer()
    writer.model.Clear()
    for name in ("backbone", "head"):
        stage(writer.model, name).ParseFromString((inner / "Data/com.apple.CoreML/model.mlmodel").read_bytes())
    stage(writer.model, "nms").nonMaximumSuppression.SetInParent()
    yolo = writer.save(tmp_path / "yolo.mlpackage")
    shutil.copy(inner / "Data/com.apple.CoreML/weights/weight.bin", yolo / "Data/com.apple.CoreML/weights/weight.bin")
    assert names(find_packages([yolo])) == [("yolo", "yolo_backbone"), ("yolo", "yolo_head")]
    assert main(["profile", "estimate", "yolo.mlpackage", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["packages"][0]["notes"] == ["of its pipeline, nms is not counted: it is non-maximum suppression"]
    assert [each["weight_bytes"] for each in shown["packages"]] == [64, 64]
