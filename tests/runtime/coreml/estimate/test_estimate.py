"""Packages become a model, a profile and a plan: amounts as counted, seconds from the device's figures."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

pytest.importorskip("coremltools")

from worlds.coreml_packages import Writer, linear_package

from ondevice_sora.base.errors import UserError
from ondevice_sora.commands.main import main
from ondevice_sora.profiles.models.catalogue import listed_model
from ondevice_sora.profiles.packages import package_rules
from ondevice_sora.profiles.profile import load_profile
from ondevice_sora.runtime.coreml.estimate.estimate import describe
from ondevice_sora.runtime.coreml.estimate.folders import Found, FoundBlock, find_packages
from ondevice_sora.runtime.coreml.export.manifest import ExportedBlock, ExportedFunction, Feature, packaged
from ondevice_sora.runtime.coreml.package.reading import read_package


def matrix_package(path: Path, dtype: str = "fp32", function: str = "main") -> Path:
    """y = x W with 1 MiB of float32 weights, or half of float16."""
    array = np.zeros((512, 512), {"fp32": np.float32, "fp16": np.float16}[dtype])
    writer = Writer(function)
    writer.input("x", dtype, (2, 512))
    writer.weight("w", array, dtype)
    writer.operation("linear", "y", dtype, (2, 512), x="x", weight="w")
    writer.outputs("y")
    path.parent.mkdir(parents=True, exist_ok=True)
    return writer.save(path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in (1, 2, 10):
        matrix_package(tmp_path / f"app/denoiser/part{number}.mlpackage")
    matrix_package(tmp_path / "app/decoder/decoder.mlpackage", "fp16")
    return tmp_path / "app"


def test_folders_are_components_and_packages_their_units_in_order_of_number(folder):
    found = find_packages([folder])
    assert [(each.component, each.unit) for each in found.blocks] == [
        ("decoder", "decoder"), ("denoiser", "part1"), ("denoiser", "part2"), ("denoiser", "part10"),
    ]  # fmt: skip
    given = find_packages([folder / "denoiser", folder / "decoder/decoder.mlpackage"])
    assert [each.component for each in given.blocks] == ["denoiser"] * 3 + ["decoder"]


def test_names_are_made_fit_for_a_model(tmp_path):
    folder = tmp_path / "a b"
    folder.mkdir()
    linear_package(folder / "ü..1.mlpackage")
    linear_package(folder / "ö..1.mlpackage")
    assert [(each.component, each.unit) for each in find_packages([folder]).blocks] == [
        ("a b", "__1"),
        ("a b", "__1_2"),
    ]


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir])
def test_a_folder_without_packages_is_a_complaint(tmp_path, make):
    make(tmp_path / "empty")
    with pytest.raises(UserError, match=r"no such folder or package|no \.mlpackage in this folder"):
        find_packages([tmp_path / "empty"])


def estimated(capsys, *arguments: str) -> dict[str, Any]:
    assert main(["profile", "estimate", *arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("device", ["iphone15pro", "iphone15pro,iphone12"])
def test_passes_of_a_component_that_there_is_not_are_one_complaint(folder, capsys, device):
    assert main(["profile", "estimate", str(folder / "denoiser"), "--passes", "unet=steps", "--device", device]) == 2
    assert "--passes: there is no component 'unet'\nKnown: denoiser." in capsys.readouterr().err


def test_one_device_is_told_to_fit_or_not(folder, capsys):
    assert main(["profile", "estimate", str(folder / "denoiser"), "--passes", "denoiser=steps"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "simulated, the next package loaded while one runs, denoiser in each of 30 steps: fits. One gen" in out


@pytest.mark.parametrize("device", ["iphone15pro", "iphone15,iphone16"])
def test_what_a_killed_estimate_has_left_the_next_one_removes(folder, tmp_path_factory, capsys, monkeypatch, device):
    temporary = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    (temporary / ".ondevice-sora-estimate-left").mkdir()
    assert main(["profile", "estimate", str(folder), "--device", device]) == 0
    assert not list(temporary.iterdir())


def test_amounts_are_those_of_the_packages(folder, capsys):
    shown = estimated(capsys, "app")
    assert [package["weight_bytes"] for package in shown["packages"]] == [1 << 19, 1 << 20, 1 << 20, 1 << 20]
    assert [package["precision"] for package in shown["packages"]] == ["float16", "float32", "float32", "float32"]
    (function,) = shown["packages"][1]["functions"]
    assert function["matmul_flops"] == 2 * 2 * 512 * 512
    assert function["working_bytes"] == 2 * 2 * 512 * 4
    assert sum(function["run_marks"].values()) == pytest.approx(1)


def test_what_is_written_simulates_with_the_same_amounts(folder, capsys):
    assert main(["profile", "estimate", "app", "--passes", "denoiser=steps", "--steps", "4", "-o", "out"]) == 0
    assert "simulate out/plan.yaml --device out/profile.yaml" in capsys.readouterr().err
    model, _ = listed_model("model.yaml", Path("out"))
    assert [(component.name, component.passes) for component in model.components] == [
        ("decoder", 1), ("denoiser", "steps"),
    ]  # fmt: skip
    assert model.components[1].units[0].parameters == 512 * 512
    assert main(["simulate", "--device", "out/profile.yaml", "--plan", "out/plan.yaml", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    rows = {row["block"]: row for row in result["blocks"]}
    shown = {p["functions"][0]["unit"]: p for p in estimated(capsys, "app")["packages"]}
    for name, row in rows.items():
        (function,) = shown[name]["functions"]
        assert row["stored_bytes"] == shown[name]["weight_bytes"]
        assert row["resident_bytes"] == shown[name]["held_bytes"]["cpu_and_gpu"]
        for key in ("load_cold_s", "load_warm_s", "run_s", "working_bytes"):
            assert row[key] == pytest.approx(function[key]), key
    assert rows["part1"]["num_runs"] == 4
    assert main(["profile", "estimate", "app", "-o", "out"]) == 2
    assert "the file exists already" in capsys.readouterr().err


def test_a_package_of_several_precisions_keeps_its_bytes(tmp_path, capsys, monkeypatch):
    """An int8 package with float16 beside it: stored and held bytes come out as they are."""
    monkeypatch.chdir(tmp_path)
    writer = Writer()
    writer.input("x", "fp16", (2, 64))
    writer.weight("data", np.zeros((64, 64), np.int8), "int8")
    writer.weight("scale", np.ones((64, 1), np.float16), "fp16")
    writer.operation("constexpr_blockwise_shift_scale", "w", "fp16", (64, 64), data="data", scale="scale")
    writer.weight("bias", np.zeros((2, 1024), np.float16), "fp16")
    writer.operation("linear", "y", "fp16", (2, 64), x="x", weight="w")
    writer.operation("add", "z", "fp16", (2, 1024), x="y", y="bias")
    writer.outputs("z")
    writer.save(tmp_path / "mixed.mlpackage")
    assert main(["profile", "estimate", "mixed.mlpackage", "-o", "out"]) == 0
    capsys.readouterr()
    assert main(["simulate", "--device", "out/profile.yaml", "--plan", "out/plan.yaml", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["blocks"]
    assert row["stored_bytes"] == 64 * 64 + 64 * 2 + 2 * 1024 * 2
    assert row["resident_bytes"] == 64 * 64 * 2 + 2 * 1024 * 2


def test_a_function_named_tdtm_is_the_variant(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = matrix_package(tmp_path / "block.mlpackage", function="plain")
    model = path / "Data/com.apple.CoreML/model.mlmodel"
    other = matrix_package(tmp_path / "x/other.mlpackage", function="tdtm") / "Data/com.apple.CoreML/model.mlmodel"
    third = matrix_package(tmp_path / "x/third.mlpackage", function="long") / "Data/com.apple.CoreML/model.mlmodel"
    model.write_bytes(model.read_bytes() + other.read_bytes() + third.read_bytes())  # protobuf merges what is appended
    shown = estimated(capsys, "block.mlpackage")
    (package,) = shown["packages"]
    assert [(row["variant"], row["function"]) for row in package["functions"]] == [("plain", "plain"), ("tdtm", "tdtm")]
    assert package["weight_bytes"] == 1 << 20, "shared weights count once"
    assert package["notes"] == ["functions that are left out: long"]


def test_what_does_not_run_on_the_neural_engine_is_told_with_its_source(folder, capsys):
    shown = estimated(capsys, "app", "--compute-units", "cpu_and_ne")
    notes = {p["functions"][0]["unit"]: p["notes"] for p in shown["packages"]}
    assert notes["decoder"] == []
    (note,) = notes["part1"]
    assert note.startswith("not on the Neural Engine: values in float32 (1 operations)")
    assert "coremltools guide" in note
    assert all("http" in rule.source for rule in package_rules().not_on_ane)


def test_a_package_over_a_limit_says_so(folder, capsys, monkeypatch):
    rules = package_rules()
    figure = msgspec.structs.replace(rules.size_limits[0].limit_bytes, value=1000.0)
    limit = msgspec.structs.replace(rules.size_limits[0], limit_bytes=figure)
    lowered = msgspec.structs.replace(rules, size_limits=(limit,))
    monkeypatch.setattr("ondevice_sora.profiles.packages.package_rules", lambda: lowered)
    (note,) = estimated(capsys, "app/decoder", "--compute-units", "cpu_and_ne")["packages"][0]["notes"]
    assert note.startswith("larger than 1.00 kB: refused by the compiler")


def test_the_table_says_what_is_estimated(folder, capsys):
    assert main(["profile", "estimate", "app"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "iPhone 15 Pro · estimated from the packages, not run" in out
    assert "denoiser part10" in out
    assert "note: no component is walked every step: say which with --passes, e.g. --passes " in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere: there is no such folder or package"),
        (["app", "--passes", "denoisr=steps"], "there is no component 'denoisr'\nDid you mean 'denoiser'?"),
        (["app", "--device", "iphone99"], "unknown device 'iphone99'"),
        (["app", "-o", "missing/out"], "there is no folder missing"),
    ],
)
def test_mistakes_are_one_message(folder, capsys, arguments, said):
    assert main(["profile", "estimate", *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("passes", ["denoiser", "=3", "denoiser=0", "denoiser=often"])
def test_passes_must_say_how_often(folder, capsys, passes):
    with pytest.raises(SystemExit):
        main(["profile", "estimate", "app", "--passes", passes])
    assert "does not say how often" in capsys.readouterr().err


def test_a_damaged_package_is_one_message_with_its_path(folder, capsys):
    shutil.rmtree(folder / "denoiser/part2.mlpackage/Data")
    assert main(["profile", "estimate", "app"]) == 1
    assert "1 package could not be counted:\n  app/denoiser/part2.mlpackage" in capsys.readouterr().out


HASH = "0" * 64
HIDDEN = Feature("hidden", "hidden", "float32", (1, 2))


def exported(folder: Path) -> Path:
    """An export's folder with two blocks of a denoiser, as its manifest says; the packages are matrices."""
    blocks = []
    for number, names in enumerate((("input", "input"), ("spatial_0", "temporal_0"))):
        file = f"denoiser.{number:03}.mlpackage"
        matrix_package(folder / file)
        blocks.append(
            ExportedBlock(
                "denoiser", number, *names, "float32", "cpu_only" if number else "cpu_and_gpu", HASH,
                (packaged(folder, file),), (ExportedFunction("plain", file, "main", (HIDDEN,), (HIDDEN,)),),
            )
        )  # fmt: skip
    manifest = {
        "format": "ondevice-sora-export-2", "complete": True, "model": "opensora", "plan_sha256": HASH, "made_with": "",
        "model_name": "Open-Sora v1.2", "tokenizer": None,
        "plan": {
            "name": "ours", "model": "opensora", "video": {"width": 64, "height": 64, "frames": 5}, "text_tokens": 4,
            "sampler": {"steps": 7, "guidance": 4.0},
            "components": {"denoiser": {"prefetch": 0, "keep": ["spatial_0"]}},
        },
        "weights": {"description": "", "seed": 0}, "text_tokens": 4, "encoder_tokens": 300, "origin": {},
        "sampling": {
            "timesteps": [1], "time_scale": 1, "guidance": 7, "batch": 2, "fps": 8, "latent_channels": 4,
            "latent_shape": [4, 2, 8, 8], "solver": "euler",
        },
        "decoding": {
            "num_frames": 5, "height": 64, "width": 64, "chunk_latent_frames": 5, "chunk_frames": [5],
            "batch_frames": 4,
        },
        "no_caption": {"file": "no_caption.bin", "shape": [1, 1], "checksum": HASH},
        "components": [{"name": "denoiser", "passes": "steps", "reads": ["hidden"], "writes": ["hidden"]}],
        "blocks": [msgspec.to_builtins(block) for block in blocks],
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_an_export_brings_its_plan_passes_and_compute_units(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exported(tmp_path / "exported")
    assert main(["profile", "estimate", "exported", "-o", "out"]) == 0
    assert "note:" not in capsys.readouterr().out
    assert main(["simulate", "--device", "out/profile.yaml", "--plan", "out/plan.yaml", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    rows = {row["block"]: (row["compute_units"], row["num_loads"], row["num_runs"]) for row in result["blocks"]}
    assert rows == {"input": ("cpu_and_gpu", 7, 7), "spatial_0": ("cpu_only", 1, 7)}


def test_an_exports_steps_are_its_plans(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exported(tmp_path / "exported")
    assert main(["profile", "estimate", "exported", "--steps", "50"]) == 2
    assert "--steps has no effect on an export, whose plan has its own" in capsys.readouterr().err


@pytest.mark.parametrize("file", ["../outside.mlpackage", "/etc", "", "a/b"])
def test_an_exports_manifest_may_not_leave_its_folder(tmp_path, file):
    path = exported(tmp_path / "exported") / "manifest.json"
    data = json.loads(path.read_text())
    data["blocks"][0]["packages"][0]["file"] = file
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match=r"packages\[0\].file: expected the name of an .mlpackage beside it"):
        find_packages([tmp_path / "exported"])


def test_an_exports_plan_is_checked(tmp_path):
    path = exported(tmp_path / "exported") / "manifest.json"
    data = json.loads(path.read_text())
    data["plan"]["components"] = {"denoiser": {"prefetch": "often"}}
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match=r"components\.denoiser\.prefetch"):
        find_packages([tmp_path / "exported"])


def test_an_altered_manifest_is_described_or_refused(tmp_path):
    """Any value of an export's manifest replaced by another one, seeded."""
    folder = exported(tmp_path / "exported")
    profile, device = load_profile("iphone15pro")
    original = (folder / "manifest.json").read_text()
    refused = 0
    for number in range(120):
        chance = random.Random(number)
        place = data = json.loads(original)
        while True:
            step = chance.choice(list(place) if isinstance(place, dict) else range(len(place)))
            if not place[step] or not isinstance(place[step], (dict, list)) or chance.random() < 0.2:
                break
            place = place[step]
        place[step] = chance.choice([None, -1, 0, 10**12, "", "tdtm", "x" * 200, "../x", [], {}, [0], True, "steps"])
        (folder / "manifest.json").write_text(json.dumps(data))
        try:
            describe(find_packages([folder]), profile, device, name="x")
        except UserError as error:
            refused += 1
            assert "\n" not in error.what
    assert 60 < refused < 120


def test_the_last_pass_of_a_stage_may_be_shorter(tmp_path):
    """Of five passes four are whole: the unit's work is the mean."""
    package = read_package(matrix_package(tmp_path / "whole.mlpackage"))
    tail = read_package(linear_package(tmp_path / "tail.mlpackage")).function()
    block = FoundBlock("decoder", "a", (package,), {"plain": package.function()}, tail)
    described = describe(Found([block], {"decoder": 5}), *load_profile("iphone15pro"), name="x")
    work = described.model.components[0].units[0].plain
    assert work.matmul_flops == (4 * 2 * 2 * 512 * 512 + 2 * 2 * 3 * 4) / 5
    assert work.working_elements == 2 * 2 * 512


def test_weights_that_lie_over_each_other_are_refused(folder, capsys):
    """Two descriptions of one place would make more bytes than the file has."""
    writer = Writer()
    writer.input("x", "fp32", (2, 512))
    for number in range(3):
        writer.weight(f"w{number}", np.zeros((64, 512), np.float32), "fp32")
        start = writer.block.operations[-1].attributes["val"].blobFileValue.offset
        writer.weights[start + 16 : start + 24] = (64 + 4 * number).to_bytes(8, "little")
        writer.operation("linear", f"y{number}", "fp32", (2, 64), x="x", weight=f"w{number}")
        del writer.weights[start + 64 + 4096 :]
    writer.weights += bytes(64 * 512 * 4)
    writer.outputs("y2")
    writer.save(folder / "overlapping.mlpackage")
    assert main(["profile", "estimate", "app/overlapping.mlpackage"]) == 2
    assert "its weights come to 393216 bytes, more than their file has" in capsys.readouterr().err


def test_absurd_work_is_refused(folder, capsys):
    writer = Writer()
    writer.input("x", "fp32", (2**20, 2**19))
    writer.input("y", "fp32", (2**19, 2**20))
    writer.operation("matmul", "z", "fp32", (2**20, 2**20), x="x", y="y")
    writer.outputs("z")
    writer.save(folder / "absurd.mlpackage")
    assert main(["profile", "estimate", "app/absurd.mlpackage"]) == 2
    assert "absurd.mlpackage: one run would do more than 1e17 operations" in capsys.readouterr().err
