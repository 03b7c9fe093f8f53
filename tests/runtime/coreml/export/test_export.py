"""Exports: what is written, what is made again, and that a check of it finds what is wrong."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from msgspec.structs import replace
from safetensors.torch import load_file, save_file

pytest.importorskip("coremltools")

from worlds import chores

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.documents import Document
from ondevice_sora.base.files.folders import locked
from ondevice_sora.base.files.opening import NotAFileError
from ondevice_sora.base.files.reading import parse_yaml
from ondevice_sora.base.interrupts import Interrupted
from ondevice_sora.plans.plan_file import load_plan, read_plan
from ondevice_sora.plans.schema import plan_hash
from ondevice_sora.profiles.profile import load_profile
from ondevice_sora.runtime.coreml.estimate.estimate import Described, describe
from ondevice_sora.runtime.coreml.estimate.folders import find_packages
from ondevice_sora.runtime.coreml.export import export
from ondevice_sora.runtime.coreml.export.export import _packages, export_plan, manifest_of
from ondevice_sora.runtime.coreml.export.exported import Export
from ondevice_sora.runtime.coreml.export.folder import remove_package
from ondevice_sora.runtime.coreml.export.manifest import (
    ExportedBlock,
    give_way,
    packaged,
    read_manifest,
)
from ondevice_sora.runtime.coreml.export.parity import relative_error, validate_export
from ondevice_sora.runtime.coreml.export.workshop import Commission, Workshop
from ondevice_sora.runtime.coreml.package.reading import read_package
from ondevice_sora.runtime.networks.sources import RandomWeights
from ondevice_sora.runtime.small.vocabulary import TOKENIZER
from ondevice_sora.runtime.tokenizers.document import encoded

if TYPE_CHECKING:
    from worlds.exports import Exported


@pytest.fixture
def copied(exported: Exported, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported.directory, tmp_path / "copy"))


def exported_again(directory: Path, exported: Exported, plan: Path | None = None) -> list[str]:
    """Names of the blocks that had to be made."""
    made: list[str] = []
    commission = Commission(load_plan(plan or exported.plan).plan, exported.weights)
    export_plan(commission, directory, on_block=lambda block, was_made: made.append(block.name) if was_made else None)
    return made


def test_the_manifest_wires_the_blocks(exported: Exported) -> None:
    """Whatever a block reads, its component's caller or an earlier block of it provides."""
    manifest = read_manifest(exported.directory)
    assert manifest.complete
    assert manifest.plan_sha256 == plan_hash(load_plan(exported.plan).plan)
    for component in manifest.components:
        there = set(component.reads)
        for block in (block for block in manifest.blocks if block.component == component.name):
            for function in block.functions:
                assert {feature.tensor for feature in function.inputs} <= there
                program = read_package(exported.directory / function.package).function(function.function)
                assert [value.name for value in program.inputs] == [each.feature for each in function.inputs]
                assert {value.name for value in program.outputs} == {each.feature for each in function.outputs}
            there |= {feature.tensor for feature in block.functions[0].outputs}
        assert set(component.writes) <= there
    assert manifest.sampling.timesteps[0] == 1000.0 and len(manifest.sampling.timesteps) == 3
    assert manifest.decoding.chunk_frames == (17, 3)


def test_variants_are_functions_of_one_package_that_share_their_weights(exported: Exported, tmp_path: Path) -> None:
    """At most 1.02 times one variant, as soon as there are weights to speak of: here 330 kB."""
    manifest = read_manifest(exported.directory)
    block = next(block for block in manifest.blocks if block.component == "denoiser" and len(block.functions) == 2)
    assert {function.kind for function in block.functions} == {"plain", "tdtm"}
    (package,) = block.packages
    read = read_package(exported.directory / package.file)
    assert set(read.functions) == {"plain", "tdtm"}
    weights = {
        kind: sum({c.extent: c.stored_bytes for c in function.all_constants() if c.extent}.values())
        for kind, function in read.functions.items()
    }
    assert read.weight_bytes <= 1.02 * max(weights.values()) + 64 * len(read.functions["plain"].constants)


def test_constant_outputs_come_from_an_operation(exported: Exported) -> None:
    function = read_package(exported.directory / "denoiser.000.mlpackage").function()
    rotary = next(each for each in function.operations if each.name == "rotary_out")
    assert rotary.type == "identity"


def test_floats_between_blocks_follow_the_precision(exported_small: Exported) -> None:
    blocks = [block for block in read_manifest(exported_small.directory).blocks if block.component == "denoiser"]
    types = {
        each.tensor: each.dtype
        for block in blocks
        for each in (*block.functions[0].inputs, *block.functions[0].outputs)
    }
    assert types["hidden"] == "float16" and types["caption_bias"] == "float16"
    assert types["timestep"] == types["latent"] == types["velocity"] == "float32" and types["text_mask"] == "int32"
    operations = read_package(exported_small.directory / "denoiser.000.mlpackage").function().operations
    angles = [each for each in operations if each.type in ("cos", "sin")]
    assert angles and all(str(each.outputs[0].type).startswith("fp32") for each in angles)


def test_int8_weights_stay_int8_on_disk(exported_small: Exported) -> None:
    function = read_package(exported_small.directory / "text_encoder.000.mlpackage").function()
    compressed = [each for each in function.operations if each.type == "constexpr_blockwise_shift_scale"]
    assert len(compressed) == 3, "those of the feed-forward; all others have fewer than 2048 elements"


def test_what_is_finished_is_not_made_again(copied: Path, exported: Exported) -> None:
    assert exported_again(copied, exported) == []
    path = copied / "denoiser.002.mlpackage" / "Data" / "com.apple.CoreML" / "model.mlmodel"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert exported_again(copied, exported) == ["output"]


def test_another_plan_makes_only_the_blocks_that_change(copied: Path, exported: Exported, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    text = exported.plan.read_text().replace(
        "blocks: [input, spatial_0..temporal_0, output]", "blocks: [input, spatial_0..output]"
    )
    plan.write_text(text.replace("steps: [1]", "steps: none"))
    assert exported_again(copied, exported, plan) == ["spatial_0..output"]
    assert not (copied / "denoiser.002.mlpackage").exists(), "what the plan does not have any more is removed"


@pytest.mark.parametrize(
    ("before", "after", "made"),
    [
        ("text_tokens: 6", "text_tokens: 7", ["input", "spatial_0..temporal_0"]),
        ("packages: shared", "packages: shared, units: [spatial_*]", ["spatial_0..temporal_0"]),
    ],
)
def test_what_a_block_writes_or_merges_makes_it_anew(
    copied: Path, exported: Exported, tmp_path: Path, before: str, after: str, made: list[str]
) -> None:
    plan = tmp_path / "plan.yaml"
    text = exported.plan.read_text()
    assert before in text
    plan.write_text(text.replace(before, after))
    assert exported_again(copied, exported, plan) == made


def test_without_guidance_the_packages_compute_one_branch(copied: Path, exported: Exported, tmp_path: Path) -> None:
    """Its packages are checked, and played: the video is that of torch, which computes one branch as well."""
    assert read_manifest(copied).sampling.batch == 2
    plan = tmp_path / "plan.yaml"
    plan.write_text(exported.plan.read_text().replace("guidance: 4.0", "guidance: 1.0"))
    assert exported_again(copied, exported, plan) == ["input", "spatial_0..temporal_0", "output"]
    manifest = read_manifest(copied)
    assert (manifest.sampling.guidance, manifest.sampling.batch) == (1.0, 1)
    first = next(block for block in manifest.blocks if block.component == "denoiser")
    assert {feature.tensor: feature.shape[0] for feature in first.functions[0].inputs} == dict.fromkeys(
        ("latent", "timestep", "fps", "caption", "text_mask"), 1
    )
    assert all(row.ok for row in validate_export(copied, exported.weights))


def test_branches_in_turn_are_packages_of_one_branch_that_run_twice(
    copied: Path, exported: Exported, tmp_path: Path
) -> None:
    """Played in the reference executor the video is torch's, and an estimate counts both runs."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(exported.plan.read_text().replace("guidance: 4.0", "guidance: 4.0, branches: in_turn"))
    assert exported_again(copied, exported, plan) == ["input", "spatial_0..temporal_0", "output"]
    manifest = read_manifest(copied)
    assert (manifest.sampling.guidance, manifest.sampling.batch) == (4.0, 1)
    assert all(row.ok for row in validate_export(copied, exported.weights))
    both, in_turn = (
        {unit.name: unit.plain for unit in estimated(folder).model.components[1].units}
        for folder in (exported.directory, copied)
    )
    block = "spatial_0"
    assert (both[block].runs, in_turn[block].runs) == (1, 2)
    assert in_turn[block].matmul_flops == pytest.approx(both[block].matmul_flops, rel=0.01)
    assert 0.5 < in_turn[block].working_elements / both[block].working_elements < 1


def estimated(folder: Path) -> Described:
    profile, device = load_profile("iphone15pro")
    return describe(find_packages([folder]), profile, device, name="estimated")


def test_an_interrupted_export_goes_on(copied: Path, exported: Exported) -> None:
    manifest = json.loads((copied / "manifest.json").read_text())
    manifest["complete"], manifest["blocks"] = False, manifest["blocks"][:-1]
    (copied / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="not complete"):
        validate_export(copied, exported.weights)
    assert exported_again(copied, exported) == ["input..output"]
    assert read_manifest(copied).complete


def unfinished(directory: Path, *numbers: int) -> set[str]:
    """Forget these blocks of the denoiser. Returns what lies in the folder."""
    manifest = json.loads((directory / "manifest.json").read_text())
    manifest["complete"] = False
    manifest["blocks"] = [
        block for block in manifest["blocks"] if block["component"] != "denoiser" or block["number"] not in numbers
    ]
    (directory / "manifest.json").write_text(json.dumps(manifest))
    return {path.name for path in directory.iterdir()}


def test_ctrl_c_keeps_the_blocks_that_are_finished_and_nothing_else(
    copied: Path, exported: Exported, ctrl_c: Callable[[], None]
) -> None:
    there = unfinished(copied, 0, 2)
    told: list[tuple[str, bool]] = []

    def on_block(block: ExportedBlock, was_made: bool) -> None:
        told.append((block.name, was_made))
        if was_made:
            ctrl_c()

    with pytest.raises(Interrupted):
        export_plan(Commission(load_plan(exported.plan).plan, exported.weights), copied, on_block=on_block)
    assert [was_made for _, was_made in told] == [False] * 4 + [True]
    assert len(read_manifest(copied).blocks) == 5
    assert {path.name for path in copied.iterdir()} == there
    assert exported_again(copied, exported) == ["output"]


def test_a_conversion_leaves_nothing_in_the_systems_temporary_folder(
    copied: Path, exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """coremltools keeps a copy of each package there until the process ends: all of a large model's."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    there = unfinished(copied, 2)
    assert exported_again(copied, exported) == ["output"]
    assert not list((tmp_path / "tmp").iterdir())
    assert {path.name for path in copied.iterdir()} == there


def test_what_a_killed_export_left_is_removed_by_the_next(copied: Path, exported: Exported) -> None:
    left = copied / ".ondevice-sora-export-left"
    (left / "denoiser.000").mkdir(parents=True)
    (left / "denoiser.000" / "plain.mlpackage").symlink_to(exported.directory)
    assert exported_again(copied, exported) == []
    assert not left.exists() and exported.directory.is_dir()


def test_two_exports_into_one_folder_are_one_too_many(copied: Path, exported: Exported) -> None:
    with locked(copied), pytest.raises(UserError, match=f"{copied}: another process is working with this folder"):
        exported_again(copied, exported)


def test_a_process_that_the_system_ends_names_its_block(
    copied: Path, exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    unfinished(copied, 2)
    monkeypatch.setattr(export, "make_block", chores.fatal)
    monkeypatch.setenv("PYTHONPATH", str(Path(chores.__file__).parents[1]))
    with pytest.raises(UserError) as refused:
        export_plan(Commission(load_plan(exported.plan).plan, exported.weights), copied, jobs=2)
    refused.match("the process that made block 'output' of denoiser was ended by the system")
    refused.match("What is finished is kept; take fewer --jobs if memory is short.")


def test_in_two_processes_the_same_packages_are_made(copied: Path, exported: Exported) -> None:
    before = read_manifest(copied)
    unfinished(copied, 0, 2)
    made: list[str] = []
    export_plan(
        Commission(load_plan(exported.plan).plan, exported.weights), copied, jobs=2,
        on_block=lambda block, was_made: made.append(block.name) if was_made else None,
    )  # fmt: skip
    assert sorted(made) == ["input", "output"]
    assert [block.functions for block in read_manifest(copied).blocks] == [block.functions for block in before.blocks]
    validate_export(copied, exported.weights)


def test_separate_packages_hold_tdtm_apart() -> None:
    assert _packages(["plain", "tdtm"], "separate") == {"": ["plain"], ".tdtm": ["tdtm"]}
    assert _packages(["plain", "tdtm"], "shared") == {"": ["plain", "tdtm"]}
    assert _packages(["plain", "tail"], "separate") == {"": ["plain", "tail"]}


def test_every_block_is_within_tolerance(exported: Exported, exported_small: Exported) -> None:
    rows = validate_export(exported.directory, exported.weights)
    assert [row for row in rows if not row.ok] == [] and max(row.tolerance for row in rows) == 1e-4
    assert {row.kind for row in rows} == {"plain", "tdtm", "tail"}
    rows = validate_export(exported_small.directory, exported.weights)
    assert [row for row in rows if not row.ok] == []
    errors = {row.component: row.error for row in rows}
    assert errors["text_encoder"] > 1e-4 and errors["denoiser"] > 1e-4, "lower precision shows"


def test_a_wrong_weight_is_found_and_its_block_named(copied: Path, exported: Exported) -> None:
    """The value changes in the package, and its checksum in the manifest: only the comparison can tell."""
    file = "denoiser.001.mlpackage"
    function = read_package(copied / file).function("plain")
    biggest = max((c for c in function.all_constants() if c.extent), key=lambda c: c.stored_bytes)
    assert biggest.extent is not None
    with biggest.extent.path.open("r+b") as stream:
        stream.seek(biggest.extent.start)
        stream.write(b"\0" * 2048)
    with pytest.raises(UserError, match=r"denoiser.001.mlpackage: is not as it was written \(checksum\)"):
        validate_export(copied, exported.weights)
    manifest = (copied / "manifest.json").read_text()
    before = next(p for b in read_manifest(copied).blocks for p in b.packages if p.file == file)
    (copied / "manifest.json").write_text(manifest.replace(before.checksum, packaged(copied, file).checksum))
    over = {row.block for row in validate_export(copied, exported.weights) if not row.ok}
    assert over == {"spatial_0..temporal_0"}


def test_other_weights_are_noticed(exported: Exported, tmp_path: Path) -> None:
    other = Path(shutil.copytree(exported.weights, tmp_path / "other"))
    tensors = load_file(other / "denoiser" / "model.safetensors")
    tensors["final_layer.linear.bias"][0] += 1
    save_file(tensors, other / "denoiser" / "model.safetensors")
    with pytest.raises(UserError, match="block 'output' of denoiser was made from other weights"):
        validate_export(exported.directory, other)


def test_errors_are_relative_and_masks_must_agree() -> None:
    expected = torch.tensor([0.0, -2.0, -torch.finfo(torch.float32).max])
    assert relative_error(torch.tensor([0.01, -2.0, -torch.inf]), expected) == pytest.approx(0.005)
    assert relative_error(torch.tensor([0.0, -2.0, -5.0]), expected) == float("inf")
    assert relative_error(torch.tensor([0.0, torch.nan, -torch.inf]), expected) != 0


def commissioned(text: str, weights: Path | None = None) -> Commission:
    return Commission(read_plan(parse_yaml(text, Path("plan.yaml"))).plan, weights)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{name: p, model: sdxl}", "'sdxl' is not exported here"),
        ("{name: p, model: small, text_tokens: 30}", "30 tokens; the text encoder is given 24"),
        ("{name: p, model: small, encoder_tokens: 30}", "30 tokens; this model reads 24"),
        ("{name: p, model: small, text_tokens: 8, encoder_tokens: 7}", "8 tokens; the text encoder is given 7"),
        ("{name: p, model: small, video: {width: 65, height: 64, frames: 17}}", "65 is not a multiple of 8"),
    ],
)
def test_plans_that_cannot_be_exported(text: str, match: str) -> None:
    with pytest.raises(UserError, match=match):
        Workshop(commissioned(text))


def test_two_bits_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    text = "{name: p, model: small, components: {denoiser: {precision: int2}}}"
    with pytest.raises(UserError, match="'int2' is not exported here"):
        export_plan(commissioned(text), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_core_ai_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    text = "{name: p, model: small, components: {denoiser: {loading: core_ai}}}"
    with pytest.raises(UserError, match="exported and run through Core ML; Core AI is only simulated"):
        export_plan(commissioned(text), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_random_weights_depend_on_seed_and_name_alone() -> None:
    one = RandomWeights(1, 0.5)
    shapes = {"a.weight": (3, 4), "b.weight": (5,)}
    both, alone = one.read("denoiser", shapes), one.read("denoiser", {"a.weight": (3, 4)})
    assert torch.equal(both["a.weight"], alone["a.weight"])
    assert not torch.equal(both["a.weight"], RandomWeights(2, 0.5).read("denoiser", shapes)["a.weight"])
    assert one.digest("denoiser", shapes) != one.digest("decoder", shapes)


@pytest.mark.parametrize("text", ["", "{}", "[" * 10_000, '{"format": "other"}'])
def test_a_broken_manifest(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UserError, match="manifest"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("name", ["../denoiser.000.mlpackage", "..", ".", ""])
def test_a_manifest_may_not_name_files_elsewhere(copied: Path, name: str) -> None:
    text = (copied / "manifest.json").read_text()
    (copied / "manifest.json").write_text(text.replace('"denoiser.000.mlpackage"', f'"{name}"'))
    with pytest.raises(UserError, match=r"packages\[0\].file: expected the name of an .mlpackage beside it"):
        read_manifest(copied)


def test_an_export_of_the_first_format_is_one_message(copied: Path, exported: Exported) -> None:
    altered(copied, lambda manifest: manifest.update(format="ondevice-sora-export-1"))
    what = r"an export of an earlier version, ondevice-sora-export-1; this one reads ondevice-sora-export-2"
    for use in (lambda: read_manifest(copied), lambda: Export.open(copied), lambda: exported_again(copied, exported)):
        with pytest.raises(UserError, match=what):
            use()
    give_way(copied)

    def stop(block: object, was_made: bool) -> None:
        assert was_made
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # all are made anew; the first shows it
        export_plan(Commission(load_plan(exported.plan).plan, exported.weights), copied, on_block=stop)


def test_a_manifest_says_by_what_captures_know_the_model_and_not_where_its_weights_lay(
    exported: Exported, tmp_path: Path
) -> None:
    manifest = read_manifest(exported.directory)
    assert (manifest.model, manifest.model_name) == ("small", "small model of Open-Sora's classes")
    assert manifest.sampling.batch == 2
    assert manifest.weights.description == exported.weights.name
    assert str(exported.weights.parent) not in (exported.directory / "manifest.json").read_text()


def test_a_check_asks_for_the_weights_unless_they_shipped(copied: Path, exported: Exported) -> None:
    with pytest.raises(UserError) as refused:
        validate_export(copied)
    refused.match(f"made from the weights '{exported.weights.name}', which it is compared with\nGive their folder with")


# Tokenizers


def test_an_export_reads_prompts(exported: Exported) -> None:
    """By the words of the small model, padded to what the plan's text encoder reads."""
    tokenizer = Export.open(exported.directory).tokenizer
    assert (tokenizer.kind, tokenizer.length) == ("words", 9)
    ids, mask = tokenizer.encode("a red circle")
    assert ids[:, :9].tolist() == TOKENIZER.encode("a red circle")[0][:, :9].tolist()
    assert mask.tolist() == [[1, 1, 1, 1, 0, 0, 0, 0, 0]]
    with pytest.raises(UserError, match="the prompt has 10 tokens, its end counted; the model reads 9"):
        tokenizer.encode("red " * 9)


def test_an_altered_tokenizer_is_noticed(copied: Path) -> None:
    path = copied / "tokenizer.json"
    path.write_text(path.read_text().replace('"red"', '"rde"'))
    with pytest.raises(UserError, match=r"tokenizer\.json: is not as it was written \(checksum\)"):
        Export.open(copied)
    path.unlink()
    with pytest.raises(UserError, match=r"tokenizer\.json: no such file"):
        Export.open(copied)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda t: t.update(length=10), "10 tokens of 27; the model reads 9 of 27"),
        (lambda t: t["words"].update(more=90), "9 tokens of 91; the model reads 9 of 27"),
        (lambda t: t.update(kind="?"), "'?' is no kind of tokenizer"),
    ],
)
def test_a_tokenizer_of_another_model_is_noticed(
    copied: Path, change: Callable[[dict[str, Any]], object], complaint: str
) -> None:
    path = copied / "tokenizer.json"
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told))
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    altered(copied, lambda manifest: manifest["tokenizer"].update(checksum=checksum))
    with pytest.raises(UserError, match=re.escape(complaint)):
        Export.open(copied)


OPENSORA = "{name: p, model: opensora, text_tokens: 6, video: {width: 64, height: 64, frames: 17}, sampler: {steps: 2}}"


def test_weights_without_a_tokenizer_export_without_one(exported: Exported, copied: Path) -> None:
    """An older one is removed; a prompt is then one message."""
    workshop = Workshop(
        commissioned(OPENSORA.replace("text_tokens: 6", "text_tokens: 6, encoder_tokens: 9"), exported.weights)
    )
    manifest, files = manifest_of(workshop)
    assert manifest.tokenizer is None and list(files) == ["no_caption.bin"]
    export._empty_manifest(workshop, copied, read_manifest(copied))
    assert not (copied / "tokenizer.json").exists()
    altered(copied, lambda manifest: manifest.update(tokenizer=None))
    opened = Export.open(copied)
    with pytest.raises(UserError, match="this export has no tokenizer: it plays tokens, not prompts"):
        opened.tokenizer.encode("a red circle")


def test_a_tokenizer_beside_the_text_encoder_goes_with_the_export(exported: Exported, tmp_path: Path) -> None:
    weights = Path(shutil.copytree(exported.weights, tmp_path / "weights"))
    own = replace(TOKENIZER.document, suffix=" moving left")
    (weights / "text_encoder" / "tokenizer.json").write_bytes(encoded(own))
    plan = OPENSORA.replace("text_tokens: 6", "text_tokens: 6, encoder_tokens: 9")
    manifest, files = manifest_of(Workshop(commissioned(plan, weights)))
    assert files["tokenizer.json"] == encoded(replace(own, length=9))
    assert manifest.model_name == "Open-Sora v1.2"
    larger = replace(own, words={**own.words, "more": 27})
    (weights / "text_encoder" / "tokenizer.json").write_bytes(encoded(larger))
    with pytest.raises(UserError, match="the tokenizer has ids up to 27, the text encoder 27 tokens"):
        Workshop(commissioned(plan, weights))


def test_a_file_of_that_name_that_is_no_tokenizer_is_kept(exported: Exported, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("mine\n")
    with pytest.raises(UserError, match=r"tokenizer\.json: is in the way, and is no tokenizer of an export"):
        exported_again(tmp_path, exported)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"tokenizer.json": "mine\n"}


def test_a_folder_that_cannot_be_written(exported: Exported, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="cannot be written"):
        exported_again(tmp_path / "out", exported)


def test_the_plan_is_kept_whole(exported: Exported) -> None:
    manifest = read_manifest(exported.directory)
    plan = read_plan(Document(manifest.plan, {}, Path("manifest.json"))).plan
    assert plan == load_plan(exported.plan).plan


def altered(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = directory / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def denoiser(manifest: dict[str, Any]) -> dict[str, Any]:
    """The block with two functions."""
    return next(block for block in manifest["blocks"] if len(block["functions"]) == 2 and block["number"])


def rename_tensor(manifest: dict[str, Any]) -> None:
    denoiser(manifest)["functions"][0]["inputs"][0]["tensor"] = "other"


LIES: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda m: denoiser(m)["functions"].pop(), "functions is not what the plan and its packages give"),
    (lambda m: denoiser(m)["functions"][0]["outputs"].pop(), "functions.*expected a list of length >= 1"),
    (lambda m: denoiser(m)["functions"][0]["inputs"].pop(), "functions is not what the plan and its packages give"),
    (lambda m: denoiser(m)["functions"][0]["inputs"][0].update(shape=[1]), "functions is not what the plan"),
    (lambda m: denoiser(m)["functions"][0]["inputs"][0].update(dtype="float16"), "functions is not what the plan"),
    (rename_tensor, "functions is not what the plan and its packages give"),
    (lambda m: denoiser(m).update(precision="int8"), "precision is not what the plan and its packages give"),
    (lambda m: denoiser(m).update(compute_units="cpu_only"), "compute_units is not what the plan"),
    (lambda m: denoiser(m).update(number=7), "number is not what the plan"),
    (lambda m: m["sampling"].update(guidance=1.0), "sampling is not what the plan and these weights give"),
    (lambda m: m["sampling"]["timesteps"].pop(), "sampling is not what the plan and these weights give"),
    (lambda m: m["decoding"].update(batch_frames=3), "decoding is not what the plan and these weights give"),
    (lambda m: m["origin"]["denoiser"].update(depth=2), "origin is not what the plan and these weights give"),
    (lambda m: m["components"][0].update(passes=2), "components is not what the plan and these weights give"),
    (lambda m: m.update(model_name="other"), "model_name is not what the plan and these weights give"),
    (lambda m: m["sampling"].update(batch=1), "sampling is not what the plan and these weights give"),
    (lambda m: m.update(tokenizer=None), "tokenizer is not what the plan and these weights give"),
    (lambda m: m["tokenizer"].update(checksum="0" * 64), "tokenizer is not what the plan and these weights give"),
    (lambda m: m["tokenizer"].update(file="../tokenizer.json"), "tokenizer.file: '../tokenizer.json' is not one of"),
    (lambda m: m.update(text_tokens=5), "text_tokens is not what the plan and these weights give"),
    (lambda m: m.update(plan_sha256="0" * 64), "plan_sha256: not the hash of the plan that is told"),
    (lambda m: m["plan"]["sampler"].update(steps=4), "plan_sha256: not the hash of the plan that is told"),
    (lambda m: m["plan"].update(model="sdxl_base_ios"), "model: 'sdxl_base_ios' is no model that is exported here"),
    (lambda m: m["blocks"].pop(), "blocks are not those of the plan"),
    (lambda m: denoiser(m)["functions"][0].update(package="../x.mlpackage"), "expected the name of an .mlpackage"),
    (lambda m: denoiser(m)["functions"][0].update(package="x.mlpackage"), "is none of the block's packages"),
    (lambda m: m["blocks"].append(m["blocks"][0]), "stands twice"),
    (lambda m: denoiser(m)["functions"].reverse() or denoiser(m)["functions"].pop(), "and a plain one"),
    (lambda m: m["no_caption"].update(file="../no_caption.bin"), "no_caption.file: expected the name of a .bin file"),
    (lambda m: m["no_caption"].update(shape=[10**9, 10**9]), "no_caption is not what the plan and these weights give"),
    (lambda m: m["sampling"].update(fps=-1), "sampling.fps: expected a number > 0.0"),
    (lambda m: m["weights"].update(description="\x1b[31m"), "weights.description: expected one line"),
]


@pytest.mark.parametrize(("change", "complaint"), LIES)
def test_a_check_notices_whatever_a_manifest_lies_about(
    copied: Path, exported: Exported, change: Callable[[dict[str, Any]], object], complaint: str
) -> None:
    altered(copied, change)
    with pytest.raises(UserError, match=complaint):
        validate_export(copied, exported.weights)


def test_a_check_notices_an_altered_constant(copied: Path, exported: Exported) -> None:
    path = copied / "no_caption.bin"
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    for use in (lambda: validate_export(copied, exported.weights), lambda: Export.open(copied)):
        with pytest.raises(UserError, match=r"no_caption\.bin: is not as it was written \(checksum\)"):
            use()
    path.write_bytes(data[:-4])
    with pytest.raises(UserError, match=r"no_caption\.bin: has \d+ bytes instead of"):
        Export.open(copied)


PLACES = ["denoiser.000.mlpackage/Data/extra", "no_caption.bin", "tokenizer.json", "manifest.json"]


@pytest.mark.parametrize("target", ["/dev/zero", "/etc/passwd", "nowhere"])
@pytest.mark.parametrize("place", PLACES)
def test_links_in_an_export_are_not_followed(copied: Path, exported: Exported, place: str, target: str) -> None:
    (copied / place).unlink(missing_ok=True)
    (copied / place).symlink_to(target)
    with pytest.raises(UserError, match=r"link|not a file or a folder of its own"):
        validate_export(copied, exported.weights)


def test_an_export_is_not_opened_where_tensors_are_renamed(copied: Path) -> None:
    altered(copied, rename_tensor)
    with pytest.raises(UserError, match=r"function 'plain' of block '.*' of denoiser does not read and write what"):
        Export.open(copied)


@pytest.mark.parametrize("text", ["mine\n", "{}", '{"format": "another-1"}'])
def test_a_manifest_that_is_not_an_export_s_is_kept(exported: Exported, tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=r"manifest\.json: .*\nChoose another folder, or have this file replaced"):
        exported_again(tmp_path, exported)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"manifest.json": text}
    give_way(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_only_packages_are_removed(tmp_path: Path) -> None:
    """A block that an older manifest names is removed; what else has that name is somebody's."""
    outside = tmp_path / "outside.mlpackage"
    (outside / "Data").mkdir(parents=True)
    (outside / "Manifest.json").write_text("{}")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "a.mlpackage").symlink_to(outside)
    (folder / "b.mlpackage").mkdir()
    (folder / "b.mlpackage" / "mine.txt").write_text("mine")
    (folder / "c.mlpackage").write_text("mine")
    for name in ("a", "b", "c"):
        with pytest.raises(UserError, match=rf"{name}\.mlpackage: is in the way, and is not a package"):
            remove_package(folder, f"{name}.mlpackage")
    with pytest.raises(NotAFileError, match="is not the name of a file in this folder"):
        remove_package(folder, "../outside.mlpackage")
    assert (outside / "Manifest.json").exists() and (folder / "b.mlpackage" / "mine.txt").exists()
    shutil.copytree(outside, folder / "d.mlpackage")
    remove_package(folder, "d.mlpackage")
    assert not (folder / "d.mlpackage").exists()
